"""Dialect `completions`: what is read of a request, what a whole completion is, and that nothing sent breaks it."""

import functools
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.calls import Approval, CallOutput
from chat.dialects.base import Asked, Asker
from chat.dialects.completions import COMPLETIONS
from chat.dialects.completions.completion_body import CompletionsBody
from chat.dialects.completions.completion_request import OUTPUT_BYTES, read_body
from chat.errors import ChatError, RequestError
from chat.events import NumberedEvent, TurnEvent
from chat.messages import MessageDraft
from chat.reply_options import (
    ReplyOptions,
    ResponseSchema,
    ToolChoice,
    options_from_json,
    options_to_json,
)
from chat.requests import TurnRequest
from chat.schemas.fields import validate
from tests.dialects.golden_turns import STARTED, TURNS, numbered, turn_of

ASKER = Asker("ann", "key", 1000, {"x-session-id": ""}, {"gpt": "AZURE"})
HI: dict[str, Any] = {"role": "user", "content": "Hi"}
PAINT: dict[str, Any] = {"type": "function", "function": {"name": "paint", "description": "Paints"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "paint", "arguments": '{"c":1}'}}
SCHEMA = {"name": "answer", "schema": {"type": "object"}, "strict": True}


def asked(body: Any = None, /, asker: Asker = ASKER, **fields: Any) -> Asked:
    return read_body(validate(CompletionsBody, body or {"messages": [HI], **fields}), asker)


def refused(body: Any = None, /, **fields: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(ChatError) as caught:
        asked(body, **fields)
    assert COMPLETIONS.door and COMPLETIONS.door.refusal
    reply = COMPLETIONS.door.refusal(caught.value)
    return reply.status, orjson.loads(reply.body)["error"]


def test_the_list_is_the_conversation() -> None:
    said = [{"role": "system", "content": "Be"}, {"role": "developer", "content": "brief"}, HI]
    said += [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "And?"}]
    found = asked(messages=said, model="gpt", stream=True)
    assert found == Asked(
        TurnRequest(
            "ann",
            content="And?",
            transcript=(
                MessageDraft("user", "Hi", author="ann"),
                MessageDraft("assistant", "Hello"),
                MessageDraft("user", "And?", author="ann"),
            ),
            nonce="key",
            settings={"system_prompt": "Be\n\nbrief"},
            provider="AZURE",
            dialect="completions",
        ),
        stream=True,
    )


