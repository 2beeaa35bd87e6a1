"""Turns as HTTP streams: the headers wait for the first thing said, the body follows the turn."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from chat.app import ChatApp
from chat.asking.asks import ask, ask_again, check_still
from chat.auth.base import Principal
from chat.dialects.base import Dialect, Framing
from chat.dialects.catalogue import USUAL
from chat.dialects.framing import Cursor, Place, read_cursor, written
from chat.errors import ChatError, ValidationError
from chat.events import JSONObject, TurnEvent
from chat.requests import OnBusy, TurnRequest
from chat.routes.limit_headers import with_limits
from chat.routes.replies import turn_problem
from chat.routes.requests import nonce_of, read_header
from chat.routes.worker import UNWRAPPED_SEND
from chat.turns.feed import LiveTurn
from chat.turns.grammar import broken_off

OPENING = 10.0  # seconds in which a failure still becomes an HTTP status


HEADERS = {
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
}


async def start_and_stream(
    app: ChatApp, principal: Principal, request: TurnRequest, on_busy: OnBusy | None = None
) -> Response:
    """Start a turn and answer with its stream, or with a problem when it fails before it says anything."""
    began = app.clock.monotonic()
    return await _opened(app, principal, await ask(app, request, on_busy), request.dialect, began=began)


async def stream_again(
    app: ChatApp, principal: Principal, request: Request, made: Mapping[str, str]
) -> Response:
    """The same for a request that comes again."""
    began = app.clock.monotonic()
    live = await ask_again(app, principal.user_id, nonce_of(request), made)
    return await _opened(app, principal, live, made["dialect"], began=began)


async def _opened(
    app: ChatApp, principal: Principal, live: LiveTurn, dialect: str, *, began: float
) -> Response:
    failed = await live.feed.opening(OPENING)
    await check_still(app, principal, live, began=began)
    if failed is not None:
        return with_limits(turn_problem(failed, live.turn), live.standing)
    return stream_turn(app, principal, live, app.dialects[dialect])


def stream_turn(
    app: ChatApp,
    principal: Principal,
    live: LiveTurn,
    dialect: Dialect,
    *,
    after: Place | None = None,
    framing: Framing | None = None,
) -> Response:
    """A turn from the given place on, as long as this caller may read it."""
    framing = framing or dialect.framing
    assert framing is not None
    headers = {
        "content-type": framing.content_type,
        **HEADERS,
        **framing.headers(live.turn),
        "x-session-id": live.turn.session_id,
        "x-turn-id": live.turn.id,
    }
    body = _body(app, principal, live, dialect, framing, after or Cursor())
    return with_limits(FrameResponse(body, headers=headers), live.standing)


def whole_stream(payloads: Iterable[JSONObject], framing: Framing) -> Response:
    """A stream that has come to its end already: payloads of no turn, without places to come back to."""
    body = b"".join(framing.frame(each, "") for each in payloads) + framing.done
    return Response(body, headers={"content-type": framing.content_type, **HEADERS})


class FrameResponse(StreamingResponse):
    """Sends its head through the middlewares, which want to know that a reply began, and its frames past them: six
    coroutines that pass a frame on unread cost more than its JSON."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._unwrapped: Send = scope.get(UNWRAPPED_SEND, send)
        await super().__call__(scope, receive, send)

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        send = self._unwrapped
        async for frames in self.body_iterator:
            await send({"type": "http.response.body", "body": frames, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(
    app: ChatApp, principal: Principal, live: LiveTurn, dialect: Dialect, framing: Framing, after: Place
) -> AsyncGenerator[bytes]:
    """The outermost generator: it owns the chain below and closes it when the caller leaves."""

    def broken(last: int, error: ChatError) -> list[TurnEvent]:
        return broken_off((event for number, event in live.feed.events if number <= last), error)

    app.connections += 1
    try:
        if not (live.feed.spoken or live.feed.ended):
            yield framing.heartbeat  # the model thinks: the caller sees at once that the turn is on its way
        idle = app.settings.heartbeat or None
        batches, encoder = app.readers.follow(live, principal, idle=idle), dialect.encoder(live.turn)
        body = written(batches, encoder, framing, after=after, idle=idle, broken=broken)
        async with aclosing(body) as frames:
            async for frame in frames:
                yield frame
    finally:
        app.connections -= 1


def find_dialect(app: ChatApp, *names: str | None, pipeline: str = "") -> str:
    """The first that is named, or else the usual one, of the dialects that HTTP can carry. ValidationError for
    another."""
    name = next(filter(None, names), USUAL[pipeline])
    known = sorted(each.name for each in app.dialects.values() if each.framing is not None)
    if name not in known:
        raise ValidationError("dialect", f"Not one of {', '.join(known)}")
    return name


def find_cursor(request: Request, after: str) -> Cursor:
    """Where a reader goes on: `?after=`, else the header that browsers send. ValidationError."""
    last_event_id = read_header(request, "last-event-id")
    try:
        if after:
            return read_cursor(after, whole_event=True)
        return read_cursor(last_event_id, whole_event=False) if last_event_id else Cursor()
    except ValueError as error:
        raise ValidationError("after" if after else "last-event-id", str(error)) from None
