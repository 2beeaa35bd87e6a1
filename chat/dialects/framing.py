"""How payloads become the body of a stream, and where in it a reader was.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html. LF only: some clients split frames
on two line feeds and read nothing else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import orjson

from chat.conversation import Turn
from chat.dialects.base import Encoder, Framing
from chat.errors import ChatError
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent

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


class Counted:
    """How far a reader got who counts payloads. The last event is always shown: of what such a reader had, not all may
    have been stored when its maker died."""

    def __init__(self, count: int) -> None:
        self._left = count

    def covers(self, number: int, _index: int) -> bool:
        """Asked once for each payload, in their order."""
        if self._left <= 0 or number == TERMINAL_NUMBER:
            return False
        self._left -= 1
        return True


type Place = Cursor | Counted


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


def format_named_sse(payload: JSONObject, event_id: str = "") -> bytes:
    """One frame, whose event is named by the type of its payload."""
    return b"event: %s\n" % str(payload["type"]).encode() + format_sse(payload, event_id)


def sse(
    *,
    done: str = "",
    with_ids: bool = True,
    named: bool = False,
    headers: Callable[[Turn], Mapping[str, str]] = lambda _: {},
) -> Framing:
    """Server-sent events that end with `data: {done}`, if that is given. Without ids and names a frame is that one
    line: some clients look for `data: ` at its beginning."""
    written = format_named_sse if named else format_sse
    return Framing(
        content_type="text/event-stream",
        frame=written if with_ids else lambda payload, _: written(payload),
        heartbeat=HEARTBEAT,
        done=b"data: %s\n\n" % done.encode() if done else b"",
        headers=headers,
    )


NDJSON = Framing("application/x-ndjson", lambda payload, _: orjson.dumps(payload) + b"\n", b"\n")
"""A line for each payload (https://github.com/ndjson/ndjson-spec, 1.0.0); an empty one is silence."""


async def written(
    batches: AsyncGenerator[Sequence[NumberedEvent]],
    encoder: Encoder,
    framing: Framing,
    *,
    after: Place,
    idle: float | None = None,
    broken: Callable[[int, ChatError], Iterable[TurnEvent]],
) -> AsyncGenerator[bytes]:
    """A turn as the body of a stream. `batches` begins with the turn's first event, so that the encoder knows what
    went before; payloads up to `after` are not sent again. An empty batch is silence, and so are events that the
    dialect does not show for `idle` seconds. `broken` are the events with which a stream ends that cannot go on, by
    the number of the last one that was seen: they have no id, so the reader may come back with the one it has."""
    clock = asyncio.get_running_loop().time
    sent, last = clock(), 0
    try:
        async with aclosing(batches):
            async for batch in batches:
                frames = framing.heartbeat
                if batch:
                    last = batch[-1].number
                    frames = b"".join(_frames(batch, encoder, framing, after))
                if not frames and idle is not None and clock() - sent >= idle:
                    frames = framing.heartbeat
                if frames:
                    sent = clock()
                    yield frames
    except ChatError as error:
        ending = [NumberedEvent(0, each) for each in broken(last, error)]
        yield b"".join(framing.frame(each, "") for event in ending for each in encoder.encode(event))
    if framing.done:
        yield framing.done


def _frames(
    batch: Iterable[NumberedEvent], encoder: Encoder, framing: Framing, after: Place
) -> Iterator[bytes]:
    for numbered in batch:
        for index, payload in enumerate(encoder.encode(numbered)):
            if not after.covers(numbered.number, index):
                yield framing.frame(payload, f"{numbered.number}.{index}" if index else str(numbered.number))
