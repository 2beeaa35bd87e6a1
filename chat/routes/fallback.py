"""What answers a path or a method that no route has."""

import re
from collections.abc import Collection, Mapping

from chat.errors import MethodNotAllowed, NotFound


def no_such_route(routes: Mapping[str, Collection[str]], path: str) -> NotFound | MethodNotAllowed:
    """405 when the path has a route under other methods, else 404. `routes` are the methods of each template."""
    allowed = sorted(
        {method for route, methods in routes.items() if _matches(route, path) for method in methods}
    )
    if allowed:
        return MethodNotAllowed(allowed)
    return NotFound("There is no such path.")


def _matches(route: str, path: str) -> bool:
    """As the Functions host reads a template: case does not matter, `{name}` is one segment."""
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))
    return re.fullmatch(pattern, path, re.IGNORECASE) is not None
