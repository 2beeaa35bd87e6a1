"""Dialect `chat`, event by event."""

import pytest

from chat import events
from chat.dialects.chat_chunk import ChatChunkEncoder
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from tests.turns.test_grammar import SAMPLES, STARTED

CASES: list[tuple[TurnEvent, JSONObject | None]] = [
    (STARTED, {"type": "chat_start", "payload": {}}),
    (events.TextDelta("a", "Hello"), {"type": "chat_chunk", "payload": {"text": "Hello", "done": False}}),
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
    assert list(ChatChunkEncoder("t-1").encode(NumberedEvent(7, event))) == expected


@pytest.mark.parametrize("kind", events.TERMINAL_TYPES, ids=lambda kind: kind.__name__)
def test_every_end_of_a_turn_is_one_frame(kind: type[TurnEvent]) -> None:
    assert len(list(ChatChunkEncoder("t").encode(NumberedEvent(TERMINAL_NUMBER, SAMPLES[kind])))) == 1
