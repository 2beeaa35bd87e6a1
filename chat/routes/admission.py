"""Who calls a route, and whether they may: asked before anything else is."""

from fastapi import Request

from chat.app import ChatApp
from chat.auth.base import Principal, Scope
from chat.errors import Forbidden
from chat.routes.origins import check_origin
from chat.routes.route_table import Route

READING = ("GET", "HEAD")


async def find_caller(app: ChatApp, request: Request, route: Route) -> Principal:
    """The caller of a route. Unauthenticated; SignInUnavailable; Forbidden, where the route or the credential is not
    for this, or a page of another origin asks. What they may do in a session is asked where the session is read."""
    principal = await app.authenticate(request.headers)
    if route.who == "admin" and not principal.is_admin:
        raise Forbidden("This is for admins.")
    if not principal.may(scope := scope_of(route, request.method)):
        raise Forbidden(f"This credential is not for `{scope}`.")
    if principal.by_cookie and scope != "read":  # some routes that make something are GET
        check_origin(request, app.settings.cookie_origins)
    return principal


def scope_of(route: Route, method: str) -> Scope:
    """What a limited credential must be good for."""
    return route.scope or ("read" if method in READING else "write")
