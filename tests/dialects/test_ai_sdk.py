"""Dialect `ai-sdk`: event by event, a message of several turns, and what it reads."""

import base64
import functools
import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import events
from chat.calls import Approval, CallOutput
from chat.conversation import Turn
from chat.dialects.ai_sdk import AI_SDK
from chat.dialects.ai_sdk.chunk_schemas import AiSdkFrame
from chat.dialects.base import Asked, Asker, Door, Earlier
from chat.dialects.framing import Counted
from chat.errors import ChatError, ValidationError
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from chat.requests import TurnRequest
from chat.schemas.fields import read_json, validate
from tests.support.event_samples import SAMPLES, STARTED

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def turn(turn_id: str = "s-00000002", **client: Any) -> Turn:
    request = TurnRequest("ann", dialect="ai-sdk", client=client)
    return Turn(turn_id, "s", request, "s-00000001", "running", "i", NOW)


def encoded(*said: TurnEvent, **client: Any) -> list[JSONObject]:
    encoder = AI_SDK.encoder(turn(**client))
    return [chunk for each in numbered(*said) for chunk in encoder.encode(each)]


def numbered(*said: TurnEvent) -> list[NumberedEvent]:
    return [NumberedEvent(number, each) for number, each in enumerate(said, 1)]


CALL = (
    events.ToolCallStarted("c", "ask"),
    events.ToolCallDelta("c", '{"a":1}'),
    events.ToolCallFinished("c"),
)
ENDS: list[tuple[tuple[TurnEvent, ...], dict[str, Any], list[str]]] = [
    ((events.TurnFinished(),), {}, ["finish stop"]),
    ((events.StepFinished("length"), events.TurnFinished()), {}, ["finish-step", "finish length"]),
    ((events.StepFinished("tool_calls"), events.TurnFinished()), {}, ["finish-step", "finish tool-calls"]),
    ((events.StepFinished("unheard"), events.TurnFinished()), {}, ["finish-step", "finish other"]),
    ((events.TurnFailed("X", "Away", True),), {}, ["error", "finish error"]),
    ((events.TurnCancelled(),), {}, ["abort", "finish other"]),
    ((events.TurnCancelled(),), {"v7": True}, ["abort", "finish interrupted"]),
]


@pytest.mark.parametrize(("said", "client", "kinds"), ENDS)
def test_every_turn_ends_with_a_finish(
    said: tuple[TurnEvent, ...], client: dict[str, Any], kinds: list[str]
) -> None:
    found = encoded(*said, **client)
    assert [f"{each['type']} {each.get('finishReason', '')}".strip() for each in found] == kinds


def test_a_stream_that_breaks_off_has_none_so_that_its_client_comes_back() -> None:
    found = AI_SDK.encoder(turn()).encode(NumberedEvent(0, events.TurnFailed("X", "Away", True)))
    assert list(found) == [{"type": "error", "errorText": "Away"}]


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("client", [{}, {"v7": True, "tools": ["now"], "message": "m"}])
def test_every_chunk_is_one_that_is_described(kind: type[TurnEvent], client: dict[str, Any]) -> None:
    for chunk in encoded(SAMPLES[kind], **client):
        AiSdkFrame.model_validate_json(orjson.dumps(chunk))


def test_a_call_of_ours_is_dynamic_and_nothing_for_the_page_to_run() -> None:
    found = encoded(*CALL)
    assert [each["type"] for each in found] == [
        "tool-input-start",
        "tool-input-delta",
        "tool-input-available",
    ]
    assert all(each["dynamic"] and each["providerExecuted"] for each in (found[0], found[2]))
    assert found[2]["input"] == {"a": 1}


ENDED_STEPS: list[tuple[str, list[str]]] = [
    ("tool_calls", ["tool-input-available", "finish-step"]),
    ("stop", ["tool-input-available", "finish-step"]),
    ("cancelled", ["finish-step"]),
    ("error", ["finish-step"]),
]


@pytest.mark.parametrize(("reason", "kinds"), ENDED_STEPS)
def test_a_call_of_the_page_is_shown_once_it_is_to_be_run(reason: str, kinds: list[str]) -> None:
    found = encoded(*CALL, events.StepFinished(reason), tools=["ask"])
    assert [each["type"] for each in found[2:]] == kinds
    assert not any("dynamic" in each for each in found)


def test_a_call_of_the_page_that_must_not_be_run_is_an_error() -> None:
    refused = events.ToolOutput("c", "ask", "Not run.", is_error=True)
    found = encoded(*CALL, refused, events.StepFinished("length"), tools=["ask"])
    assert found[2]["type"] == "tool-input-error"
    assert found[2]["errorText"] == "Not run."
    assert [each["type"] for each in found[3:]] == ["finish-step"]


def test_arguments_that_are_no_json_are_an_error() -> None:
    found = encoded(CALL[0], events.ToolCallDelta("c", '{"cut'), CALL[2])
    assert (found[-1]["type"], found[-1]["input"]) == ("tool-input-error", '{"cut')


