"""Whose web page it is that asks. A browser sends the cookie of a sign-in with whatever any page has it ask for, so
what changes something must come from a page that may.

`Origin` comes with every request but GET and HEAD, and with those that a page of another origin reads; where it is
missing, `Sec-Fetch-Site` tells (https://www.w3.org/TR/fetch-metadata/). No page can write either.
"""

from fastapi import Request

from chat.errors import Forbidden

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOSTS = ("host", "disguised-host")
"""Where the name stands that the browser asked: in Azure it may be the second alone. No page can write either in a
request to another origin."""


def check_origin(request: Request, allowed: frozenset[str]) -> None:
    """Forbidden, unless a page of the app's own or of an `allowed` origin asks."""
    origins = request.headers.getlist("origin")
    if origins:
        hosts = [request.headers[name] for name in HOSTS if name in request.headers]
        known = allowed | {_own_origin(host) for host in hosts}
        fine = all(origin.lower() in known or _any_port(origin) in allowed for origin in origins)
    else:
        fine = request.headers.getlist("sec-fetch-site") == ["same-origin"]
    if not fine:
        raise Forbidden("A page of this origin may not do that by a cookie: see CHAT_COOKIE_ORIGINS.")


def _own_origin(host: str) -> str:
    scheme = "http" if host.rpartition(":")[0] in LOOPBACK else "https"
    return f"{scheme}://{host.lower()}"


def _any_port(origin: str) -> str:
    """As a setting names an origin of every port."""
    return f"{origin.lower().rpartition(':')[0]}:*"
