"""Dialect `delta`, event by event."""

import orjson
import pytest

from chat import events
from chat.dialects.delta import TextDeltaEncoder
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from tests.support.event_samples import SAMPLES

CASES: list[tuple[TurnEvent, list[JSONObject]]] = [
    (events.TextDelta("a", "Our"), [{"type": "text.delta", "delta": "Our"}]),
    (events.StageFinished("plan", [], "Rome: two days"), [{"type": "text.delta", "delta": "Rome: two days"}]),
    (events.StageFinished("pois", []), []),
    (
        events.ToolOutput("c1", "query", "42"),
        [{"type": "tool.output", "name": "query", "output": "42", "id": "c1"}],
    ),
    (
        events.TurnFailed("MODEL_UNAVAILABLE", "Away", True, 503),
        [{"type": "error", "message": "Away", "code": "MODEL_UNAVAILABLE", "retryable": True}],
    ),
    (events.TurnFinished(), []),
    (events.TurnCancelled(), []),
]


@pytest.mark.parametrize(("event", "payloads"), CASES)
def test_each_event_has_its_payloads(event: TurnEvent, payloads: list[JSONObject]) -> None:
    assert list(TextDeltaEncoder().encode(NumberedEvent(4, event))) == [
        {**each, "seq": 4} for each in payloads
    ]


# What could be read, but not written again.
UNWRITABLE = ['"a":"\\ud800"}', '"\\udfff":1}', '"a":' + "[" * 600 + "]" * 600 + "}", '"a":NaN}']

ARGUMENTS = [
    (['{"space', '_id":"s"}'], {"args": {"space_id": "s"}}),
    ([], {"args": {}}),
    (["[1]"], {"args": {}, "arguments_text": "[1]"}),
    (['{"cut'], {"args": {}, "arguments_text": '{"cut'}),
    *((["{", rest], {"args": {}, "arguments_text": "{" + rest}) for rest in UNWRITABLE),
    (['{"a":99999999999999999999}'], {"args": {"a": 1e20}}),
]


@pytest.mark.parametrize(("pieces", "shown"), ARGUMENTS)
def test_a_tool_call_is_shown_whole_when_it_is_finished(pieces: list[str], shown: JSONObject) -> None:
    encoder = TextDeltaEncoder()
    said = [events.ToolCallStarted("c1", "query"), *(events.ToolCallDelta("c1", each) for each in pieces)]
    assert [payload for event in said for payload in encoder.encode(NumberedEvent(1, event))] == []
    [payload] = encoder.encode(NumberedEvent(2, events.ToolCallFinished("c1")))
    assert payload == {"type": "tool.call", "name": "query", "id": "c1", "seq": 2, **shown}
    assert orjson.loads(orjson.dumps(payload)) == payload


@pytest.mark.parametrize("depth", range(235, 265))
def test_arguments_of_any_depth_fit_into_their_frames(depth: int) -> None:
    text = '{"a":' + "[" * depth + "]" * depth + "}"
    encoder = TextDeltaEncoder()
    said = [events.ToolCallStarted("c", "x"), events.ToolCallDelta("c", text), events.ToolCallFinished("c")]
    payloads = [payload for event in said for payload in encoder.encode(NumberedEvent(1, event))]
    assert orjson.loads(orjson.dumps({"type": "message", "data": payloads}))


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_no_event_is_unknown_and_every_payload_has_a_type(kind: type[TurnEvent]) -> None:
    for payload in TextDeltaEncoder().encode(NumberedEvent(TERMINAL_NUMBER, SAMPLES[kind])):
        assert payload["type"] in {"text.delta", "tool.call", "tool.output", "error"}
