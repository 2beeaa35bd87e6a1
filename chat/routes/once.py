"""Requests that make something, once for each Idempotency-Key (docs/protocol.md, section 1).

A row of the table of routes with `again` makes something. Its handler tells by `note_made` what that is; a request that
comes again goes to the handler that `again` names, with what it made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256

import orjson
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.errors import ChatError, KeyReused, RequestInProgress, StoreError, ValidationError
from chat.routes.requests import forget_peeked, nonce_of, peek_object
from chat.routes.route_table import Route, load
from chat.schemas.fields import MAX_ID
from chat.store.request_store import KeyedRequest
from chat.telemetry import record

HELD = 10.0  # seconds without word from whoever makes a request, after which its repeat makes it
AGAIN = (0.3, 1.0, 2.0, 4.0)  # seconds before each further try to give back a key

type Handler = Callable[[ChatApp, Principal, Request], Awaitable[Response]]


async def once(
    app: ChatApp, principal: Principal, request: Request, route: Route, handler: Handler
) -> Response:
    """The reply of the handler, or to what it made before. KeyReused, RequestInProgress."""
    key = await _key_of(app, request, route) if route.again else ""
    if not key:
        return await handler(app, principal, request)
    claim = KeyedRequest(principal.user_id, key, await _digest(app, request), app.ids.new())
    request.state.key = key
    try:
        known = await _claimed(app, claim)
        if known.made:
            return await _again(route)(app, principal, request, known.made)
        request.state.promised = known.promised
        return await _made(app, known, handler(app, principal, request))
    finally:
        forget_peeked(request)


def promised_id(request: Request) -> str:
    """The id that what this request makes shall have, so that it is made once; "" leaves it open."""
    return getattr(request.state, "promised", "")


def key_of(request: Request) -> str:
    """By which this request is known when it comes again; "" where it has no name."""
    return getattr(request.state, "key", "") or nonce_of(request)


async def _key_of(app: ChatApp, request: Request, route: Route) -> str:
    """The Idempotency-Key, or else what the dialect of the route calls a request in its body."""
    door = app.dialects[route.dialect].door if route.dialect else None
    if (key := nonce_of(request)) or door is None or not door.key:
        return key
    body = await peek_object(request, limit=app.settings.max_body_bytes)
    named = next((body[name] for name in door.key if body.get(name)), "")
    return named if isinstance(named, str) and len(named) <= MAX_ID else ""


async def _made(app: ChatApp, known: KeyedRequest, making: Awaitable[Response]) -> Response:
    """The reply. What was refused frees the key; of what failed nobody knows whether it landed."""
    try:
        reply = await making
    except ChatError as error:
        await _give_back(app, known, error.status)
        raise
    except Exception:
        await _give_back(app, known, ChatError.status)
        raise
    if reply.status_code >= 400 and "x-turn-id" not in reply.headers:
        await _give_back(app, known, reply.status_code)
    return reply


async def _give_back(app: ChatApp, known: KeyedRequest, status: int) -> None:
    """Where something is known to be made already, this does nothing. While the store is away it is tried beside the
    reply, so that a repeat is not told for as long as HELD that somebody makes it."""
    give = app.requests.free_key if status < 500 else app.requests.let_go

    async def given() -> bool:
        try:
            await give(known)
        except StoreError as error:
            record("key_not_given_back", code=error.code)
            return False
        return True

    async def go_on() -> None:
        for wait in AGAIN:
            await asyncio.sleep(wait)
            if await given():
                return

    if not await given():
        app.tasks.spawn(go_on())


async def _claimed(app: ChatApp, claim: KeyedRequest) -> KeyedRequest:
    """The request as it has come to its key first: with what it made; or it is for this caller to make, be it in place
    of somebody who failed or died. KeyReused, RequestInProgress."""
    known = await app.requests.claim_request(claim)
    if known.promised == claim.promised:
        return known
    if known.digest != claim.digest:
        raise KeyReused
    if known.made:
        return known
    held = None
    if not known.held or known.age > HELD:
        held = await app.requests.hold_request(known)
    if held is None:
        raise RequestInProgress
    return held


def _again(route: Route) -> Callable[[ChatApp, Principal, Request, Mapping[str, str]], Awaitable[Response]]:
    handler = load(route.again)
    return partial(handler, dialect=route.dialect) if route.dialect else handler


async def _digest(app: ChatApp, request: Request) -> str:
    """Of all that is asked for: method, path, query and the JSON of the body, however it is written."""
    body = await peek_object(request, limit=app.settings.max_body_bytes)
    query = sorted(request.query_params.multi_items())
    try:
        asked = orjson.dumps([request.method, request.url.path, query, body], option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise ValidationError("body", "Too deeply nested, or a number is too large") from None
    return sha256(asked).hexdigest()
