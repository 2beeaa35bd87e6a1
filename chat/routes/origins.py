"""Whose web page it is that asks. A browser sends the cookie of a sign-in with whatever any page has it ask for, so
what changes something must come from a page that may.

`Origin` comes with every request but GET and HEAD, and with those that a page of another origin reads; where it is
missing, `Sec-Fetch-Site` tells (https://www.w3.org/TR/fetch-metadata/). No page can write either.
"""

from fastapi import Request

from chat.errors import Forbidden
from chat.settings.values import has_origin

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOSTS = ("host", "disguised-host")
"""Where the name stands that the browser asked: in Azure it may be the second alone. No page can write either in a
request to another origin."""


def check_origin(request: Request, allowed: frozenset[str]) -> None:
    """Forbidden, unless a page of the app's own or of an `allowed` origin asks."""
    if request.headers.getlist("origin"):
        fine = _is_known(request, allowed)
    else:
        fine = request.headers.getlist("sec-fetch-site") == ["same-origin"]
    if not fine:
        raise Forbidden("A page of this origin may not do that by a cookie: see CHAT_COOKIE_ORIGINS.")


def check_page(request: Request, allowed: frozenset[str]) -> None:
    """Forbidden for a page of an origin that is neither the app's own nor `allowed`, however it signs in. What is no
    page names none. `*` allows all."""
    if "*" not in allowed and not _is_known(request, allowed):
        raise Forbidden("Pages of this origin may not ask here: see CHAT_CORS_ORIGINS.")


def own_address(request: Request) -> str:
    """Where whoever asks reaches the app, as its own headers say: `https://chat.example.com`."""
    return _own_origin(request.headers.get("disguised-host") or request.headers.get("host", ""))


def _is_known(request: Request, allowed: frozenset[str]) -> bool:
    hosts = [request.headers[name] for name in HOSTS if name in request.headers]
    known = frozenset(allowed | {_own_origin(host) for host in hosts})
    return all(has_origin(known, origin) for origin in request.headers.getlist("origin"))


def _own_origin(host: str) -> str:
    scheme = "http" if host.rpartition(":")[0] in LOOPBACK else "https"
    return f"{scheme}://{host.lower()}"
