"""The tool `ask` of the Model Context Protocol: whole, or by a stream with progress.

Clients wait for a minute: so what takes longer is answered as far as it got, with the id by which one asks again. The
turn goes on meanwhile, whoever waits.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import ask_as_read, asker_of
from chat.auth.base import Principal
from chat.dialects.base import Door, Reply
from chat.dialects.framing import Cursor, written
from chat.errors import ChatError, ValidationError
from chat.events import JSON, TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from chat.routes import streams
from chat.routes.limit_headers import with_limits
from chat.routes.mcp_tools import arguments_of, check_write, show_tool_failure
from chat.routes.replies import json_reply, shown_reply
from chat.routes.requests import nonce_of
from chat.schemas.fields import validate
from chat.schemas.json_rpc import show_result
from chat.schemas.mcp_bodies import Ask, McpMessage
from chat.turns.feed import LiveTurn
from chat.turns.grammar import broken_off

DIALECT = "mcp"
TICK = 0.5  # seconds after which a wait is looked at that hears nothing
SSE = "text/event-stream"


async def ask(
    app: ChatApp, principal: Principal, request: Request, message: McpMessage, *, modern: bool
) -> Response:
    """The answer to a call of `ask`. RpcError where the arguments are no object."""
    until = app.clock.monotonic() + app.settings.mcp_patience
    arguments_of(message.params.get("arguments"))
    try:
        live = await _turn(app, principal, request, message)
    except ChatError as error:
        result = show_tool_failure(error)
        reply = show_result(message.id, {**result, "resultType": "complete"} if modern else result)
        return with_limits(json_reply(reply), getattr(error, "standing", None))
    token = _token(message)
    client: JSONObject = {"id": message.id, "token": token, "modern": modern}
    live = replace(live, turn=replace(live.turn, request=replace(live.turn.request, client=client)))
    wait = _Wait(app, live, until)
    if token is not None and SSE in request.headers.get("accept", ""):
        headers = {"content-type": SSE, **streams.HEADERS}
        return with_limits(streams.FrameResponse(_frames(wait, principal), headers=headers), live.standing)
    return with_limits(await _whole(wait, principal), live.standing)


async def _turn(app: ChatApp, principal: Principal, request: Request, message: McpMessage) -> LiveTurn:
    """The turn that begins, or the one that is waited for. ChatError."""
    asked = validate(Ask, arguments_of(message.params.get("arguments")))
    if asked.turn_id:
        if asked.text is not None:
            raise ValidationError("text", "Cannot be given with turn_id")
        return await app.runner.open(principal.user_id, asked.turn_id)
    check_write(principal)
    asker = asker_of(app, principal.user_id, nonce_of(request), headers=request.headers)
    return await ask_as_read(app, _door(app).read(message, asker))


def _token(message: McpMessage) -> JSON:
    """By which the client knows what progress is about; None when it wants to hear of none."""
    meta = message.params.get("_meta")
    token = meta.get("progressToken") if isinstance(meta, dict) else None  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
    return token if isinstance(token, str | int) and not isinstance(token, bool) else None


@dataclass(slots=True)
class _Wait:
    """One who waits for a turn until a time (monotonic)."""

    app: ChatApp
    live: LiveTurn
    until: float
    seen: list[NumberedEvent] = field(default_factory=list[NumberedEvent])
    late: bool = False  # whether time was up before the turn was

    async def batches(self, principal: Principal) -> AsyncGenerator[Sequence[NumberedEvent]]:
        """What is said in time, and an empty batch when a heartbeat is due."""
        clock, heartbeat = self.app.clock.monotonic, self.app.settings.heartbeat
        heard = clock()
        async with aclosing(self.app.readers.follow(self.live, principal, idle=TICK)) as batches:
            async for batch in batches:
                if batch or (heartbeat and clock() - heard >= heartbeat):
                    heard = clock()
                    self.seen += batch
                    yield batch
                if clock() >= self.until and not self.ended:
                    self.late = True
                    return

    @property
    def ended(self) -> bool:
        return bool(self.seen) and self.seen[-1].number == TERMINAL_NUMBER

    def broken(self, last: int, error: ChatError) -> list[TurnEvent]:
        """What is told of a turn of which nothing more can be learned here."""
        return broken_off((event for number, event in self.live.feed.events if number <= last), error)


async def _whole(wait: _Wait, principal: Principal) -> Response:
    try:
        async with aclosing(wait.batches(principal)) as batches:
            async for _ in batches:
                pass
    except ChatError as error:
        last = wait.seen[-1].number if wait.seen else 0
        wait.seen += (NumberedEvent(0, each) for each in wait.broken(last, error))
    return shown_reply(_shown(wait))


async def _frames(wait: _Wait, principal: Principal) -> AsyncGenerator[bytes]:
    """Progress, and then the answer as far as it got. A comment is sent for what is silence to clients."""
    app, turn = wait.app, wait.live.turn
    encoder, idle = app.dialects[DIALECT].encoder(turn), app.settings.heartbeat or None
    framing = _door(app).framing
    assert framing is not None
    app.connections += 1
    try:
        body = written(
            wait.batches(principal), encoder, framing, after=Cursor(), idle=idle, broken=wait.broken
        )
        async with aclosing(body) as frames:
            async for frame in frames:
                yield frame
        if wait.late:
            yield framing.frame(orjson.loads(_shown(wait).body), "")
    finally:
        app.connections -= 1


def _shown(wait: _Wait) -> Reply:
    whole = _door(wait.app).whole
    assert whole is not None
    return whole(wait.live.turn, wait.seen)


def _door(app: ChatApp) -> Door[Any]:
    door = app.dialects[DIALECT].door
    assert door is not None
    return door