def test_outputs_of_calls_that_nobody_saw_come_with_them() -> None:
    output = events.ToolOutput("c", "ask", "yes")
    assert [each["type"] for each in encoded(STARTED, output)] == [
        "start",
        "tool-input-available",
        "tool-output-available",
    ]
    assert [each["type"] for each in encoded(STARTED, output, message="m")] == [
        "start",
        "tool-output-available",
    ]


def test_a_message_of_several_turns_is_shown_whole() -> None:
    first = (
        STARTED,
        events.TextStarted("0"),
        events.TextDelta("0", "So:"),
        events.TextFinished("0"),
        *CALL,
        events.StepFinished("tool_calls"),
        events.Progress(10),
        events.TurnFinished(),
    )
    calls: list[JSONObject] = [{"id": "c", "output": "red", "is_error": False}]
    earlier = Earlier(turn("s-00000002", tools=["ask"]), numbered(*first), calls)
    assert AI_SDK.joined is not None
    encoder = AI_SDK.joined(turn("s-00000003", tools=["ask"]), earlier=[earlier])
    found = [chunk for each in numbered(STARTED, events.TurnFinished()) for chunk in encoder.encode(each)]
    assert found[0]["messageId"] == "s-00000002"
    kinds = ["start", "text-start", "text-delta", "text-end", "tool-input-start", "tool-input-delta"]
    kinds += ["tool-input-available", "finish-step", "tool-output-available", "finish"]
    assert [each["type"] for each in found] == kinds
    again = encoder.encode(NumberedEvent(3, events.ToolOutput("c", "ask", "red")))
    assert [each["type"] for each in again] == ["tool-output-available"]


def test_who_counts_is_shown_the_end_whatever_they_count() -> None:
    place = Counted(3)
    seen = [(1, 0), (1, 1), (2, 0), (3, 0), (TERMINAL_NUMBER, 0)]
    assert [place.covers(*each) for each in seen] == [True, True, True, False, False]
    ahead = Counted(99)
    assert [ahead.covers(*each) for each in seen] == [True, True, True, True, False]


def door() -> Door[Any]:
    assert AI_SDK.door is not None
    return AI_SDK.door


def asked(body: Any, limit: int = 1000) -> Asked:
    return door().read(validate(door().body, body), Asker("ann", "", limit))


def message(*parts: Any, role: str = "user", **more: Any) -> JSONObject:
    return {"role": role, "parts": [*parts], **more}


def text(said: str) -> JSONObject:
    return {"type": "text", "text": said}


HI = message(text("Hi"))


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [HI]},
        {"message": HI},
        {"messages": [HI], "id": None, "trigger": None, "messageId": None, "message": None, "tools": None},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"messages": [message(text("H"), {"type": "step-start"}, text("i"), {"type": "data-x", "data": 1})]},
    ],
)
def test_a_question_however_it_is_sent(body: Any) -> None:
    found = asked(body)
    assert (found.request.content, found.chat, found.anew, found.answers) == ("Hi", "", None, ())


def test_a_chat_without_a_name_is_that_of_its_answers() -> None:
    answer = message(text("Hello"), role="assistant", id="01M7XNHA5XT5A9JSFT52QBJFGY-00000002")
    assert asked({"messages": [HI, answer, HI]}).chat == answer["id"]
    assert asked({"messages": [HI, {**answer, "id": "made up"}, HI]}).chat == ""
    assert asked({"id": "mine", "messages": [HI, answer, HI]}).chat == "mine"


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        (
            {"type": "tool-ask", "toolCallId": "c", "state": "output-available", "output": "red"},
            CallOutput("c", "red"),
        ),
        (
            {"type": "tool-ask", "toolCallId": "c", "state": "output-available", "output": {"a": [1]}},
            CallOutput("c", '{"a":[1]}'),
        ),
        (
            {"type": "tool-ask", "toolCallId": "c", "state": "output-available"},
            CallOutput("c", "null"),
        ),
        (
            {"type": "tool-ask", "toolCallId": "c", "state": "output-error", "errorText": "no"},
            CallOutput("c", "no", is_error=True),
        ),
        (
            {
                "type": "dynamic-tool",
                "toolName": "pay",
                "toolCallId": "c",
                "state": "approval-responded",
                "approval": {"id": "c", "approved": False, "reason": "no"},
            },
            Approval("c", False, reason="no"),
        ),
    ],
)
def test_what_is_said_to_calls(part: JSONObject, answer: CallOutput | Approval) -> None:
    before = {"type": "tool-ask", "toolCallId": "b", "state": "output-available", "output": "old"}
    ours = {"type": "dynamic-tool", "toolCallId": "d", "state": "output-available", "output": "ours"}
    step = {"type": "step-start"}
    said = message(step, before, step, part, ours, role="assistant", id="m")
    found = asked({"messages": [HI, said]})
    assert found.answers == (answer,)
    assert found.request.client == {"message": "m"}
    older = asked({"messages": [HI, said, HI], "messageId": "m"})
    assert older.answers == (answer,)
    assert asked({"messages": [HI, said, HI]}).answers == ()


TOO_LARGE = {"type": "tool-ask", "toolCallId": "c", "state": "output-available", "output": "x" * 65_537}


