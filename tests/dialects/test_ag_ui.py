"""Dialect `ag-ui`: what it says is AG-UI by the models of its own package, and what it reads."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from ag_ui.core import Event
from ag_ui.core import RunAgentInput as TheirInput
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from chat import events
from chat.calls import Approval, CallOutput
from chat.conversation import Turn
from chat.dialects.ag_ui import AG_UI
from chat.dialects.ag_ui.ag_ui_door import read_run
from chat.dialects.ag_ui.ag_ui_encoder import AgUiEncoder
from chat.dialects.ag_ui.ag_ui_input import RunAgentInput
from chat.dialects.ag_ui.ag_ui_schemas import AgUiFrame
from chat.dialects.ag_ui.ag_ui_thread_schemas import AgUiThread
from chat.dialects.base import Asked, Asker, Past, Spoken
from chat.errors import ChatError, TooLarge, ValidationError
from chat.events import JSONObject, NumberedEvent, TurnEvent
from chat.messages import Message
from chat.requests import TRIP, TurnRequest
from chat.schemas.fields import read_json, validate
from tests.dialects.golden_turns import STARTED as BEGAN
from tests.dialects.golden_turns import TURNS
from tests.support.event_samples import SAMPLES, STARTED

THEIRS: TypeAdapter[Any] = TypeAdapter(Event)
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def turn(**request: Any) -> Turn:
    return Turn("s-00000002", "s", TurnRequest("ann", **request), "s-00000001", "running", "i", NOW)


def encoded(*said: TurnEvent, **request: Any) -> list[Any]:
    encoder = AgUiEncoder(turn(**request))
    numbered = (NumberedEvent(number, each) for number, each in enumerate(said, 1))
    return [payload for each in numbered for payload in encoder.encode(each)]


def checked(payloads: Iterable[JSONObject]) -> None:
    """By the models of the protocol's own package, and by ours; nothing optional is null."""
    for each in payloads:
        text = orjson.dumps(each)
        again = THEIRS.validate_json(text)
        assert json.loads(again.model_dump_json(by_alias=True)) == json.loads(text)
        AgUiFrame.model_validate_json(text)
        assert None not in each.values()


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_every_event_is_one_of_ag_ui(kind: type[TurnEvent]) -> None:
    checked(encoded(SAMPLES[kind]))
    checked(encoded(STARTED, SAMPLES[kind], pipeline=TRIP, client={"tanstack": True, "parent": "run-0"}))


class Verifier:
    """The rules that AG-UI's client holds a stream against."""

    def __init__(self) -> None:
        self._open: set[tuple[str, str]] = set()
        self.ended = False

    def take(self, event: Any) -> None:
        kind = event["type"]
        assert not self.ended
        self.ended = kind in ("RUN_FINISHED", "RUN_ERROR")
        if kind == "RUN_FINISHED":
            assert not self._open
        name = event.get("messageId") or event.get("toolCallId") or event.get("stepName") or ""
        for start, ends in (("_START", "_END"), ("STEP_STARTED", "STEP_FINISHED")):
            if kind.endswith(start):
                opened = (kind.removesuffix(start), name)
                assert opened not in self._open
                self._open.add(opened)
            elif kind.endswith(ends):
                self._open.remove((kind.removesuffix(ends), name))
        if kind.endswith(("_CONTENT", "_ARGS")):
            assert (kind.rpartition("_")[0], name) in self._open


@pytest.mark.parametrize("name", TURNS)
def test_a_turn_is_a_stream_that_a_strict_client_takes(name: str) -> None:
    request: dict[str, Any] = {"pipeline": TRIP} if "stages" in name else {}
    said, verifier = encoded(BEGAN, *TURNS[name], **request), Verifier()
    checked(said)
    for each in said:
        verifier.take(each)
    assert said[0]["type"] == "RUN_STARTED"
    assert verifier.ended


def test_run_and_thread_are_called_as_their_starter_calls_them() -> None:
    client: JSONObject = {"thread": "mine", "run": "first", "parent": "before"}
    [started] = encoded(STARTED, client=client)
    assert (started["threadId"], started["runId"], started["parentRunId"]) == ("mine", "first", "before")
    assert started["metadata"] == {"sessionId": "s", "turnId": "t"}
    [started] = encoded(STARTED)
    assert (started["threadId"], started["runId"]) == ("s", "s-00000002")


