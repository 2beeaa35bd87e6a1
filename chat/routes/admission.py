"""Who calls a route, and whether they may: asked before anything else is."""

from dataclasses import replace

from fastapi import Request

from chat.app import ChatApp
from chat.auth.base import Principal, Scope
from chat.errors import Forbidden
from chat.routes.origins import check_origin
from chat.routes.route_table import Route
from chat.store.audit_store import AuditEntry
from chat.user_ids import read_user_id

READING = ("GET", "HEAD")
LONGEST_PATH = 1024  # characters of a path that are noted


async def admit(app: ChatApp, request: Request, route: Route) -> Principal:
    """The caller of a route, or the one whom an admin reads for. Unauthenticated; SignInUnavailable; Forbidden, where
    the route or the credential is not for this, or a page of another origin asks. What they may do in a session is
    asked where the session is read."""
    if route.by_link and (key := request.query_params.get("key")) is not None:
        return await _by_link(app, request, key)
    principal = await app.authenticate(request.headers)
    if route.who == "admin" and not principal.is_admin:
        raise Forbidden("This is for admins.")
    if not principal.may(scope := scope_of(route, request.method)):
        raise Forbidden(f"This credential is not for `{scope}`.")
    if principal.by_cookie and (scope != "read" or route.makes):
        check_origin(request, app.settings.cookie_origins)
    named = request.query_params.get("user_id", "") if route.for_others else ""
    return await _as_other(app, principal, request, route, read_user_id(named)) if named else principal


def scope_of(route: Route, method: str) -> Scope:
    """What a limited credential must be good for."""
    return route.scope or ("read" if method in READING else "write")


async def note_act(
    app: ChatApp, principal: Principal, request: Request, action: str, user_id: str, *, to: str = ""
) -> None:
    """Have the audit log say what an admin does. StoreUnavailable: then they must not do it."""
    path = request.url.path[:LONGEST_PATH]
    await app.audit.note_audit(AuditEntry(app.clock.now(), principal.user_id, action, user_id, path, to))


async def _by_link(app: ChatApp, request: Request, key: str) -> Principal:
    """Who came by a link, whoever else they may be: the same reply is for all of them."""
    turn_id, dialect = request.path_params["turn_id"], request.query_params.get("dialect", "")
    ends = await app.links.check(key, turn_id, dialect)
    return Principal("", expires=ends, scopes=frozenset({"read"}), link=turn_id)


async def _as_other(
    app: ChatApp, principal: Principal, request: Request, route: Route, user_id: str
) -> Principal:
    """An admin in place of somebody else, without the roles of either."""
    if user_id == principal.user_id:
        return principal
    if not principal.is_admin:
        raise Forbidden("Only an admin may read what is another's.")
    await note_act(app, principal, request, route.function, user_id)
    return replace(principal, user_id=user_id, roles=frozenset())