def test_calls_stand_with_what_came_of_them() -> None:
    said = [HI, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    said += [{"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "red"}]}]
    _, answer = asked(messages=said).request.transcript
    call = {"id": "c1", "name": "paint", "arguments": '{"c":1}', "output": "red", "is_error": False}
    assert answer == MessageDraft("assistant", "", metadata={"tool_calls": [call]}, status="streaming")


@pytest.mark.parametrize(
    ("headers", "metadata"), [({"x-session-id": "s1"}, {}), ({}, {"session_id": "s1"})], ids=str
)
def test_with_the_id_of_a_session_only_what_came_last_is_new(
    headers: dict[str, str], metadata: dict[str, str]
) -> None:
    asker = Asker("ann", "", 1000, headers)
    found = asked({"messages": [HI, {"role": "user", "content": "And?"}], "metadata": metadata}, asker)
    assert (found.request.session_id, found.request.content) == ("s1", "And?")
    assert found.request.transcript == ()


def test_in_a_session_outputs_and_approvals_are_answers() -> None:
    said = [HI, {"role": "assistant", "tool_calls": [CALL]}]
    said += [{"role": "tool", "tool_call_id": "c1", "content": "red"}]
    found = asked(
        messages=said,
        metadata={"session_id": "s1"},
        approvals=[{"call_id": "c2", "approved": False, "reason": "No"}],
    )
    assert found.answers == (CallOutput("c1", "red"), Approval("c2", approved=False, reason="No"))
    assert found.request.content == ""


def test_wishes_for_the_reply_are_kept() -> None:
    found = asked(
        temperature=0,
        top_p=0.5,
        max_tokens=5,
        max_completion_tokens=7,
        stop="x",
        seed=3,
        parallel_tool_calls=False,
        tools=[PAINT],
        tool_choice={"type": "function", "function": {"name": "paint"}},
        response_format={"type": "json_schema", "json_schema": SCHEMA},
        stream_options={"include_usage": True, "include_obfuscation": False},
    ).request
    assert found.settings == {"temperature": 0, "top_p": 0.5, "max_tokens": 7}
    wanted = ResponseSchema("answer", {"type": "object"}, strict=True)
    assert found.options == ReplyOptions(("x",), 3, ToolChoice("required", "paint"), False, wanted)
    assert found.client == {"own_tools": ["paint"], "usage": True}
    [tool] = found.tools
    assert (tool.name, tool.parameters) == ("paint", {"type": "object", "properties": {}})


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_a_choice_of_tools_is_a_word(choice: str) -> None:
    assert asked(tool_choice=choice).request.options.tool_choice == ToolChoice(choice)  # type: ignore[arg-type]


def test_unknown_keys_and_nulls_are_passed_over() -> None:
    more = {"logit_bias": {}, "store": True, "stop": None, "tools": None, "metadata": None, "n": None}
    found = asked({"messages": [{**HI, "name": "ann", "audio": None}], **more, "response_format": None})
    assert found.request == asked().request


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"messages": None}, 400, "messages"),
    ({"messages": []}, 400, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role"),
    ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
    ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        400,
        "messages[0].content[0].type",
    ),
    ({"messages": [{"role": "user", "content": "x" * 1001}]}, 413, "messages[0].content"),
    (
        {"messages": [HI, {"role": "tool", "tool_call_id": "c", "content": "x"}]},
        400,
        "messages[1].tool_call_id",
    ),
    ({"n": 2}, 400, "n"),
    ({"stream": "yes"}, 400, "stream"),
    ({"temperature": 3}, 400, "temperature"),
    ({"stop": ["a"] * 5}, 400, "stop"),
    ({"tools": [PAINT, PAINT]}, 400, "tools[1].function.name"),
    ({"tools": [{"type": "web_search"}]}, 400, "tools[0].type"),
    ({"tool_choice": "maybe"}, 400, "tool_choice.type"),
    ({"tool_choice": {"type": "function"}}, 400, "tool_choice.function"),
    ({"response_format": {"type": "json_schema"}}, 400, "response_format.json_schema"),
    ({"metadata": {"session_id": "x" * 256}}, 400, "metadata.session_id"),
    ({"approvals": [{"call_id": "c", "approved": True}]}, 400, "approvals"),
]


@pytest.mark.parametrize(("fields", "status", "param"), REFUSED, ids=lambda each: repr(each)[:60])
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], status: int, param: str) -> None:
    found = refused({"messages": [HI], **fields})
    assert (found[0], found[1]["param"], found[1]["type"]) == (status, param, "invalid_request_error")
    assert found[1]["message"]


def test_arguments_that_are_nested_too_deeply_to_be_written_are_refused() -> None:
    deep: Any = functools.reduce(lambda inner, _: {"a": inner}, range(400), {})
    call = {**CALL, "function": {"name": "paint", "arguments": deep}}
    assert refused({"messages": [HI, {"role": "assistant", "tool_calls": [call]}]})[0] == 400
    approval = {"call_id": "c", "approved": True, "arguments": deep}
    assert refused({"messages": [HI], "approvals": [approval]})[0] == 400


def test_arguments_that_are_larger_than_a_model_should_be_shown_are_refused() -> None:
    call = {**CALL, "function": {"name": "paint", "arguments": "x" * (OUTPUT_BYTES + 1)}}
    assert refused({"messages": [HI, {"role": "assistant", "tool_calls": [call]}]})[0] == 413


def test_options_come_back_from_json() -> None:
    for options in (
        ReplyOptions(),
        ReplyOptions(json_object=True, seed=0, parallel_tool_calls=False),
        ReplyOptions(("a", "b"), 1, ToolChoice("required", "f"), True, ResponseSchema("n", {"a": []}, False)),
    ):
        assert options_from_json(orjson.loads(orjson.dumps(options_to_json(options)))) == options


def chunks_of(events: list[NumberedEvent]) -> list[Any]:
    encoder = COMPLETIONS.encoder(turn_of(COMPLETIONS))
    return [payload for each in events for payload in encoder.encode(each)]


