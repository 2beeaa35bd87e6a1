"""Limits over HTTP: what a user may, what is left of it, and what an admin says of a user (docs/limits.md)."""

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.errors import Forbidden, ValidationError
from chat.events import JSON, JSONObject
from chat.quotas import Quota
from chat.routes.admission import note_act
from chat.routes.limit_schemas import LimitsBody
from chat.routes.replies import json_reply
from chat.store.limit_store import Override
from chat.turns.tally import Tally
from chat.user_ids import user_of_path


async def get_limits(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/limits/{user_id}`: one's own; an admin's of everybody."""
    user_id = user_of_path(request.path_params["user_id"])
    if user_id != principal.user_id and not principal.is_admin:
        raise Forbidden("These are another user's limits.")
    await _note(app, principal, request, "get_limits", user_id)
    return json_reply(_shown(user_id, await app.limiter.look(user_id)))


async def put_limits(app: ChatApp, principal: Principal, request: Request, body: LimitsBody) -> Response:
    """`PUT` the same: what this user may instead of what the settings say, from now on."""
    user_id = user_of_path(request.path_params["user_id"])
    override = Override(body.requests, body.per_seconds, body.tokens_per_day)
    _check(override, app)
    await _note(app, principal, request, "put_limits", user_id)
    return json_reply(_shown(user_id, await app.limiter.override(user_id, override)))


async def delete_limits(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`DELETE` the same: back to what the settings say. What was used stays used."""
    user_id = user_of_path(request.path_params["user_id"])
    await _note(app, principal, request, "delete_limits", user_id)
    return json_reply(_shown(user_id, await app.limiter.override(user_id, Override())))


async def _note(app: ChatApp, principal: Principal, request: Request, action: str, user_id: str) -> None:
    """What an admin sees or sets of another's limits is noted first."""
    if user_id != principal.user_id:
        await note_act(app, principal, request, action, user_id)


def _check(override: Override, app: ChatApp) -> None:
    """Requests and seconds belong together, unless the settings have the other one."""
    if app.settings.limit_requests is not None or override.requests == 0:
        return
    given = {"requests": override.requests, "per_seconds": override.per_seconds}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 1:
        raise ValidationError(missing[0], "Must be given, since the settings limit no requests")


def _shown(user_id: str, tally: Tally) -> JSONObject:
    terms, override, standing = tally.terms, tally.after.override, tally.standing
    rate, spent = terms.rate, tally.today
    tokens: JSON = None
    if standing.tokens is not None:
        used: JSONObject = {"used": spent.used, "held": spent.held}
        tokens = {**_quota(standing.tokens), **used}
    return {
        "user_id": user_id,
        "limits": {
            "requests": rate.requests if rate else None,
            "per_seconds": rate.seconds if rate else None,
            "tokens_per_day": terms.tokens or None,
        },
        "override": {
            "requests": override.requests,
            "per_seconds": override.per_seconds,
            "tokens_per_day": override.tokens_per_day,
        },
        "requests": standing.requests and _quota(standing.requests),
        "tokens": tokens,
    }


def _quota(quota: Quota) -> JSONObject:
    return {"limit": quota.limit, "remaining": quota.left, "reset_seconds": quota.whole}
