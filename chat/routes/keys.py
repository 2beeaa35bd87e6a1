"""API keys over HTTP: a user makes them for programs, and revokes them (docs/api-keys.md)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import note_made
from chat.auth.base import Principal
from chat.clock import iso
from chat.credentials import SCOPES, ApiKey, Scope, digest_of, make_key
from chat.errors import Forbidden, KeyNotFound, ShownOnce, ValidationError
from chat.events import JSONObject
from chat.routes.key_schemas import KeyBody
from chat.routes.once import promised_id
from chat.routes.replies import json_reply
from chat.routes.requests import nonce_of

DAYS = 90  # that a key lives without a wish
USUAL: tuple[Scope, ...] = ("read", "write")


async def create_key(app: ChatApp, principal: Principal, request: Request, body: KeyBody) -> Response:
    """`POST /api/v1/chat/keys`: the only reply that shows the key itself."""
    _check_is_no_key(principal)
    now = app.clock.now()
    scopes, expires = _scopes(principal, body), _expires(body, now, longest=app.settings.key_days)
    key_id, text = make_key(principal.user_id, promised_id(request))
    key = ApiKey(key_id, principal.user_id, body.name, scopes, digest_of(text), now, expires)
    stored = await app.keys.add_key(key)
    await note_made(app, principal.user_id, nonce_of(request), {"key_id": key_id})
    if not stored.matches(text):  # who made it before, under the same Idempotency-Key, was thought dead
        raise ShownOnce(details={"key_id": key_id})
    return json_reply({"key": text, **_show(key)}, status=201, headers={"cache-control": "no-store"})


async def key_was_shown(
    _app: ChatApp, principal: Principal, _request: Request, made: Mapping[str, str]
) -> Response:
    """A key is kept as its hash alone. ShownOnce names it, so that it can be revoked."""
    _check_is_no_key(principal)
    raise ShownOnce(details={"key_id": made["key_id"]})


async def list_keys(app: ChatApp, principal: Principal, _request: Request) -> Response:
    """`GET /api/v1/chat/keys`"""
    _check_is_no_key(principal)
    return json_reply({"keys": [_show(key) for key in await app.keys.list_keys(principal.user_id)]})


async def delete_key(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`DELETE /api/v1/chat/keys/{key_id}`: what was opened with it is closed."""
    _check_is_no_key(principal)
    key_id = request.path_params["key_id"]
    key = await app.keys.find_key(key_id)
    if key is None or key.user_id != principal.user_id:
        raise KeyNotFound

    async def remove() -> None:
        await app.keys.remove_key(principal.user_id, key_id)
        app.key_ring.forget(key_id)

    await app.evictions.revoke(key_id, remove)
    return json_reply({"message": "Key revoked", "id": key_id})


def _check_is_no_key(principal: Principal) -> None:
    """Whoever finds a key could make others of it, which outlive its end. Forbidden."""
    if principal.key_id:
        raise Forbidden("Keys are managed by people, not by keys.")


def _scopes(principal: Principal, body: KeyBody) -> frozenset[Scope]:
    """What is asked for; nobody gives what they do not have. Forbidden, ValidationError."""
    if body.scopes is None:
        scopes: frozenset[Scope] = frozenset(scope for scope in USUAL if principal.may(scope))
        if not scopes:
            raise ValidationError("scopes", "This field must be given")
        return scopes
    for scope in SCOPES:
        if scope in body.scopes and not principal.may(scope):
            raise Forbidden(f"This credential is not for `{scope}`.")
    return frozenset[Scope](body.scopes)


def _expires(body: KeyBody, now: datetime, *, longest: int) -> datetime:
    """ValidationError unless it is after now, and at most `longest` days."""
    if body.days is not None and body.expires_at is not None:
        raise ValidationError("expires_at", "Give one of days and expires_at")
    if body.expires_at is None:
        days = body.days or min(DAYS, longest)
        if days > longest:
            raise ValidationError("days", f"A key lives at most {longest} days")
        return now + timedelta(days=days)
    if body.expires_at <= now:
        raise ValidationError("expires_at", "Must be in the future")
    if body.expires_at - now > timedelta(days=longest):
        raise ValidationError("expires_at", f"A key lives at most {longest} days")
    return body.expires_at


def _show(key: ApiKey) -> JSONObject:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": [scope for scope in SCOPES if scope in key.scopes],
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "last_used_at": iso(key.used_at) if key.used_at else None,
    }