CALL = (
    events.StepStarted(0, "P", "m"),
    events.ToolCallStarted("c", "pay"),
    events.ToolCallDelta("c", '{"a":'),
    events.ToolCallDelta("c", "1}"),
    events.ToolCallFinished("c"),
)
END = (events.UsageReported(1, 2), events.StepFinished("tool_calls"), events.TurnFinished())


def test_a_call_of_the_page_ends_the_run_and_waits() -> None:
    *_, last = encoded(*CALL, *END)
    assert last["outcome"] == {"type": "success", "pendingToolCallIds": ["c"]}
    usage = {"provider": "P", "model": "m", "inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
    assert last["usage"] == [usage]


def test_tanstack_is_told_to_run_it() -> None:
    *_, told, last = encoded(*CALL, *END, client={"tanstack": True})
    assert told["name"] == "tool-input-available"
    assert told["value"] == {"toolCallId": "c", "toolName": "pay", "input": {"a": 1}}
    assert last["type"] == "RUN_FINISHED"


def test_a_call_that_has_its_output_waits_no_more() -> None:
    *_, last = encoded(*CALL, events.ToolOutput("c", "pay", "done"), *END, client={"tanstack": True})
    assert last["outcome"] == {"type": "success"}


def test_a_call_that_needs_approval_interrupts() -> None:
    *_, last = encoded(*CALL, events.ApprovalRequested("c", "pay"), *END)
    [interrupt] = last["outcome"]["interrupts"]
    assert (interrupt["id"], interrupt["toolCallId"]) == ("s-00000002.c", "c")
    assert interrupt["reason"] == "approval_required"
    assert interrupt["metadata"] == {"kind": "approval", "toolName": "pay", "input": {"a": 1}}


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (events.ToolOutput("c", "pay", "x"), None),
        (events.ToolOutput("c", "pay", "x", is_error=True), "isError"),
        (events.ToolOutput("c", "pay", "x", denied=True), "denied"),
    ],
)
def test_an_output_says_whether_the_tool_failed(output: TurnEvent, told: str | None) -> None:
    [result] = encoded(output)
    assert (result["content"], result["toolCallId"]) == ("x", "c")
    assert (told in result["metadata"]) if told else ("metadata" not in result)


def test_each_model_call_is_a_message_of_its_own() -> None:
    first = (*CALL, events.ToolOutput("c", "pay", "done"), events.StepFinished("tool_calls"))
    second = (events.StepStarted(1, "P", "m"), events.TextStarted("1.0"), events.TextDelta("1.0", "Paid."))
    said = encoded(*first, *second)
    parents = [each["parentMessageId"] for each in said if each["type"] == "TOOL_CALL_START"]
    texts = [each["messageId"] for each in said if each["type"] == "TEXT_MESSAGE_CONTENT"]
    assert (parents, texts) == (["s-00000002"], ["s-00000002.1"])


GIVEN: JSONObject = {"given": {"pois": [{"id": "a"}]}}


def state_of(payloads: Iterable[Any]) -> Any:
    state: Any = None
    for each in payloads:
        if each["type"] == "STATE_SNAPSHOT":
            state = each["snapshot"]
        for change in each.get("delta", ()) if each["type"] == "STATE_DELTA" else ():
            _, name, *end = change["path"].split("/")
            assert (change["op"], end) in (("add", ["-"]), ("replace", []))
            state[name] = [*state[name], change["value"]] if end else change["value"]
    return state


def test_stages_change_the_state_that_was_given_and_leave_what_is_beside_it() -> None:
    stage = (events.StageStarted("pois"), events.StageItem("pois", {"id": "b"}))
    request: dict[str, Any] = {"pipeline": TRIP, "input": GIVEN, "client": {"state": {"mine": 1}}}
    before = {"mine": 1, "intents": [], "requirements": [], "plan": []}
    assert state_of(encoded(STARTED, **request)) == {**before, "pois": [{"id": "a"}]}
    assert state_of(encoded(STARTED, *stage, **request))["pois"] == [{"id": "a"}, {"id": "b"}]
    void = encoded(STARTED, *stage, events.StageFinished("pois"), **request)
    assert state_of(void)["pois"] == [{"id": "a"}]
    done = encoded(STARTED, *stage, events.StageFinished("pois", [{"id": "b"}]), **request)
    assert state_of(done) == {**before, "pois": [{"id": "b"}]}


def test_the_text_of_a_stage_is_a_message() -> None:
    said = encoded(events.StageStarted("plan"), events.StageFinished("plan", [], "Rome"), pipeline=TRIP)
    assert [each["delta"] for each in said if each["type"] == "TEXT_MESSAGE_CONTENT"] == ["Rome"]


