"""Dialect `responses`, event by event: what OpenAI's own models and its own state of a stream make of it."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from chat import events
from chat.conversation import Turn
from chat.dialects.base import Asker
from chat.dialects.responses import RESPONSES
from chat.dialects.responses.response_events import ENDS, ResponsesEncoder
from chat.dialects.responses.resumed_response import ResumedEncoder
from chat.dialects.responses.whole_response import show_response
from chat.errors import ChatError, StoreUnavailable, ValidationError
from chat.events import TERMINAL_NUMBER, TERMINAL_TYPES, JSONObject, NumberedEvent, TurnEvent
from chat.requests import TurnRequest
from chat.schemas.fields import validate
from chat.turns.grammar import ALLOWED, Grammar, broken_off
from tests.support.event_samples import SAMPLES, STARTED, STEP

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FINISHED: list[TurnEvent] = [events.StepFinished("stop"), events.TurnFinished()]
TEXT = [
    events.TextStarted("a"),
    events.TextDelta("a", "x"),
    events.TextDelta("a", "y"),
    events.TextFinished("a"),
]
THOUGHT = [
    events.ReasoningStarted("r"),
    events.ReasoningDelta("r", "hm"),
    events.ReasoningFinished("r"),
]
CALL = [
    events.ToolCallStarted("c", "now"),
    events.ToolCallDelta("c", '{"a"'),
    events.ToolCallDelta("c", ":1}"),
    events.ToolCallFinished("c"),
]
OUTPUT = events.ToolOutput("c", "now", "noon")
CALLED = events.StepFinished("tool_calls")


def a_turn(*, dialect: str = "responses", **client: Any) -> Turn:
    request = TurnRequest("ann", dialect=dialect, client=client)
    return Turn("t-00000002", "t", request, "t-00000001", "running", "i", datetime(2026, 11, 20, tzinfo=UTC))


def numbered(said: Sequence[TurnEvent]) -> list[NumberedEvent]:
    numbers = [*range(1, len(said) + 1)]
    if isinstance(said[-1], TERMINAL_TYPES):
        numbers[-1] = TERMINAL_NUMBER
    return [NumberedEvent(number, event) for number, event in zip(numbers, said, strict=True)]


def encoded(said: Iterable[TurnEvent], turn: Turn | None = None) -> list[JSONObject]:
    encoder = ResponsesEncoder(turn or a_turn())
    return [payload for each in numbered([STARTED, *said]) for payload in encoder.encode(each)]


def types(payloads: Iterable[JSONObject]) -> list[str]:
    return [str(each["type"]).removeprefix("response.") for each in payloads]


def output(payloads: Sequence[JSONObject]) -> list[Any]:
    return cast("Any", payloads[-1]["response"])["output"]


def read_by_openai(payloads: Iterable[JSONObject]) -> ResponseStreamState[Any]:
    """Every payload is one of OpenAI's events, and its own accumulation takes them all."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for each in payloads:
        state.handle_event(EVENT.validate_python(each))
    return state


