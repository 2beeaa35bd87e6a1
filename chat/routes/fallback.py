"""What answers a path or a method that no route has, and what browsers ask before they let a page ask."""

import re
from collections.abc import Collection, Mapping

from fastapi import Request, Response

from chat.app import ChatApp
from chat.errors import MethodNotAllowed, NotFound
from chat.routes.replies import answer_anyone
from chat.routes.reply_headers import answer_preflight, is_preflight
from chat.routes.route_table import Routes

HOME = 4  # parts that the paths of a protocol share: "", "api", "openai", "v1"


async def answer_rest(request: Request, routes: Routes) -> Response:
    """A preflight where web pages may ask at all, else a refusal."""
    path = request.scope["raw_path"].decode("latin-1")

    async def handle(app: ChatApp, request: Request) -> Response:
        error = no_such_route(routes, path)
        if isinstance(error, MethodNotAllowed) and app.settings.cors_origins and is_preflight(request):
            return answer_preflight(request, app.settings, error.allowed)
        raise error

    return await answer_anyone(request, handle, _words(routes, path))


def no_such_route(routes: Mapping[str, Collection[str]], path: str) -> NotFound | MethodNotAllowed:
    """405 when the path has a route under other methods, else 404. `routes` are the methods of each template."""
    allowed = sorted(
        {method for route, methods in routes.items() if _matches(route, path) for method in methods}
    )
    if allowed:
        return MethodNotAllowed(allowed)
    return NotFound("There is no such path.")


def _words(routes: Routes, path: str) -> str:
    """Of the dialect that has the path under other methods, or else has paths beside it: clients of a protocol ask for
    parts of it that are not here."""
    beside = "".join(f"{part}/" for part in path.lower().split("/")[:HOME])
    found = [route for route in routes if _matches(route, path)]
    found += [route for route in routes if route.startswith(beside) and beside.count("/") == HOME]
    rows = [row for route in found for row in routes[route].values()]
    return rows[0].words if rows else ""


def _matches(route: str, path: str) -> bool:
    """As the Functions host reads a template: case does not matter, `{name}` is one segment."""
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))
    return re.fullmatch(pattern, path, re.IGNORECASE) is not None