# What is read.

RUN: dict[str, Any] = {"threadId": "t", "runId": "r"}


def read(body: Any, *, nonce: str = "r", message_bytes: int = 1000, **headers: str) -> Asked:
    return read_run(validate(RunAgentInput, body), Asker("ann", nonce, message_bytes, headers))


def user(content: Any) -> dict[str, Any]:
    return {"id": "1", "role": "user", "content": content}


def asked(*messages: Any, **more: Any) -> Asked:
    return read({**RUN, "messages": [*messages], **more})


def test_a_question_goes_to_its_thread() -> None:
    found = asked(user("Hi"))
    assert (found.chat, found.request.content, found.request.nonce) == ("t", "Hi", "r")
    assert found.request.client == {"thread": "t", "run": "r"}
    assert found.stream


def test_both_spellings_are_read_and_lists_may_be_missing() -> None:
    theirs = {"thread_id": "t", "run_id": "r", "parent_run_id": "p", "messages": [user("Hi")]}
    found = read({**theirs, "forwarded_props": {"pipeline": TRIP}, "tools": None, "context": None})
    assert (found.chat, found.request.pipeline) == ("t", TRIP)
    assert found.request.client == {"thread": "t", "run": "r", "parent": "p"}
    tool = {"id": "2", "role": "tool", "tool_call_id": "c", "content": "7"}
    resume = [{"interrupt_id": "i", "status": "cancelled"}]
    answered = read({"thread_id": "t", "run_id": "r", "messages": [tool], "resume": resume})
    assert answered.answers == (Approval("i", approved=False), CallOutput("c", "7"))


def test_texts_of_parts_are_one_text() -> None:
    parts = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    assert asked(user(parts)).request.content == "Hi there"


def test_what_stands_before_the_question_is_the_history_of_a_new_thread() -> None:
    before = [
        {"role": "developer", "content": "Be brief."},
        user("One"),
        {"role": "assistant", "toolCalls": [{"id": "c"}]},
        {"role": "tool", "toolCallId": "c", "content": "x"},
        {"role": "reasoning", "content": "hm"},
        {"role": "assistant", "content": "1"},
    ]
    history = asked(*before, user("Two")).request.history
    assert [(each.role, each.content) for each in history] == [
        ("system", "Be brief."),
        ("user", "One"),
        ("assistant", "1"),
    ]


def test_outputs_at_the_end_answer_calls() -> None:
    tools = [
        {"role": "tool", "toolCallId": "a", "content": "1"},
        {"role": "activity", "content": {}},
        {"role": "tool", "toolCallId": "b", "content": "", "error": "broke"},
    ]
    found = asked(user("Hi"), {"role": "assistant", "toolCalls": []}, *tools)
    assert found.answers == (CallOutput("a", "1"), CallOutput("b", "broke", is_error=True))
    assert (found.request.content, found.request.history) == ("", ())


RESUMED: list[tuple[Any, Approval]] = [
    ({"status": "resolved", "payload": {"approved": True}}, Approval("c", True)),
    ({"status": "resolved", "payload": True}, Approval("c", True)),
    ({"status": "resolved", "payload": {"approved": False, "reason": "No"}}, Approval("c", False, "", "No")),
    (
        {"status": "resolved", "payload": {"approved": True, "arguments": {"a": 2}}},
        Approval("c", True, '{"a":2}'),
    ),
    (
        {"status": "resolved", "payload": {"approved": True, "editedArgs": {"a": 2}}},
        Approval("c", True, '{"a":2}'),
    ),
    ({"status": "resolved"}, Approval("c", False)),
    ({"status": "resolved", "payload": "yes"}, Approval("c", False)),
    ({"status": "cancelled", "payload": {"approved": True}}, Approval("c", False)),
]


@pytest.mark.parametrize(("entry", "approval"), RESUMED)
def test_resume_answers_interrupts(entry: Any, approval: Approval) -> None:
    said_again = {"role": "tool", "toolCallId": "c", "content": '{"approved":true}'}
    found = asked(user("Hi"), said_again, resume=[{"interruptId": "c", **entry}])
    assert found.answers == (approval,)


