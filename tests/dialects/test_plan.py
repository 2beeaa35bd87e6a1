"""Dialect `plan`, event by event."""

import pytest

from chat import events
from chat.dialects.plan import PlanEncoder
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from tests.support.event_samples import SAMPLES, STARTED

CASES: list[tuple[TurnEvent, JSONObject | None]] = [
    (STARTED, None),
    (events.StageStarted("pois"), None),
    (events.StageItem("pois", {"id": "x"}), {"type": "poi", "data": {"id": "x"}}),
    (events.StageItem("other", {"id": "x"}), None),
    (
        events.StageFinished("intents", [{"intent": "other"}]),
        {"type": "intents", "data": [{"intent": "other"}]},
    ),
    (events.StageFinished("plan", [], "A plan"), {"type": "plan", "data": []}),
    (events.StageFinished("plan"), None),  # its answer did not do
    (events.Progress(25), {"type": "progress", "percent": 25}),
    (events.TextDelta("t", "{"), None),
    (events.TurnFinished(), {"type": "done"}),
    (
        events.TurnFailed("X", "Why", True),
        {"type": "error", "message": "Why", "code": "X", "retryable": True},
    ),
    (events.TurnCancelled(), {"type": "error", "message": "The turn was stopped.", "code": "CANCELLED"}),
]


@pytest.mark.parametrize(("event", "frame"), CASES, ids=lambda value: type(value).__name__)
def test_each_event_has_its_frame(event: TurnEvent, frame: JSONObject | None) -> None:
    encoder = PlanEncoder("t-1", "s")
    list(encoder.encode(NumberedEvent(1, events.Progress(0))))
    expected = [] if frame is None else [{**frame, "turn_id": "t-1", "seq": 7}]
    assert list(encoder.encode(NumberedEvent(7, event))) == expected


def test_the_first_frame_alone_names_the_session() -> None:
    encoder = PlanEncoder("t-1", "s")
    said = [STARTED, events.StageStarted("intents"), events.StageFinished("intents", []), events.Progress(25)]
    frames = [
        frame for number, each in enumerate(said, 1) for frame in encoder.encode(NumberedEvent(number, each))
    ]
    assert [each.get("session_id") for each in frames] == ["s", None]


@pytest.mark.parametrize("kind", events.TERMINAL_TYPES, ids=lambda kind: kind.__name__)
def test_every_end_of_a_turn_is_one_frame(kind: type[TurnEvent]) -> None:
    assert len(list(PlanEncoder("t", "s").encode(NumberedEvent(TERMINAL_NUMBER, SAMPLES[kind])))) == 1