# Between the first two events and the last: what a turn says.
SAID: dict[str, tuple[list[TurnEvent], list[str]]] = {
    "text": (
        [STEP, *TEXT, *FINISHED],
        [
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
        ],
    ),
    "reasoning": (
        [STEP, *THOUGHT, *FINISHED],
        [
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
        ],
    ),
    "a tool of ours": (
        [STEP, *CALL, OUTPUT, CALLED, *FINISHED[1:]],
        [
            "output_item.added",
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.completed",
            "output_item.done",
        ],
    ),
    "a tool of ours that failed": (
        [STEP, *CALL, events.ToolOutput("c", "now", "no", is_error=True), CALLED, *FINISHED[1:]],
        [
            "output_item.added",
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.failed",
            "output_item.done",
        ],
    ),
    "a stage": (
        [events.StageStarted("plan"), events.StageFinished("plan", [], "Rome"), events.TurnFinished()],
        [
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
        ],
    ),
    "nothing that is shown": (
        [SAMPLES[events.AttemptFailed], SAMPLES[events.ProviderSwitched], events.TurnFinished()],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_a_turn_says_comes_in_openai_s_order(name: str) -> None:
    said, shown = SAID[name]
    payloads = encoded(said)
    assert types(payloads) == ["created", "in_progress", *shown, "completed"]
    assert [each["sequence_number"] for each in payloads] == [*range(len(payloads))]
    state = read_by_openai(payloads)
    assert state._completed_response is not None  # pyright: ignore[reportPrivateUsage]


# How a turn ends: the type of the last event, the status, why it is incomplete, the code of its error.
ENDINGS: list[tuple[list[TurnEvent], tuple[str, str, Any, Any]]] = [
    (FINISHED, ("completed", "completed", None, None)),
    ([events.StepFinished("length"), events.TurnFinished()],
     ("incomplete", "incomplete", {"reason": "max_output_tokens"}, None)),
    ([events.StepFinished("content_filter"), events.TurnFinished()],
     ("incomplete", "incomplete", {"reason": "content_filter"}, None)),
    ([events.StepFinished("cancelled"), events.TurnCancelled()], ("incomplete", "cancelled", None, None)),
    ([events.StepFinished("error"), events.TurnFailed("MODEL_BAD_REPLY", "Cut", True, 502)],
     ("failed", "failed", None, "server_error")),
    ([events.StepFinished("error"), events.TurnFailed("MODEL_RATE_LIMITED", "Slow", True, 429)],
     ("failed", "failed", None, "rate_limit_exceeded")),
]  # fmt: skip


@pytest.mark.parametrize(("end", "shown"), ENDINGS)
def test_every_end_has_its_last_event(end: list[TurnEvent], shown: tuple[str, str, Any, Any]) -> None:
    payloads = encoded([STEP, *TEXT, *end])
    last: Any = payloads[-1]
    response, (kind, status, why, code) = last["response"], shown
    assert last["type"] == f"response.{kind}"
    assert (response["status"], response["incomplete_details"]) == (status, why)
    assert (response["error"] or {}).get("code") == code
    assert last["sequence_number"] == len(payloads) - 1
    assert Response.model_validate(response).output_text == "xy"
    read_by_openai(payloads)


def test_what_ends_a_turn_whose_process_died_follows_whatever_was_seen() -> None:
    payloads = encoded(
        [STEP, *TEXT, events.StepFinished("error"), events.TurnFailed("INTERRUPTED", "Died", True)]
    )
    assert payloads[-1]["sequence_number"] == TERMINAL_NUMBER
    read_by_openai(payloads)


def test_a_call_of_the_caller_s_is_left_to_them() -> None:
    payloads = encoded([STEP, *CALL, CALLED, events.TurnFinished()], a_turn(own_tools=["now"]))
    assert types(payloads)[2:-1] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    [item] = output(payloads)
    assert item == {
        "id": "fc_t-00000002_0",
        "type": "function_call",
        "status": "completed",
        "name": "now",
        "arguments": '{"a":1}',
        "call_id": "c",
    }
    read_by_openai(payloads)


def test_a_call_of_the_caller_s_that_may_not_be_run_has_its_output() -> None:
    payloads = encoded([STEP, *CALL, OUTPUT, CALLED, events.TurnFinished()], a_turn(own_tools=["now"]))
    assert [each["type"] for each in output(payloads)] == ["function_call", "function_call_output"]
    read_by_openai(payloads)


ASKED = events.ApprovalRequested("c", "now")


def test_a_call_that_needs_an_approval_asks_for_it() -> None:
    payloads = encoded([STEP, *CALL, ASKED, CALLED, events.TurnFinished()], a_turn(asking_tools=["now"]))
    [item] = output(payloads)
    assert item == {
        "id": "mcpr_c",
        "type": "mcp_approval_request",
        "server_label": "parley",
        "name": "now",
        "arguments": '{"a":1}',
    }
    read_by_openai(payloads)


@pytest.mark.parametrize(("denied", "status"), [(False, "completed"), (True, "failed")])
def test_what_came_of_an_approval_comes_first(denied: bool, status: str) -> None:
    came = events.ToolOutput("c", "now", "noon", denied=denied)
    payloads = encoded([came, STEP, *TEXT, *FINISHED])
    first, second = output(payloads)
    assert (first["type"], first["status"], first["approval_request_id"]) == ("mcp_call", status, "mcpr_c")
    assert second["type"] == "message"
    read_by_openai(payloads)


# Of a turn that began in another protocol nobody knows whose the tools are, until somebody ran them or nobody did.
STRANGE: list[tuple[list[TurnEvent], list[str]]] = [
    ([OUTPUT, CALLED], ["mcp_call"]),
    ([ASKED, CALLED], ["mcp_approval_request"]),
    ([CALLED], ["function_call"]),
    ([events.StepFinished("cancelled")], ["mcp_call"]),
]


@pytest.mark.parametrize(("then", "items"), STRANGE)
def test_a_turn_of_another_protocol_shows_its_calls_when_it_is_known_whose_they_are(
    then: list[TurnEvent], items: list[str]
) -> None:
    payloads = encoded([STEP, *CALL, *then, events.TurnFinished()], a_turn(dialect="delta"))
    assert [each["type"] for each in output(payloads)] == items
    read_by_openai(payloads)


def test_calls_of_one_id_have_ids_of_their_own() -> None:
    payloads = encoded([STEP, *CALL, *CALL, OUTPUT, OUTPUT, CALLED, events.TurnFinished()])
    assert [(each["id"], each["output"]) for each in output(payloads)] == [
        ("mcp_t-00000002_0", "noon"),
        ("mcp_t-00000002_1", "noon"),
    ]
    read_by_openai(payloads)


def test_usage_is_what_was_reported_or_else_estimated() -> None:
    reported = encoded([STEP, *TEXT, events.UsageReported(7, 3), *FINISHED])
    estimated = encoded([events.StepStarted(0, "P", "m", 10), *TEXT, *FINISHED])
    used = [cast("Any", each[-1]["response"])["usage"] for each in (reported, estimated)]
    assert [(each["input_tokens"], each["output_tokens"], each["total_tokens"]) for each in used] == [
        (7, 3, 10),
        (10, 2, 12),
    ]


def test_a_stream_that_breaks_off_says_so_and_can_be_gone_on_with() -> None:
    before: list[TurnEvent] = [STARTED, STEP, *TEXT[:3]]
    encoder = ResponsesEncoder(a_turn())
    seen = [payload for each in numbered(before) for payload in encoder.encode(each)]
    broken = broken_off(before, StoreUnavailable("Away"))
    shown = [payload for each in broken for payload in encoder.encode(NumberedEvent(0, each))]
    assert [(each["type"], each["sequence_number"]) for each in shown] == [
        ("error", seen[-1]["sequence_number"])
    ]
    read_by_openai([*seen, *shown])


@pytest.mark.parametrize(
    ("said", "status", "items"),
    [
        ([], "queued", []),
        ([STEP], "in_progress", []),
        ([STEP, *TEXT[:3]], "in_progress", ["xy"]),
        ([STEP, *TEXT], "in_progress", ["xy"]),
    ],
)
def test_a_response_that_is_being_made_is_shown_as_far_as_it_is(
    said: list[TurnEvent], status: str, items: list[str]
) -> None:
    shown = show_response(a_turn(), numbered([STARTED, *said]))
    assert shown["status"] == status
    response = Response.model_validate(shown)
    assert [cast("Any", each).content[0].text for each in response.output] == items
    assert show_response(a_turn(), [])["status"] == "queued"


@given(st.data())
def test_openai_takes_every_turn_in_every_protocol_and_the_rest_of_it_after_any_event(
    data: st.DataObject,
) -> None:
    said: list[TurnEvent] = [STARTED]
    grammar = Grammar()
    grammar.accept(STARTED)
    for _ in range(data.draw(st.integers(0, 25))):
        choices = [kind for kind in ALLOWED[grammar.state] if kind not in TERMINAL_TYPES]
        said.append(SAMPLES[data.draw(st.sampled_from(choices))])
        grammar.accept(said[-1])
    said += [*grammar.closing_events(), SAMPLES[data.draw(st.sampled_from(TERMINAL_TYPES))]]
    turn = a_turn(dialect=data.draw(st.sampled_from(["responses", "delta"])), own_tools=["now"])
    whole = encoded(said[1:], turn)
    for each in whole:
        EVENT.validate_python(each)
    assert [str(each["type"]) in ENDS for each in whole] == [False] * (len(whole) - 1) + [True]
    after = data.draw(st.integers(0, len(whole) - 1))
    resumed = ResumedEncoder(turn, after)
    rest = [payload for each in numbered(said) for payload in resumed.encode(each)]
    assert rest == whole[after + 1 :]


def test_whoever_saw_more_than_there_is_gets_the_end_all_the_same() -> None:
    said = numbered([STARTED, STEP, *TEXT, *FINISHED])
    resumed = ResumedEncoder(a_turn(), 50)
    [end] = [payload for each in said for payload in resumed.encode(each)]
    assert (end["type"], end["sequence_number"]) == ("response.completed", 51)


def test_frames_name_their_event() -> None:
    door = RESPONSES.door
    assert door and door.framing and RESPONSES.framing
    payload: JSONObject = {"type": "response.created", "sequence_number": 0}
    data = b'data: {"type":"response.created","sequence_number":0}\n\n'
    assert door.framing.frame(payload, "1") == b"event: response.created\n" + data
    assert RESPONSES.framing.frame(payload, "1") == b"event: response.created\nid: 1\n" + data


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = ["f", "now", "x y", ""]
KINDS = [
    *("message", "function_call", "function_call_output", "mcp_call", "mcp_approval_response"),
    *("reasoning", "item_reference", "web_search_call"),
]
PARTS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["input_text", "output_text", "refusal", "input_image"]) | JSON_VALUES,
            "text": st.text(max_size=9) | JSON_VALUES,
            "refusal": st.text(max_size=9),
        },
    ),
    max_size=3,
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(KINDS) | JSON_VALUES,
            "role": st.sampled_from(["user", "assistant", "system", "developer"]) | JSON_VALUES,
            "content": st.text(max_size=9) | PARTS | JSON_VALUES,
            "call_id": st.sampled_from(["c1", "c2"]) | JSON_VALUES,
            "id": st.sampled_from(["c1", "i"]),
            "name": st.sampled_from(NAMES) | JSON_VALUES,
            "arguments": st.text(max_size=9) | JSON_VALUES,
            "output": st.text(max_size=9) | PARTS | JSON_VALUES,
            "approval_request_id": st.sampled_from(["mcpr_c1", "mcpr_", "c1"]),
            "approve": st.booleans() | JSON_VALUES,
            "error": JSON_VALUES,
            "unknown": JSON_VALUES,
        },
    ),
    max_size=5,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "model": st.text(max_size=9) | JSON_VALUES,
        "input": st.text(max_size=9) | ITEMS | JSON_VALUES,
        "stream": st.booleans() | JSON_VALUES,
        "background": st.booleans() | JSON_VALUES,
        "store": st.booleans() | JSON_VALUES,
        "previous_response_id": st.just("resp_t-00000002") | JSON_VALUES,
        "conversation": st.just("t") | st.just({"id": "t"}) | JSON_VALUES,
        "instructions": st.text(max_size=9) | JSON_VALUES,
        "tools": st.lists(st.fixed_dictionaries({"type": st.just("function"), "name": st.sampled_from(NAMES)},
            optional={"parameters": JSON_VALUES, "strict": JSON_VALUES}), max_size=3) | JSON_VALUES,
        "tool_choice": st.sampled_from(["auto", "none", "required"]) | JSON_VALUES,
        "text": st.fixed_dictionaries({"format": st.fixed_dictionaries(
            {"type": st.sampled_from(["text", "json_object", "json_schema"])},
            optional={"schema": JSON_VALUES, "name": st.sampled_from(NAMES)})}) | JSON_VALUES,
        "temperature": st.floats(-1, 3) | JSON_VALUES,
        "max_output_tokens": JSON_VALUES,
        "metadata": st.dictionaries(st.text(max_size=5), st.text(max_size=5)) | JSON_VALUES,
        "reasoning": JSON_VALUES,
        "top_logprobs": JSON_VALUES,
        "prompt": JSON_VALUES,
        "include": JSON_VALUES,
        "whatElse": JSON_VALUES,
    },
)  # fmt: skip


def test_arguments_that_are_nested_too_deeply_to_be_written_are_refused() -> None:
    deep: Any = functools.reduce(lambda inner, _: {"a": inner}, range(400), {})
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": deep}
    assert RESPONSES.door
    with pytest.raises(ValidationError) as refused:
        validate(RESPONSES.door.body, {"input": [call]})
    assert refused.value.field == "input.0.arguments"


@given(BODIES)
def test_whatever_is_asked_is_read_or_refused_as_openai_does(body: dict[str, Any]) -> None:
    door = RESPONSES.door
    assert door and door.refusal
    try:
        asked = door.read(validate(door.body, body), Asker("ann", "", 1000))
    except ChatError as error:
        reply = door.refusal(error)
        assert 400 <= reply.status < 500
        assert set(orjson.loads(reply.body)["error"]) == {"message", "type", "param", "code"}
        return
    request = asked.request
    assert request.content.strip() or asked.answers
    turn = replace(a_turn(), request=request.kept)
    assert turn.hidden == asked.stateless == (body.get("store") is False)
    Response.model_validate(show_response(turn, numbered([STARTED])))
    payloads = encoded([STEP, *TEXT, *FINISHED], turn)
    read_by_openai(payloads)
    assert orjson.dumps(payloads)
