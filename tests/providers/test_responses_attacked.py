"""The Responses protocol as no service should speak it: what is said is told once, and no call is run by half."""

from typing import Any

import pytest

from chat.errors import BadProviderReply, ProviderError, ProviderRejected
from chat.providers.base import (
    ModelDelta,
    ReasoningPiece,
    ServiceOutputPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
)
from tests.support.responses_wire import (
    COMPLETED,
    CREATED,
    MCP,
    Events,
    added,
    arguments,
    deltas,
    done,
    function,
    said,
    text,
)
from tests.support.wires import message, response


def text_done(whole: str) -> dict[str, Any]:
    return {"type": "response.output_text.done", "item_id": "m", "content_index": 0, "text": whole}


def ended(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.completed", "response": response(output=list(items))}


def part(number: int) -> dict[str, Any]:
    return {"type": "response.reasoning_summary_part.added", "summary_index": number}


WHOLE = done(function("now", "c1", '{"a":1}'))
CALL: list[ModelDelta] = [ToolCallPiece(0, "c1", "now"), ToolCallPiece(0, arguments='{"a":1}')]
ODD: dict[str, tuple[Events, list[ModelDelta]]] = {
    "text that only its own end has": (
        [CREATED, added(message("")), text_done("Hello"), COMPLETED],
        [TextPiece("Hello"), StopReason("stop")],
    ),
    "two texts of one message that only their ends have": (
        [added(message("")), text_done("a"), text_done("b"), done(message("ab")), COMPLETED],
        [TextPiece("a"), TextPiece("b"), StopReason("stop")],
    ),
    "an end of a text that was told": (
        [added(message("")), text("Hi"), text_done("Hi"), done(message("Hi")), COMPLETED],
        [TextPiece("Hi"), StopReason("stop")],
    ),
    "an end of a text behind its message": (
        [added(message("")), done(message("Hi")), text_done("Hi"), COMPLETED],
        [TextPiece("Hi"), StopReason("stop")],
    ),
    "a refusal that only its own end has": (
        [{"type": "response.refusal.done", "refusal": "No."}, COMPLETED],
        [TextPiece("No."), StopReason("stop")],
    ),
    "text amid a call": (
        [added(function("now", "c1")), text("Hi"), arguments("c1", '{"a":1}'), WHOLE, COMPLETED],
        [*CALL, TextPiece("Hi"), StopReason("tool_calls")],
    ),
    "text amid a call whose arguments come whole": (
        [added(function("now", "c1")), text("Hi"), WHOLE, text("!"), COMPLETED],
        [*CALL, TextPiece("Hi"), TextPiece("!"), StopReason("tool_calls")],
    ),
    "a thought amid a call": (
        [added(function("now", "c1")), part(1), arguments("c1", '{"a":1}'), WHOLE, COMPLETED],
        [*CALL, ReasoningPiece("\n\n"), StopReason("tool_calls")],
    ),
    "two calls of one id": (
        [WHOLE, done(function("sum", "c1", "{}"), 1), COMPLETED],
        [
            ToolCallPiece(0, "c1", "now", '{"a":1}'),
            ToolCallPiece(1, "c1_", "sum", "{}"),
            StopReason("tool_calls"),
        ],
    ),
    "one call told twice": (
        [WHOLE, WHOLE, COMPLETED],
        [ToolCallPiece(0, "c1", "now", '{"a":1}'), StopReason("tool_calls")],
    ),
    "a call whose end only the response has": (
        [added(function("now", "c1")), ended(WHOLE["item"])],
        [*CALL, StopReason("tool_calls")],
    ),
    "a call that only the response has": (
        [text("Hi"), ended(message("Hi"), WHOLE["item"])],
        [TextPiece("Hi"), ToolCallPiece(0, "c1", "now", '{"a":1}'), StopReason("tool_calls")],
    ),
    "an answer of several items that only the response has": (
        [CREATED, ended(message("a"), WHOLE["item"], message("b"))],
        [
            TextPiece("a"),
            ToolCallPiece(0, "c1", "now", '{"a":1}'),
            TextPiece("b"),
            StopReason("tool_calls"),
        ],
    ),
    "calls that the response repeats": (
        [WHOLE, done(MCP), ended(WHOLE["item"], MCP)],
        [
            ToolCallPiece(0, "c1", "now", '{"a":1}'),
            ToolCallPiece(1, "mcp_1", "read.wiki"),
            ServiceOutputPiece("mcp_1", "read.wiki", ""),
            StopReason("tool_calls"),
        ],
    ),
    "arguments that are whole, and no end of their call": (
        [added(function("now", "c1")), arguments("c1", '{"a":1}'), COMPLETED],
        [*CALL, StopReason("tool_calls")],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_comes_in_another_order_is_told_once(name: str) -> None:
    events, expected = ODD[name]
    assert said(events) == expected


HALF: dict[str, Events] = {
    "no arguments and no end": [added(function("delete", "c1")), COMPLETED],
    "half of the arguments": [added(function("delete", "c1")), arguments("c1", '{"only":'), COMPLETED],
    "text in their place": [added(function("delete", "c1")), text("Hi"), COMPLETED],
    "arguments of another call": [added(function("delete", "c1")), arguments("c2", "{}"), COMPLETED],
    "arguments that are no text": [done(function("delete", "c1") | {"arguments": {"only": "x"}}), COMPLETED],
    "a second call that never ended": [
        added(function("now", "c1")),
        added(function("delete", "c2"), 1),
        done(function("now", "c1", "{}")),
        COMPLETED,
    ],
}


@pytest.mark.parametrize("name", HALF)
def test_a_call_that_is_not_whole_is_not_run(name: str) -> None:
    with pytest.raises(BadProviderReply):
        deltas(HALF[name])


@pytest.mark.parametrize("before", [[], [text("Let me look.")]])
@pytest.mark.parametrize("event", [added, done])
@pytest.mark.parametrize("agent", [False, True])
def test_an_approval_that_the_service_asks_for_is_said_to_be_impossible(
    before: Events, event: Any, *, agent: bool
) -> None:
    item = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "drop_table", "server_label": "wiki"}
    with pytest.raises(ProviderError) as raised:
        deltas([*before, event(item | {"arguments": "{}"}), COMPLETED], agent=agent)
    assert type(raised.value) is ProviderRejected
    assert str(raised.value) == (
        "The model service asks for an approval of its own tool 'drop_table', which cannot be given here."
    )


def test_what_comes_amid_a_call_is_bounded() -> None:
    with pytest.raises(BadProviderReply, match="does not end a call"):
        deltas([added(function("now", "c1")), *[text("x" * 1000)] * 300, WHOLE, COMPLETED])


def test_an_agent_whose_response_lists_its_calls_once_more_answers() -> None:
    events = [text("Hi"), done(message("Hi")), ended(function("ask", "c1", "{}"), message("Hi"))]
    assert said(events, agent=True) == [TextPiece("Hi"), StopReason("stop")]
