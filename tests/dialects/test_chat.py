"""Dialect `chat`, event by event."""

from datetime import UTC, datetime

import pytest

from chat import events
from chat.conversation import Turn
from chat.dialects.chat import CHAT, ChatChunkEncoder
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from chat.requests import TurnRequest
from tests.support.event_samples import SAMPLES, STARTED

CASES: list[tuple[TurnEvent, JSONObject | None]] = [
    (STARTED, {"type": "chat_start", "payload": {}, "session_id": "s"}),
    (events.TextDelta("a", "Hello"), {"type": "chat_chunk", "payload": {"text": "Hello", "done": False}}),
    (
        events.StageFinished("plan", [], "Rome: two days"),
        {"type": "chat_chunk", "payload": {"text": "Rome: two days", "done": False}},
    ),
    (events.StageFinished("pois", []), None),
    (events.TurnFinished(), {"type": "chat_chunk", "payload": {"text": "", "done": True}}),
    (events.TurnCancelled(), {"type": "chat_chunk", "payload": {"text": "", "done": True}}),
    (
        events.TurnFailed("X", "Error message", False),
        {"type": "chat_error", "payload": {"error": "Error message", "code": "X", "retryable": False}},
    ),
    (events.ToolOutput("c", "now", "noon"), None),
]


@pytest.mark.parametrize(("event", "frame"), CASES)
def test_each_event_has_its_frame(event: TurnEvent, frame: JSONObject | None) -> None:
    expected = [] if frame is None else [{**frame, "turn_id": "t-1", "seq": 7}]
    assert list(ChatChunkEncoder("t-1", "s").encode(NumberedEvent(7, event))) == expected


def test_who_comes_late_is_shown_the_text_of_stages_too() -> None:
    said = [STARTED, events.StageFinished("pois", []), events.StageFinished("plan", [], "Rome: two days")]
    numbered = [NumberedEvent(number, event) for number, event in enumerate(said, 1)]
    turn = Turn("t-1", "s", TurnRequest("ann"), "m", "running", "i", datetime(2026, 11, 20, tzinfo=UTC))
    start, chunk = CHAT.face.snapshot(turn, numbered)
    assert (start["type"], chunk["seq"], chunk["payload"]) == (
        "chat_start",
        3,
        {"text": "Rome: two days", "done": False},
    )


@pytest.mark.parametrize("kind", events.TERMINAL_TYPES, ids=lambda kind: kind.__name__)
def test_every_end_of_a_turn_is_one_frame(kind: type[TurnEvent]) -> None:
    assert len(list(ChatChunkEncoder("t", "s").encode(NumberedEvent(TERMINAL_NUMBER, SAMPLES[kind])))) == 1
