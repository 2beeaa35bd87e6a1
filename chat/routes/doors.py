"""The routes that a dialect has of its own: read, ask, and answer as it does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import ask_again, ask_as_read, asker_of, check_still
from chat.auth.base import Principal
from chat.dialects.base import Asked, Dialect, Door
from chat.dialects.framing import Cursor
from chat.events import NumberedEvent
from chat.routes.limit_headers import with_limits
from chat.routes.once import key_of, promised_id
from chat.routes.replies import shown_reply, turn_problem
from chat.routes.requests import read_body
from chat.routes.streams import OPENING, find_cursor, stream_turn
from chat.turns.feed import LiveTurn

type Asking = Callable[[Asked], Awaitable[LiveTurn]]


async def enter(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """The answer to a body that this dialect reads: a stream, or whole."""
    promised = promised_id(request)

    async def asking(asked: Asked) -> LiveTurn:
        return await ask_as_read(app, replace(asked, request=replace(asked.request, promised=promised)))

    return await _entered(app, principal, request, dialect, asking)


async def enter_again(
    app: ChatApp, principal: Principal, request: Request, made: Mapping[str, str], *, dialect: str
) -> Response:
    """The same for a request that comes again: the whole stream, or what lies behind its `Last-Event-ID`."""

    async def asking(asked: Asked) -> LiveTurn:
        return await ask_again(app, principal.user_id, asked.request.nonce, made)

    after = find_cursor(request, "") if "last-event-id" in request.headers else None
    return await _entered(app, principal, request, dialect, asking, after=after)


async def _entered(
    app: ChatApp,
    principal: Principal,
    request: Request,
    dialect: str,
    asking: Asking,
    after: Cursor | None = None,
) -> Response:
    spoken = app.dialects[dialect]
    door = spoken.door
    assert door is not None, dialect
    until = app.clock.monotonic() + door.patience
    body = await read_body(request, door.body, limit=app.settings.max_body_bytes)
    path = request.url.path
    asker = asker_of(app, principal.user_id, key_of(request), headers=request.headers, path=path)
    asked = door.read(body, asker)
    began = app.clock.monotonic()
    live = await asking(asked)
    if asked.stream:
        return await _stream(app, principal, spoken, door, live, began=began, after=after)
    patience = until - app.clock.monotonic() if asked.waits else 0
    return await _whole(app, door, live, principal, patience=patience)


async def _stream(
    app: ChatApp,
    principal: Principal,
    dialect: Dialect,
    door: Door[Any],
    live: LiveTurn,
    *,
    began: float,
    after: Cursor | None,
) -> Response:
    """Who comes back behind a frame knows that the turn began: how it failed is told as an event."""
    failed = await live.feed.opening(OPENING) if after is None else None
    await check_still(app, principal, live, began=began)
    if failed is not None:
        shown = (
            shown_reply(door.failed(live.turn, failed)) if door.failed else turn_problem(failed, live.turn)
        )
        return with_limits(shown, live.standing)
    return stream_turn(app, principal, live, dialect, after=after, framing=door.framing)


async def _whole(
    app: ChatApp, door: Door[Any], live: LiveTurn, principal: Principal, *, patience: float
) -> Response:
    """All of a turn, or what there is of it after so many seconds: it goes on without its caller."""
    assert door.whole is not None
    seen: list[NumberedEvent] = []
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(max(patience, 0)),
            aclosing(app.readers.follow(live, principal)) as batches,
        ):
            async for batch in batches:
                seen += batch
    return with_limits(shown_reply(door.whole(live.turn, seen)), live.standing)