@pytest.mark.parametrize("name", TURNS)
def test_a_whole_completion_says_what_its_chunks_say(name: str) -> None:
    events = [NumberedEvent(1, STARTED), *numbered(TURNS[name])]
    chunks = chunks_of(events)
    assert COMPLETIONS.door and COMPLETIONS.door.whole
    reply = COMPLETIONS.door.whole(turn_of(COMPLETIONS), events)
    body = orjson.loads(reply.body)
    if "error" in body:
        assert (reply.status, body) == (503, chunks[-1])
        return
    choices = [choice for each in chunks for choice in each["choices"]]
    [whole] = body["choices"]
    assert (whole["message"]["content"] or "") == "".join(
        each["delta"].get("content", "") for each in choices
    )
    assert whole["finish_reason"] == choices[-1]["finish_reason"]
    assert body["usage"] == chunks[-1]["usage"]
    assert {each["id"] for each in chunks} == {body["id"]}
    for key in ("tool_call", "tool_output", "stage", "approval"):
        assert body.get(key, []) == [each[key] for each in chunks if key in each]


def test_of_a_turn_of_another_protocol_the_calls_that_nobody_ran_come_whole() -> None:
    turn = replace(turn_of(COMPLETIONS), request=TurnRequest("ann", dialect="delta"))
    foreign: Any = COMPLETIONS.encoder(turn)
    events = [NumberedEvent(1, STARTED), *numbered(TURNS["calls_the_callers_tool"])]
    *_, call, end = [payload for each in events for payload in foreign.encode(each)]
    [made] = call["choices"][0]["delta"]["tool_calls"]
    assert made["function"] == {"name": "ask_user", "arguments": '{"q": "Where?"}'}
    assert end["choices"][0]["finish_reason"] == "tool_calls"
    assert "usage" not in end


def test_a_turn_that_goes_on_is_not_asked_again() -> None:
    events: list[TurnEvent] = TURNS["hello"][:2]
    assert COMPLETIONS.door and COMPLETIONS.door.whole
    reply = COMPLETIONS.door.whole(turn_of(COMPLETIONS), [NumberedEvent(1, STARTED), *numbered(events)])
    assert (reply.status, reply.headers["x-should-retry"]) == (504, "false")
    assert orjson.loads(reply.body)["error"]["code"] == "still_running"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What belongs there, or anything."""
    return st.one_of(strategy, strategy, strategy, ANYTHING)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """With any of these, and others."""
    known = st.fixed_dictionaries({}, optional={name: mostly(each) for name, each in fields.items()})
    return mostly(
        st.builds(lambda a, b: {**b, **a}, known, st.dictionaries(st.text(max_size=4), ANYTHING, max_size=1))
    )


PARTS = st.lists(
    objects(type=st.sampled_from(["text", "refusal", "image_url"]), text=st.text(max_size=5)), max_size=2
)
CALLS = st.lists(
    objects(
        id=st.sampled_from(["a", "b", ""]),
        type=st.just("function"),
        function=objects(name=st.sampled_from(["f", "no name"]), arguments=st.sampled_from(["{}", "["])),
    ),
    max_size=2,
)
MESSAGES = objects(
    role=st.sampled_from(["user", "assistant", "tool", "system", "developer", "function"]),
    content=st.text(max_size=5) | PARTS,
    tool_calls=CALLS,
    tool_call_id=st.sampled_from(["a", "b"]),
)
BODIES = st.builds(
    lambda known, rest: {**rest, **known},
    st.fixed_dictionaries({"messages": mostly(st.lists(MESSAGES, max_size=4).map(lambda some: [HI, *some]))}),
    objects(
        model=st.text(max_size=5),
        stream=st.booleans(),
        stream_options=objects(include_usage=st.booleans()),
        n=st.integers(0, 2),
        tools=st.lists(objects(type=st.just("function"), function=objects(name=st.just("f"))), max_size=2),
        tool_choice=st.sampled_from(["auto", "none", "required"]) | objects(type=st.just("function")),
        response_format=objects(
            type=st.sampled_from(["text", "json_object", "json_schema"]), json_schema=objects()
        ),
        stop=st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=5),
        seed=st.integers(),
        temperature=st.floats(),
        max_tokens=st.integers(),
        metadata=objects(session_id=st.text(max_size=5)),
        approvals=st.lists(objects(call_id=st.just("a"), approved=st.booleans()), max_size=2),
    ).filter(lambda value: isinstance(value, dict)),
)


@settings(max_examples=400)
@given(BODIES)
def test_whatever_is_sent_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        found = asked(body)
    except RequestError as error:
        assert COMPLETIONS.door and COMPLETIONS.door.refusal
        reply = COMPLETIONS.door.refusal(error)
        assert 400 <= reply.status < 500
        assert orjson.loads(reply.body)["error"].keys() == {"message", "type", "param", "code"}
    else:
        assert found.request.content.strip() or found.answers
        orjson.dumps(options_to_json(found.request.options))
