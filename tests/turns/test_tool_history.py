"""What a message keeps of tool calls, and what a later model call is shown of them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from chat.calls import ToolCall
from chat.events import (
    JSONObject,
    NumberedEvent,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnEvent,
)
from chat.messages import Message, MessageDraft, MessageStatus
from chat.providers.base import ModelMessage
from chat.turns.tool_history import (
    KEPT_BYTES,
    KEPT_TEXT,
    LEFT_OUT,
    NO_OUTPUT,
    calls_made,
    kept,
    model_messages,
    standing,
    with_calls,
)


def call(name: str, output: str | None = "5", arguments: str = '{"a":1}') -> JSONObject:
    return {"id": name, "name": "add", "arguments": arguments, "output": output, "is_error": False}


def numbered(*events: TurnEvent) -> list[NumberedEvent]:
    return [NumberedEvent(number, event) for number, event in enumerate(events, 1)]


def made(call_id: str, *pieces: str) -> Sequence[TurnEvent]:
    deltas = (ToolCallDelta(call_id, piece) for piece in pieces)
    return ToolCallStarted(call_id, "add"), *deltas, ToolCallFinished(call_id)


def answer(content: str, *calls: JSONObject, status: MessageStatus = "complete") -> MessageDraft:
    return MessageDraft("assistant", content, metadata={"tool_calls": list(calls)}, status=status)


def test_calls_and_outputs_are_put_together() -> None:
    found = calls_made(
        numbered(
            TextDelta("0", "x"), *made("c1", '{"a"', ":1}"), *made("c2"), ToolOutput("c2", "add", "9", True)
        )
    )
    assert found == [call("c1", None), {**call("c2", "9", ""), "is_error": True}]


def test_an_id_that_comes_twice_belongs_to_two_calls() -> None:
    first, second = (ToolOutput("c", "add", text) for text in ("1", "2"))
    found = calls_made(numbered(*made("c"), first, *made("c"), second))
    assert [each["output"] for each in found] == ["1", "2"]


def test_an_answer_without_calls_keeps_its_metadata_as_it_is() -> None:
    assert with_calls({"a": 1}, numbered(TextDelta("0", "x"))) == {"a": 1}


def test_calls_of_before_stay_in_front() -> None:
    found: Any = with_calls({"tool_calls": [call("c1")]}, numbered(*made("c2")))
    assert [each["id"] for each in found["tool_calls"]] == ["c1", "c2"]


@pytest.mark.parametrize("text", ["x" * (KEPT_TEXT + 1), "é" * 100_000])
def test_a_long_output_is_cut_and_long_arguments_are_left_out(text: str) -> None:
    [found] = kept([call("c1", text, json.dumps({"a": text}))])
    assert isinstance(found, dict)
    assert len(str(found["output"])) <= KEPT_TEXT
    assert found["arguments"] == "{}"


@pytest.mark.parametrize(("count", "size"), [(3, 4000), (20, 4000), (128, 4000), (5000, 10)])
def test_all_calls_together_have_a_bound_and_the_newest_stay_whole(count: int, size: int) -> None:
    calls = [call(f"c{number}", "x" * size) for number in range(count)]
    found = kept(calls)
    assert len(json.dumps(found)) <= KEPT_BYTES
    assert found[-3:] == calls[-3:]
    assert found == calls or found[0] != calls[0]


def test_what_has_no_room_keeps_its_place_without_its_texts() -> None:
    found: Any = kept([call(f"c{number}", "x" * 4000) for number in range(10)])
    assert [each["id"] for each in found] == [f"c{number}" for number in range(10)]
    assert (found[0]["output"], found[0]["arguments"]) == (LEFT_OUT, "{}")


def test_a_whole_answer_is_shown_as_calls_outputs_and_text() -> None:
    assert model_messages(answer("It is 5.", call("c1"))) == (
        ModelMessage("assistant", "", (ToolCall("c1", "add", '{"a":1}'),)),
        ModelMessage("tool", "5", (), "c1"),
        ModelMessage("assistant", "It is 5."),
    )


@pytest.mark.parametrize(
    "message",
    [
        answer("Let me see.", call("c1", None)),
        answer("Let me see.", call("c1", NO_OUTPUT), status="streaming"),
    ],
)
def test_an_answer_that_is_not_whole_is_shown_with_its_calls_last(message: MessageDraft) -> None:
    assert model_messages(message) == (
        ModelMessage("assistant", "Let me see.", (ToolCall("c1", "add", '{"a":1}'),)),
        ModelMessage("tool", NO_OUTPUT, (), "c1"),
    )


@pytest.mark.parametrize("calls", [None, 5, {}, [], [None], ["x"], [{}], [{"id": "c"}], [{"name": "add"}]])
def test_metadata_that_holds_no_calls_is_no_obstacle(calls: Any) -> None:
    message = MessageDraft("assistant", "Hi", metadata={"tool_calls": calls})
    assert model_messages(message) == (ModelMessage("assistant", "Hi"),)


def test_a_message_that_says_nothing_is_not_shown() -> None:
    assert model_messages(MessageDraft("assistant", "")) == ()


def test_calls_of_a_user_are_only_metadata() -> None:
    message = MessageDraft("user", "Hi", metadata={"tool_calls": [call("c1")]})
    assert model_messages(message) == (ModelMessage("user", "Hi"),)


def test_an_answer_yields_to_the_one_that_goes_on_from_it_and_a_question_to_nobody() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    asked = Message("s-1", "s", 1, "user", "Who?", now, now)
    half = Message("s-2", "s", 2, "assistant", "Let me see.", now, now)
    claims = [{"continues": "s-1"}, {"continues": "s-2"}]
    by_user = [MessageDraft("user", "x", metadata=each) for each in claims]
    by_model = [MessageDraft("assistant", "x", metadata=each) for each in claims]
    assert standing([asked, half, *by_user]) == [asked, half, *by_user]
    assert standing([asked, half, *by_model]) == [asked, *by_model]


def test_ids_are_shown_once_each_and_arguments_as_objects() -> None:
    asked, *outputs, _ = model_messages(
        answer("5", call("c", "1", "{"), call("c", "2", "[]"), call("c_", "3"))
    )
    assert [(each.id, each.arguments) for each in asked.tool_calls] == [
        ("c", "{}"),
        ("c_", "{}"),
        ("c__", '{"a":1}'),
    ]
    assert [(each.tool_call_id, each.content) for each in outputs] == [("c", "1"), ("c_", "2"), ("c__", "3")]