def test_the_state_of_a_trip_is_what_the_planner_begins_with() -> None:
    state = {"pois": [{"id": "a"}], "mine": 1, "intents": []}
    found = asked(user("plan"), state=state, forwardedProps={"pipeline": TRIP}).request
    assert found.input["given"] == {"pois": [{"id": "a"}], "requirements": [], "plan": []}
    assert found.client["state"] == {"mine": 1}
    assert asked(user("plan"), state=state).request.input == {}


def test_tools_of_the_page_are_the_caller_s() -> None:
    tools = [{"name": "pick", "description": "x", "parameters": {"properties": {"a": {}}}}, {"name": "go"}]
    found = asked(user("Hi"), tools=tools).request.tools
    assert [(each.name, each.parameters) for each in found] == [
        ("pick", {"type": "object", "properties": {"a": {}}}),
        ("go", {"type": "object", "properties": {}}),
    ]


def test_who_names_the_run_in_a_header_is_tanstack() -> None:
    found = read({**RUN, "messages": [user("Hi")]}, **{"x-run-id": "r"})
    assert found.request.client["tanstack"] is True


IMAGE = {"type": "image", "source": {"type": "url", "value": "https://a.example/b.png"}}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"runId": "r", "messages": [user("Hi")]}, "threadId"),
    ({"threadId": "t", "messages": [user("Hi")]}, "runId"),
    ({"threadId": 1, "runId": "r", "messages": [user("Hi")]}, "threadId"),
    ({"threadId": "", "runId": "r", "messages": [user("Hi")]}, "threadId"),
    ({**RUN, "messages": []}, "messages"),
    (RUN, "messages"),
    ({**RUN, "messages": [{"role": "assistant", "content": "x"}]}, "messages"),
    ({**RUN, "messages": [user(" ")]}, "messages.0.content"),
    ({**RUN, "messages": [user([IMAGE])]}, "messages.0.content"),
    ({**RUN, "messages": [user(7)]}, "messages.0.content"),
    ({**RUN, "messages": [user([{"type": "text", "text": "x"}, "y"])]}, "messages.0.content.1"),
    ({**RUN, "messages": [user([{"type": "text", "text": 7}])]}, "messages.0.content.0.text"),
    ({**RUN, "messages": [{"role": "tool", "toolCallId": "c", "content": 7}]}, "messages.0.content"),
    ({**RUN, "messages": [{"role": "tool", "toolCallId": "c", "content": {"a": 1}}]}, "messages.0.content"),
    ({**RUN, "messages": [{"role": "tool", "toolCallId": "c", "content": [IMAGE]}]}, "messages.0.content"),
    ({**RUN, "messages": [{"role": "tool", "toolCallId": "c", "error": {}}]}, "messages.0.error"),
    ({**RUN, "messages": [{"role": "robot"}]}, "messages.0.role"),
    ({**RUN, "messages": [{"role": "tool", "content": "x"}]}, "messages.0.toolCallId"),
    ({**RUN, "messages": [user("x")], "tools": [{"name": "a b"}]}, "tools.0.name"),
    ({**RUN, "messages": [user("x")], "tools": [{"name": "a"}, {"name": "a"}]}, "tools.1.name"),
    (
        {**RUN, "messages": [user("x")], "tools": [{"name": "a", "parameters": {"type": "array"}}]},
        "tools.0.parameters",
    ),
    ({**RUN, "messages": [user("x")], "forwardedProps": {"pipeline": "x"}}, "forwardedProps.pipeline"),
    (
        {**RUN, "messages": [user("x")], "forwardedProps": {"pipeline": TRIP}, "state": {"pois": 1}},
        "state.pois",
    ),
    (
        {**RUN, "messages": [user("x")], "forwardedProps": {"pipeline": TRIP}, "state": {"a": "x" * 20_000}},
        "state",
    ),
    ({**RUN, "messages": [user("x")], "resume": [{"interruptId": "c"}]}, "resume.0.status"),
]


@pytest.mark.parametrize(("body", "field"), WRONG)
def test_what_is_wrong_is_named_as_the_client_spells_it(body: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read(body)
    assert refused.value.field == field


def test_a_message_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        read({**RUN, "messages": [user("x" * 2000)]})


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system", "reasoning"]) | ANY},
    optional={
        "id": ANY,
        "content": st.text(max_size=9) | ANY,
        "toolCallId": ANY,
        "tool_call_id": ANY,
        "error": ANY,
        "toolCalls": ANY,
        "strange": ANY,
    },
)
KEYS = ("threadId", "thread_id", "runId", "run_id", "parentRunId", "state", "tools", "context", "resume")
BODY = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=4) | ANY},
    optional={
        **{key: st.text(max_size=5) | ANY for key in KEYS},
        "forwardedProps": ANY | st.just({"pipeline": TRIP}),
        "forwarded_props": ANY,
        "strange": ANY,
    },
)


