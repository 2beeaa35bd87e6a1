"""Frames, cursors, and streams that go on where a reader stopped."""

import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

import orjson
import pytest

from chat import events
from chat.clock import SystemClock
from chat.conversation import Turn
from chat.dialects.base import Dialect, Framing
from chat.dialects.chat import CHAT
from chat.dialects.delta import DELTA
from chat.dialects.framing import HEARTBEAT, NDJSON, Cursor, format_sse, read_cursor, sse, written
from chat.errors import ChatError, StoreUnavailable
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent
from chat.requests import TurnRequest
from chat.turns.grammar import broken_off
from tests.support.event_samples import STARTED, STEP

TURN = Turn("s-00000002", "s", TurnRequest("ann"), "s-00000001", "finished", "i", SystemClock().now())
WHOLE = [
    NumberedEvent(number, event)
    for number, event in enumerate(
        [
            STARTED, STEP, events.TextStarted("a"), events.TextDelta("a", "Hel"), events.TextDelta("a", "lo"),
            events.TextFinished("a"), events.StepFinished("stop"),
        ], 1)
] + [NumberedEvent(TERMINAL_NUMBER, events.TurnFinished())]  # fmt: skip


class TwiceEncoder:
    """A dialect in which every event is two payloads."""

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        return ({"n": numbered.number, "k": 0}, {"n": numbered.number, "k": 1})


TWICE = Dialect("twice", lambda _turn: TwiceEncoder(), framing=sse())


async def batches(*said: Sequence[NumberedEvent]) -> AsyncGenerator[Sequence[NumberedEvent]]:
    for batch in said:
        yield batch


def stream(
    dialect: Dialect,
    source: AsyncGenerator[Sequence[NumberedEvent]],
    after: Cursor | None = None,
    framing: Framing | None = None,
) -> AsyncGenerator[bytes]:
    framing = framing or dialect.framing
    assert framing is not None

    def broken(last: int, error: ChatError) -> list[events.TurnEvent]:
        return broken_off((event for number, event in WHOLE if number <= last), error)

    return written(source, dialect.encoder(TURN), framing, after=after or Cursor(), broken=broken)


async def body(dialect: Dialect, *said: Sequence[NumberedEvent], after: Cursor | None = None) -> bytes:
    async with aclosing(stream(dialect, batches(*said), after)) as frames:
        return b"".join([frame async for frame in frames])


def test_a_frame_is_an_id_and_one_line_of_json() -> None:
    frame = format_sse({"type": "text.delta", "delta": "line\nfeed \u2028 \U0001f600"}, "7.1")
    assert (
        frame == 'id: 7.1\ndata: {"type":"text.delta","delta":"line\\nfeed \u2028 \U0001f600"}\n\n'.encode()
    )


CURSORS = [
    ("41", True, Cursor(41, None)),
    ("41", False, Cursor(41, 0)),
    ("41.2", True, Cursor(41, 2)),
    ("0", True, Cursor(0, None)),
    ("99999999", True, Cursor(TERMINAL_NUMBER, None)),
]


@pytest.mark.parametrize(("text", "whole", "cursor"), CURSORS)
def test_cursors_are_read(text: str, whole: bool, cursor: Cursor) -> None:
    assert read_cursor(text, whole_event=whole) == cursor


@pytest.mark.parametrize("text", ["", "x", "-1", "1.", "1.x", "1.2.3", "123456789", "٣", " 1"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="event's number"):
        read_cursor(text, whole_event=True)


async def test_a_delta_stream_ends_with_done() -> None:
    text = (await body(DELTA, WHOLE)).decode()
    assert text == (
        'id: 4\ndata: {"type":"text.delta","delta":"Hel","seq":4}\n\n'
        'id: 5\ndata: {"type":"text.delta","delta":"lo","seq":5}\n\n'
        "data: [DONE]\n\n"
    )


async def test_a_chat_stream_ends_with_its_last_frame() -> None:
    text = (await body(CHAT, WHOLE)).decode()
    assert re.findall(r"^id: (\d+)$", text, re.MULTILINE) == ["1", "4", "5", "99999999"]
    assert text.endswith('"done":true},"turn_id":"s-00000002","seq":99999999}\n\n')


@pytest.mark.parametrize("dialect", [DELTA, CHAT, TWICE], ids=lambda each: each.name)
async def test_a_reader_that_was_cut_off_after_any_frame_gets_exactly_the_rest(dialect: Dialect) -> None:
    frames = (await body(dialect, WHOLE)).split(b"\n\n")
    for position, frame in enumerate(frames):
        if found := re.match(rb"id: ([\d.]+)\n", frame):
            after = read_cursor(found[1].decode(), whole_event=False)
            assert await body(dialect, WHOLE, after=after) == b"\n\n".join(frames[position + 1 :])


async def test_how_events_are_batched_changes_nothing() -> None:
    one_by_one = [[event] for event in WHOLE]
    assert await body(DELTA, *one_by_one) == await body(DELTA, WHOLE)


async def test_silence_is_a_comment() -> None:
    assert await body(DELTA, WHOLE[:3], (), WHOLE[3:4]) == (
        HEARTBEAT + b'id: 4\ndata: {"type":"text.delta","delta":"Hel","seq":4}\n\ndata: [DONE]\n\n'
    )


async def test_a_store_that_stays_away_is_an_error_that_can_be_resumed() -> None:
    async def failing() -> AsyncGenerator[Sequence[NumberedEvent]]:
        yield WHOLE[:4]
        raise StoreUnavailable

    async with aclosing(stream(DELTA, failing())) as frames:
        *_, error, done = [frame async for frame in frames]
    assert b'"code":"STORE_UNAVAILABLE","retryable":true' in error
    assert b"id:" not in error
    assert done == b"data: [DONE]\n\n"


class OpenEncoder:
    """A dialect that shows what is opened and closed."""

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        return ({"type": type(numbered.event).__name__},)


async def test_what_is_open_is_closed_before_a_reader_is_told_that_it_cannot_go_on() -> None:
    async def failing() -> AsyncGenerator[Sequence[NumberedEvent]]:
        yield WHOLE[:4]
        raise StoreUnavailable

    dialect = Dialect("open", lambda _turn: OpenEncoder(), framing=NDJSON)
    lines = b"".join([frame async for frame in stream(dialect, failing())]).splitlines()
    last = [orjson.loads(line)["type"] for line in lines[-3:]]
    assert last == ["TextFinished", "StepFinished", "TurnFailed"]


async def test_closing_a_stream_closes_what_it_reads() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[Sequence[NumberedEvent]]:
        try:
            while True:
                yield WHOLE[3:4]
        finally:
            closed.append(True)

    frames = stream(DELTA, endless())
    await anext(frames)
    await frames.aclose()
    assert closed == [True]
