"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).

LF only: some clients split frames on two line feeds and read nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import orjson

from chat.conversation import Turn
from chat.dialects.base import Dialect, Encoder
from chat.errors import ChatError
from chat.events import JSONObject, NumberedEvent, TurnFailed

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
    "access-control-expose-headers": "x-session-id, x-turn-id",
}
HEARTBEAT = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader got: the event's number, and how many of its further payloads; None for all of them."""

    number: int = 0
    further: int | None = None

    def covers(self, number: int, index: int) -> bool:
        """Whether the reader has the index-th payload of that event."""
        if number == self.number:
            return self.further is None or index <= self.further
        return number < self.number


def read_cursor(text: str, *, whole_event: bool) -> Cursor:
    """`41` or `41.2`. A bare number is a whole event in a query, but in a `Last-Event-ID` just the first payload
    of its event. ValueError for anything else."""
    number, dot, further = text.partition(".")
    if not all(
        part.isascii() and part.isdigit() and len(part) <= 8 for part in (number, further if dot else "0")
    ):
        raise ValueError(f"{text!r} is not an event's number")
    if dot:
        return Cursor(int(number), int(further))
    return Cursor(int(number), None if whole_event else 0)


def format_sse(payload: JSONObject, event_id: str = "") -> bytes:
    """One frame."""
    head = b"id: %s\ndata: " % event_id.encode() if event_id else b"data: "
    return head + orjson.dumps(payload) + b"\n\n"


async def sse_stream(
    batches: AsyncGenerator[Sequence[NumberedEvent]],
    dialect: Dialect,
    turn: Turn,
    *,
    after: Cursor,
    idle: float | None = None,
) -> AsyncGenerator[bytes]:
    """A turn as an SSE body. `batches` begins with the turn's first event, so that the encoder knows what went
    before; payloads up to `after` are not sent again. An empty batch is silence, and so are events that this dialect
    does not show for `idle` seconds."""
    encoder = dialect.encoder(turn)
    clock = asyncio.get_running_loop().time
    sent = clock()
    try:
        async with aclosing(batches):
            async for batch in batches:
                frames = b"".join(_frames(batch, encoder, after)) if batch else HEARTBEAT
                if not frames and idle is not None and clock() - sent >= idle:
                    frames = HEARTBEAT
                if frames:
                    sent = clock()
                    yield frames
    except ChatError as error:  # the store is away: the reader may come back with the id it has
        failed = TurnFailed(error.code, error.message, error.retryable)
        yield b"".join(format_sse(each) for each in encoder.encode(NumberedEvent(0, failed)))
    if dialect.done_marker is not None:
        yield b"data: %s\n\n" % dialect.done_marker.encode()


def _frames(batch: Iterable[NumberedEvent], encoder: Encoder, after: Cursor) -> Iterator[bytes]:
    for numbered in batch:
        for index, payload in enumerate(encoder.encode(numbered)):
            if not after.covers(numbered.number, index):
                yield format_sse(payload, f"{numbered.number}.{index}" if index else str(numbered.number))