@given(BODY)
def test_whatever_is_sent_is_read_or_refused(body: Any) -> None:
    try:
        found = read(read_json(json.dumps(body), refusal="x"))
    except ChatError as error:
        assert error.status in (400, 413, 422)
    else:
        assert found.request.content or found.answers
        orjson.dumps(found.request.client)


@given(st.text(min_size=1, max_size=20), st.booleans())
def test_what_their_package_writes_is_read_in_both_spellings(text: str, camel: bool) -> None:
    theirs = TheirInput.model_validate({**RUN, "messages": [user(f"x{text}")], "state": {}, "tools": []})
    found = read(json.loads(theirs.model_dump_json(by_alias=camel)))
    assert (found.chat, found.request.content) == ("t", f"x{text}")


# Who comes back.


def message(seq: int, role: Any, content: str = "") -> Message:
    return Message(f"s-{seq:08d}", "s", seq, role, content, NOW, NOW)


def call(output: str | None, **more: Any) -> JSONObject:
    return {"id": "c", "name": "pay", "arguments": '{"a":1}', "output": output, "is_error": False, **more}


SAID: list[list[Spoken]] = [
    [],
    [Spoken(message(1, "user", "Hi")), Spoken(message(2, "assistant", "Hello"))],
    [Spoken(message(1, "user", "Pay")), Spoken(message(2, "assistant", "Paid."), [call("done")])],
    [Spoken(message(1, "user", "Pay")), Spoken(message(2, "assistant"), [call("no", is_error=True)])],
    [Spoken(message(1, "user", "Pay")), Spoken(message(2, "assistant", "May I?"), [call(None)])],
    [Spoken(message(1, "user", "Pay")), Spoken(message(2, "assistant"), [call(None, approval="requested")])],
    [Spoken(message(1, "system", "x")), Spoken(message(2, "assistant"))],
]


@pytest.mark.parametrize("said", SAID)
def test_what_was_said_is_told_in_both_forms(said: list[Spoken]) -> None:
    assert AG_UI.returns is not None
    past = Past("ann", "mine", "s", said)
    AgUiThread.model_validate_json(orjson.dumps(AG_UI.returns.show(past)))
    checked(idle := [*AG_UI.returns.idle(past)])
    assert [each["type"] for each in idle] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]


def test_calls_come_before_what_was_said_after_them() -> None:
    assert AG_UI.returns is not None
    _, snapshot, _ = AG_UI.returns.idle(Past("ann", "mine", "s", SAID[2]))
    roles = [(each["id"], each["role"]) for each in snapshot["messages"]]  # type: ignore[index,union-attr,call-overload]
    assert roles == [
        ("s-00000001", "user"),
        ("s-00000002", "assistant"),
        ("s-00000002.c", "tool"),
        ("s-00000002.1", "assistant"),
    ]


def test_a_call_that_waits_for_approval_is_asked_about_again() -> None:
    assert AG_UI.returns is not None
    shown: Any = AG_UI.returns.show(Past("ann", "mine", "s", SAID[5]))
    assert [each["toolCallId"] for each in shown["interrupts"]["pending"]] == ["c"]
    *_, last = AG_UI.returns.idle(Past("ann", "mine", "s", SAID[5]))
    assert last["outcome"]["type"] == "interrupt"  # type: ignore[index,call-overload]


def test_a_run_that_goes_on_is_joined_by_the_name_that_its_reader_knows() -> None:
    assert AG_UI.returns is not None
    running = turn(client={"run": "first"})
    mine: Any = AG_UI.returns.show(Past("ann", "mine", "s", (), running))
    others: Any = AG_UI.returns.show(Past("bob", "mine", "s", (), running))
    assert (mine["activeRun"], others["activeRun"]) == ({"runId": "first"}, {"runId": "s-00000002"})


def test_who_joins_is_told_what_was_said_within_the_first_event() -> None:
    assert AG_UI.returns is not None
    encoder = AG_UI.returns.join(turn(pipeline=TRIP), SAID[1])
    first = [*encoder.encode(NumberedEvent(1, STARTED))]
    assert [each["type"] for each in first] == ["RUN_STARTED", "STATE_SNAPSHOT", "MESSAGES_SNAPSHOT"]
    checked(first)
