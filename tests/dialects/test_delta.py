"""Dialect `delta`, event by event."""

from typing import Any

import orjson
import pytest

from chat import events
from chat.dialects.base import Asker
from chat.dialects.delta import DELTA, TextDeltaEncoder
from chat.errors import ValidationError
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from chat.requests import TurnRequest
from chat.schemas.fields import validate
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
        events.ToolOutput("c1", "query", "Not run", is_error=True, denied=True),
        [{"type": "tool.output", "name": "query", "output": "Not run", "id": "c1", "denied": True}],
    ),
    (
        events.ApprovalRequested("c1", "query"),
        [{"type": "tool.approval", "name": "query", "id": "c1"}],
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
        assert payload["type"] in {"text.delta", "tool.call", "tool.approval", "tool.output", "error"}


def asked(*messages: Any) -> TurnRequest:
    door = DELTA.door
    assert door is not None
    return door.read(validate(door.body, {"messages": list(messages)}), Asker("ann", "", 1000)).request


HI: JSONObject = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
        {"role": "assistant", "tool_calls": [{"id": "c1"}]},
        {"role": "assistant", "content": ""},
        {"role": "system", "content": None},
        {"role": "user", "content": " "},
    ],
)
def test_what_has_no_content_is_passed_over_in_what_clients_send_again(message: JSONObject) -> None:
    request = asked(
        HI, message, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "And?"}
    )
    assert [(each.role, each.content) for each in request.history] == [("user", "Hi"), ("assistant", "Hello")]
    assert request.content == "And?"


@pytest.mark.parametrize("content", [None, "", " "])
def test_the_last_message_has_to_say_something(content: str | None) -> None:
    with pytest.raises(ValidationError) as refused:
        asked(HI, {"role": "user", "content": content})
    assert (refused.value.field, refused.value.message) == (
        "messages.1.content",
        "Message content cannot be empty",
    )
