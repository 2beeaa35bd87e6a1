"""The routes that a dialect has of its own: read, ask, and answer as it does."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.dialects.base import Asked, Asker, Dialect, Door
from chat.dialects.framing import Cursor
from chat.events import NumberedEvent
from chat.routes.chats import find_place
from chat.routes.following import find_branch
from chat.routes.limit_headers import with_limits
from chat.routes.models import known_models
from chat.routes.once import key_of, promised_id
from chat.routes.replies import shown_reply, turn_problem
from chat.routes.requests import read_body
from chat.routes.streams import OPENING, ask, ask_again, check_still, find_cursor, stream_turn
from chat.routes.tool_schemas import check_names
from chat.turns.create import GoneOn
from chat.turns.feed import LiveTurn

type Asking = Callable[[Asked], Awaitable[LiveTurn]]


async def enter(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """The answer to a body that this dialect reads: a stream, or whole."""
    promised = promised_id(request)

    async def asking(asked: Asked) -> LiveTurn:
        placed = replace(asked, request=replace(asked.request, promised=promised))
        try:
            return await ask(app, await find_place(app, placed))
        except GoneOn:
            return await ask(app, await find_branch(app, placed))

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
    asked = door.read(body, _asker(app, principal, request))
    check_names(asked.request.tools, app.tools.definitions)
    began = app.clock.monotonic()
    live = await asking(asked)
    if asked.stream:
        return await _stream(app, principal, spoken, door, live, began=began, after=after)
    patience = until - app.clock.monotonic() if asked.waits else 0
    return await _whole(app, door, live, principal, patience=patience)


def _asker(app: ChatApp, principal: Principal, request: Request) -> Asker:
    return Asker(
        principal.user_id,
        key_of(request),
        app.settings.max_message_bytes,
        request.headers,
        known_models(app.settings),
        app.tools.definitions,
        request.url.path,
    )


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
