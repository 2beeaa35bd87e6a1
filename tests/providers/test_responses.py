"""The Responses protocol: events in, deltas out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import (
    BadProviderReply,
    ContentFiltered,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderUnavailable,
)
from chat.providers.base import (
    ModelChosen,
    ModelDelta,
    ReasoningPiece,
    ServiceOutputPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from chat.providers.bounds import MOST_CALLS, MOST_OUTPUT
from tests.support.responses_wire import (
    COMPLETED,
    CREATED,
    MCP,
    Events,
    added,
    arguments,
    completed,
    deltas,
    done,
    function,
    output,
    said,
    text,
)
from tests.support.wires import message, response

CHOSEN = ModelChosen("gpt-9")

REPLIES: dict[str, tuple[Events, list[ModelDelta]]] = {
    "text": (
        [CREATED, text("Hel"), text("lo"), done(message("Hello")), completed(9, 2)],
        [TextPiece("Hel"), TextPiece("lo"), StopReason("stop"), UsageReport(9, 2)],
    ),
    "text that comes whole": (
        [CREATED, done(message("Hello")), COMPLETED],
        [TextPiece("Hello"), StopReason("stop")],
    ),
    "text that only the end has": (
        [completed(1, 1, output=[message("Hello")])],
        [TextPiece("Hello"), StopReason("stop"), UsageReport(1, 1)],
    ),
    "two messages, one of them whole": (
        [text("a"), done(message("a")), done(message("b")), COMPLETED],
        [TextPiece("a"), TextPiece("b"), StopReason("stop")],
    ),
    "a refusal": (
        [{"type": "response.refusal.delta", "delta": "No."}, COMPLETED],
        [TextPiece("No."), StopReason("stop")],
    ),
    "thoughts in the text": (
        [text("<think>hm</think>"), text("yes"), COMPLETED],
        [ReasoningPiece("hm"), TextPiece("yes"), StopReason("stop")],
    ),
    "a summary of the reasoning": (
        [
            {"type": "response.reasoning_summary_part.added", "summary_index": 0},
            {"type": "response.reasoning_summary_text.delta", "delta": "One"},
            {"type": "response.reasoning_summary_part.added", "summary_index": 1},
            {"type": "response.reasoning_summary_text.delta", "delta": "Two"},
            done({"type": "reasoning", "summary": [{"type": "summary_text", "text": "One"}]}),
            text("Hi"),
            COMPLETED,
        ],
        [
            ReasoningPiece("One"),
            ReasoningPiece("\n\n"),
            ReasoningPiece("Two"),
            TextPiece("Hi"),
            StopReason("stop"),
        ],
    ),
    "reasoning that comes whole": (
        [done({"type": "reasoning", "summary": [{"text": "One"}, {"text": "Two"}]}), text("Hi"), COMPLETED],
        [ReasoningPiece("One\n\nTwo"), TextPiece("Hi"), StopReason("stop")],
    ),
    "a call in pieces": (
        [
            added(function("now", "c1")),
            arguments("c1", '{"a"'),
            arguments("c1", ":1}"),
            {
                "type": "response.function_call_arguments.done",
                "item_id": "fc_c1",
                "output_index": 0,
                "arguments": '{"a":1}',
            },
            done(function("now", "c1", '{"a":1}')),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "c1", "now"),
            ToolCallPiece(0, arguments='{"a"'),
            ToolCallPiece(0, arguments=":1}"),
            StopReason("tool_calls"),
        ],
    ),
    "a call that comes whole": (
        [done(function("now", "c1", "{}")), COMPLETED],
        [ToolCallPiece(0, "c1", "now", "{}"), StopReason("tool_calls")],
    ),
    "calls that grow at the same time": (
        [
            added(function("now", "c1"), 0),
            added(function("sum", "c2"), 1),
            arguments("c1", "{", 0),
            arguments("c2", "{}", 1),
            done(function("sum", "c2", "{}"), 1),
            arguments("c1", "}", 0),
            done(function("now", "c1", "{}"), 0),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "c1", "now"),
            ToolCallPiece(0, arguments="{"),
            ToolCallPiece(0, arguments="}"),
            ToolCallPiece(1, "c2", "sum", "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "a call of an MCP server": (
        [
            added(MCP),
            {
                "type": "response.mcp_call_arguments.done",
                "item_id": "mcp_1",
                "output_index": 0,
                "arguments": "{}",
            },
            {"type": "response.mcp_call.in_progress"},
            done({**MCP, "arguments": "{}", "output": "found"}),
            text("Hi"),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "mcp_1", "read.wiki"),
            ToolCallPiece(0, arguments="{}"),
            ServiceOutputPiece("mcp_1", "read.wiki", "found"),
            TextPiece("Hi"),
            StopReason("stop"),
        ],
    ),
    "a call of an MCP server that failed": (
        [
            done({**MCP, "arguments": "{}", "error": {"type": "http_error", "message": "gone"}}),
            text("Hi"),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "mcp_1", "read.wiki", "{}"),
            ServiceOutputPiece("mcp_1", "read.wiki", "gone", is_error=True),
            TextPiece("Hi"),
            StopReason("stop"),
        ],
    ),
    "a search": (
        [
            added({"type": "web_search_call", "id": "ws_1"}),
            {"type": "response.web_search_call.searching"},
            done(
                {
                    "type": "web_search_call",
                    "id": "ws_1",
                    "status": "completed",
                    "action": {"type": "search", "query": "q"},
                }
            ),
            text("Hi"),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "ws_1", "web_search"),
            ToolCallPiece(0, arguments='{"action":{"type":"search","query":"q"}}'),
            ServiceOutputPiece("ws_1", "web_search", ""),
            TextPiece("Hi"),
            StopReason("stop"),
        ],
    ),
    "a call of the service that never ended": (
        [added(MCP), text("Hi"), COMPLETED],
        [
            ToolCallPiece(0, "mcp_1", "read.wiki"),
            TextPiece("Hi"),
            ServiceOutputPiece("mcp_1", "read.wiki", ""),
            StopReason("stop"),
        ],
    ),
    "a function that the service ran": (
        [
            done(function("ask", "c1", "{}")),
            done(output("c1", [{"type": "output_text", "text": "12"}])),
            text("Hi"),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "c1", "ask", "{}"),
            ServiceOutputPiece("c1", "ask", "12"),
            TextPiece("Hi"),
            StopReason("stop"),
        ],
    ),
    "an output of nothing": (
        [done(output("c9", "?")), text("Hi"), COMPLETED],
        [TextPiece("Hi"), StopReason("stop")],
    ),
    "the same id twice": (
        [
            done(function("ask", "c1", "{}")),
            done(output("c1", "a")),
            done(function("ask", "c1", "{}")),
            done(output("c1", "b")),
            text("Hi"),
            COMPLETED,
        ],
        [
            ToolCallPiece(0, "c1", "ask", "{}"),
            ServiceOutputPiece("c1", "ask", "a"),
            ToolCallPiece(1, "c1_", "ask", "{}"),
            ServiceOutputPiece("c1_", "ask", "b"),
            TextPiece("Hi"),
            StopReason("stop"),
        ],
    ),
    "things nobody knows": (
        [{"type": "response.dance"}, {}, added({"type": "mcp_list_tools"}), text("Hi"), COMPLETED],
        [TextPiece("Hi"), StopReason("stop")],
    ),
}


@pytest.mark.parametrize("name", REPLIES)
def test_replies_are_read(name: str):
    events, expected = REPLIES[name]
    assert said(events) == expected


def test_who_answers_is_named_by_the_response():
    assert deltas([CREATED, text("Hi"), COMPLETED])[0] == CHOSEN
    assert deltas([text("Hi"), COMPLETED])[0] == ModelChosen("asked")


# As an agent of Databricks is known to stream: one response for each model call, numbered anew, with one id for all.
FAKE = "__fake_id__"
AGENT: Events = [
    CREATED,
    added(message("", FAKE)),
    text("I ask."),
    added(function("python", "t1", id=FAKE), 1),
    {**arguments("t1", '{"code"', 1), "item_id": FAKE},
    {**arguments("t1", ":1}", 1), "item_id": FAKE},
    text(""),
    done(function("python", "t1", '{"code":1}', id=FAKE), 1),
    done(message("I ask.", FAKE)),
    completed(500, 90),
    output("t1", '{"rows":[12]}'),
    CREATED,
    added(message("", FAKE)),
    text("It is"),
    text(" 12."),
    done(message("It is 12.", FAKE)),
    completed(600, 10),
]
TOLD: list[ModelDelta] = [
    TextPiece("I ask."),
    ToolCallPiece(0, "t1", "python"),
    ToolCallPiece(0, arguments='{"code"'),
    ToolCallPiece(0, arguments=":1}"),
    ServiceOutputPiece("t1", "python", '{"rows":[12]}'),
    TextPiece("It is"),
    TextPiece(" 12."),
    StopReason("stop"),
    UsageReport(1100, 100),
]


def test_an_agent_answers_in_several_responses():
    assert said(AGENT, agent=True) == TOLD


@pytest.mark.parametrize("size", range(len(AGENT) - 2))
def test_an_agent_that_is_cut_before_its_last_message_is_whole_gave_no_answer(size: int):
    with pytest.raises(BadProviderReply):
        deltas(AGENT[:size], agent=True)


def test_an_agent_may_end_behind_a_whole_message_without_saying_so():
    events = [done(function("ask", "c1", "{}")), done(output("c1", "12")), done(message("It is 12."))]
    assert said(events, agent=True)[-2:] == [TextPiece("It is 12."), StopReason("stop")]
    with pytest.raises(BadProviderReply):
        said(events)


@pytest.mark.parametrize(
    "events",
    [
        [text("It")],
        [done(message("a")), text("b")],
        [done(message("a")), done(function("ask", "c1", "{}"))],
        [done(message("a")), added(function("ask", "c1"))],
        [done(output("c1", "?"))],
        [],
    ],
)
def test_an_agent_in_the_middle_of_something_broke_off(events: Events):
    with pytest.raises(BadProviderReply):
        deltas(events, agent=True)


def test_a_call_of_an_agent_is_never_ours():
    events = [done(message("I ask.")), done(function("ask", "c1", "{}")), COMPLETED]
    assert said(events)[-1] == StopReason("tool_calls")
    with pytest.raises(BadProviderReply):
        said(events, agent=True)


ERRORS: list[tuple[dict[str, Any], type[ProviderError]]] = [
    ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, ProviderRateLimited),
    ({"type": "error", "error": {"code": "server_error", "message": "?"}}, ProviderUnavailable),
    ({"type": "error", "message": "?"}, BadProviderReply),
    ({"type": "response.error", "code": "429"}, ProviderRateLimited),
    ({"error_code": "INVALID_PARAMETER_VALUE", "message": "no such tool"}, ProviderRejected),
    ({"error": "something broke"}, BadProviderReply),
    (
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}},
        ProviderUnavailable,
    ),
    (
        {"type": "response.failed", "response": {"status": "failed", "error": {"code": "content_filter"}}},
        ContentFiltered,
    ),
    ({"type": "response.failed", "response": {"status": "failed", "error": None}}, BadProviderReply),
    ({"type": "response.cancelled", "response": {"status": "cancelled"}}, BadProviderReply),
    ({"object": "response", "status": "failed", "error": {"code": "invalid_prompt"}}, ProviderRejected),
]


@pytest.mark.parametrize(("event", "kind"), ERRORS)
@pytest.mark.parametrize("before", [[], [text("Hel")]])
def test_an_error_is_one_of_ours(before: Events, event: dict[str, Any], kind: type[ProviderError]):
    with pytest.raises(ProviderError) as raised:
        deltas([*before, event])
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "max_tool_calls"}, "length"),
        (None, "length"),
    ],
)
def test_what_is_incomplete_says_why(details: object, reason: Any):
    ending = response(status="incomplete", incomplete_details=details)
    assert said([text("Hel"), {"type": "response.incomplete", "response": ending}])[-1] == StopReason(reason)


def test_a_reply_in_one_object_is_read():
    whole = response(output=[message("Hello")], usage={"input_tokens": 3, "output_tokens": 1})
    assert deltas([whole]) == [CHOSEN, TextPiece("Hello"), StopReason("stop"), UsageReport(3, 1)]


def test_calls_and_outputs_are_bounded():
    many = [done(function("f", f"c{number}", "{}")) for number in range(MOST_CALLS + 5)]
    calls = [each for each in said([*many, COMPLETED]) if isinstance(each, ToolCallPiece)]
    assert len(calls) == MOST_CALLS
    long = done({**MCP, "arguments": "{}", "output": "x" * (MOST_OUTPUT + 1)})
    [result] = [each for each in said([long, COMPLETED]) if isinstance(each, ServiceOutputPiece)]
    assert len(result.output) == MOST_OUTPUT + len(" [cut]")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "item",
                    "id",
                    "call_id",
                    "name",
                    "arguments",
                    "output",
                    "content",
                    "text",
                    "summary",
                    "delta",
                    "error",
                    "response",
                    "status",
                    "usage",
                    "input_tokens",
                    "model",
                    "incomplete_details",
                    "reason",
                    "output_index",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    [each["type"] for events, _ in REPLIES.values() for each in events if each.get("type")] + ["error"]
)


@given(
    events=st.lists(
        st.tuples(KINDS, st.dictionaries(st.sampled_from(["item", "response", "delta"]), VALUES)), max_size=6
    ),
    agent=st.booleans(),
)
def test_whatever_comes_is_read_or_one_of_our_errors(
    events: list[tuple[str, dict[str, Any]]], *, agent: bool
):
    try:
        told = deltas([{**more, "type": kind} for kind, more in events], agent=agent)
    except ProviderError:
        return
    assert isinstance(told[0], ModelChosen)
    assert sum(isinstance(each, StopReason) for each in told) == 1