DEEP: Any = functools.reduce(lambda inner, _: [inner], range(400), [])


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (None, "messages.0.parts.0"),
        ({"type": 7}, "messages.0.parts.0.type"),
        ({"type": "text", "text": 7}, "messages.0.parts.0.text"),
        ({"type": "tool-ask", "state": "output-available"}, "messages.0.parts.0.toolCallId"),
        ({**TOO_LARGE, "output": DEEP}, "messages.0.parts.0.output"),
    ],
)
def test_a_part_that_is_wrong_is_named_by_its_place(part: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        asked({"messages": [message(part, role="assistant")]})
    assert refused.value.field == field


def test_a_tool_with_a_wrong_name_is_named() -> None:
    with pytest.raises(ValidationError) as refused:
        asked({"messages": [HI], "tools": {"a b": {}}})
    assert refused.value.field == "tools.a b"


def test_an_output_that_is_too_large_is_refused() -> None:
    with pytest.raises(ChatError, match=r"messages\.0\.parts\.0\.output is larger"):
        asked({"messages": [message(TOO_LARGE, role="assistant")]})


def data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        (data("text/plain", b"a"), "text/plain", "a"),
        (data("application/json", b"{}"), "", "{}"),
        ("data:,a%20b", "", "a b"),
        ("data:text/plain;charset=utf-8,%C3%A9", "", "é"),
        (data("application/ld+json", b"\xef\xbb\xbf{}"), "application/ld+json; charset=x", "{}"),
    ],
)
def test_a_file_of_text_is_read(url: str, kind: str, said: str) -> None:
    part: JSONObject = {"type": "file", "url": url, "mediaType": kind, "filename": "f"}
    assert asked({"message": message(part)}).request.content == f"\n\nf:\n{said}\n\n"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (data("image/png", b"a"), "Only files of text can be read: this one is image/png"),
        ("https://example.com/a.txt", "Files are read from data: URLs alone"),
        ("data:text/plain", "This data: URL has no data"),
        ("data:text/plain;base64,***", "This file is no text in UTF-8"),
        (data("text/plain", b"\xff"), "This file is no text in UTF-8"),
    ],
)
def test_any_other_is_refused_in_the_new_message_and_left_out_before_it(url: str, said: str) -> None:
    part: JSONObject = {"type": "file", "url": url, "mediaType": ""}
    with pytest.raises(ValidationError, match=said):
        asked({"message": message(text("See"), part)})
    found = asked({"messages": [message(text("See"), part), message(part), HI]})
    assert [each.content for each in found.request.history] == ["See"]


def test_a_message_with_its_files_is_bounded() -> None:
    part: JSONObject = {"type": "file", "url": data("text/plain", b"x" * 200)}
    with pytest.raises(ChatError, match="larger than 100 bytes"):
        asked({"message": message(part)}, limit=100)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)
KINDS = st.sampled_from(["text", "file", "tool-ask", "dynamic-tool", "step-start", "data-x", "", "tool-"])
STATES = st.sampled_from(["approval-responded", "output-available", "output-error", "input-available"])
URLS = st.sampled_from(["data:,a", "data:text/plain;base64,YQ==", "data:image/png;base64,YQ==", "x", "data:"])


def sometimes(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={name: each | ANYTHING for name, each in fields.items()})


PART = sometimes(
    {
        "type": KINDS,
        "text": st.text(max_size=5),
        "url": URLS,
        "toolCallId": st.just("c"),
        "state": STATES,
        "output": ANYTHING,
        "errorText": st.text(max_size=3),
        "approval": sometimes({"id": st.just("c"), "approved": st.booleans(), "reason": st.text(max_size=3)}),
    }
)
MESSAGE = sometimes(
    {
        "id": st.text(max_size=3),
        "role": st.sampled_from(["user", "assistant", "system"]),
        "parts": st.lists(PART, max_size=3),
        "content": st.text(max_size=3),
        "metadata": ANYTHING,
    }
)
TOOL = sometimes(
    {"description": st.text(max_size=3), "parameters": sometimes({}), "inputSchema": sometimes({})}
)
BODY = sometimes(
    {
        "id": st.text(max_size=4),
        "messages": st.lists(MESSAGE, max_size=3),
        "message": MESSAGE,
        "trigger": st.sampled_from(["submit-message", "regenerate-message", "resume-stream"]),
        "messageId": st.text(max_size=3),
        "tools": st.dictionaries(st.text(max_size=3), TOOL, max_size=2),
        "pipeline": st.sampled_from(["trip", "other"]),
        "uiMessageStream": st.sampled_from(["v6", "v7", "v8"]),
        "unheard of": ANYTHING,
    }
)


@given(BODY)
def test_whatever_is_sent_is_read_or_refused_in_a_sentence(body: dict[str, Any]) -> None:
    try:
        found = asked(read_json(json.dumps(body), refusal=""))
        assert found.request.content.strip() or found.answers
    except ChatError as error:
        refuse = door().refusal
        assert refuse is not None
        reply = refuse(error)
        assert reply.status in (400, 413, 422)
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.body.decode()
