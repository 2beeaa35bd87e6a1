"""The engine: rounds of model and tools, their limits, and what the model is shown of them."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chat import events
from chat.calls import ToolCall, ToolDefinition
from chat.conversation import Session
from chat.errors import BadProviderReply, ChatError
from chat.events import ToolOutput, TurnEvent
from chat.messages import MessageDraft
from chat.providers.base import (
    ModelMessage,
    ReasoningPiece,
    ServiceOutputPiece,
    StopReason,
    ToolCallPiece,
    UsageReport,
)
from chat.providers.scripted import Line, ScriptedProvider
from chat.reply_options import ReplyOptions, ToolChoice
from chat.requests import TurnRequest
from chat.tools.base import NOBODY, Caller, ToolBox, ToolResult
from chat.turns.base import TurnContext
from chat.turns.engine import ToolLimits, TurnEngine
from chat.turns.grammar import Grammar
from chat.turns.tool_calls import MAX_CALLS
from chat.turns.window import ContextWindow
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import virtual

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ASK = ToolDefinition("ask_user", "Asks.", {"type": "object"})


class Box(ToolBox):
    """`wait` sleeps for as many seconds as its arguments say; every other tool answers with its arguments."""

    def __init__(self) -> None:
        self.ran: list[ToolCall] = []
        self.callers: list[Caller] = []
        self.stopped: list[str] = []

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        return tuple(ToolDefinition(name, "", {}) for name in ("say", "wait"))

    async def run(self, call: ToolCall, caller: Caller = NOBODY) -> ToolResult:
        self.ran.append(call)
        self.callers.append(caller)
        if call.name == "wait":
            try:
                await asyncio.sleep(float(call.arguments))
            except asyncio.CancelledError:
                self.stopped.append(call.id)
                raise
        return ToolResult(f"{call.name}: {call.arguments}", is_error=call.name not in ("say", "wait"))

    async def aclose(self) -> None:
        pass


def context(*tools: ToolDefinition) -> TurnContext:
    session = Session("s", "ann", "", NOW, NOW)
    asked = MessageDraft("user", "Hello", author="ann")
    return TurnContext(session, (asked,), TurnRequest("ann", content="Hello", tools=tools))


def calls(*asked: tuple[str, str, str]) -> list[Line]:
    return [ToolCallPiece(number, *each) for number, each in enumerate(asked)]


def engine(*scripts: Sequence[Line], box: Box | None = None, limits: ToolLimits | None = None) -> TurnEngine:
    provider = ScriptedProvider(*scripts)
    window = ContextWindow(provider, MemoryStore(), system_prompt="Be brief.", limit=100_000, history=50)
    return TurnEngine(provider, window, tools=box or Box(), limits=limits)


def provider_of(made: TurnEngine) -> ScriptedProvider:
    provider = made._provider
    assert isinstance(provider, ScriptedProvider)
    return provider


async def said(
    made: TurnEngine, *tools: ToolDefinition, found: list[TurnEvent] | None = None
) -> list[TurnEvent]:
    """All events of a turn, which the grammar must allow; in `found` also those of one that fails."""
    grammar = Grammar()
    grammar.accept(events.TurnStarted("t", "s", "m", ""))
    found = [] if found is None else found
    async with aclosing(made.events(context(*tools))) as stream:
        async for event in stream:
            grammar.accept(event)
            found.append(event)
    grammar.accept(events.TurnFinished())
    return found


def names(found: Sequence[TurnEvent]) -> list[str]:
    return [type(event).__name__ for event in found]


def outputs(found: Sequence[TurnEvent]) -> list[tuple[str, str]]:
    return [(event.call_id, event.output) for event in found if isinstance(event, ToolOutput)]


@virtual
async def test_a_turn_without_calls_is_one_step() -> None:
    made = engine(["Hi"])
    assert names(await said(made)) == [
        "StepStarted",
        "TextStarted",
        "TextDelta",
        "TextFinished",
        "StepFinished",
    ]
    assert [each.name for each in provider_of(made).requests[0].tools] == ["say", "wait"]


class LateBox(Box):
    """Its tools are there when they were waited for."""

    found = False

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        return super().definitions if self.found else ()

    async def ready(self, needed: Collection[str] = ()) -> None:
        self.found = True


@virtual
async def test_tools_that_come_late_are_offered_but_not_in_place_of_the_callers_own() -> None:
    made = engine(["Hi"], box=LateBox())
    await said(made, ToolDefinition("say", "the caller's", {}))
    shown = provider_of(made).requests[0].tools
    assert [(each.name, each.description) for each in shown] == [("wait", ""), ("say", "the caller's")]


@virtual
async def test_an_output_belongs_to_the_step_of_its_call() -> None:
    made = engine([*calls(("c1", "say", '{"a": 1}')), UsageReport(5, 2)], ["Done"])
    assert names(await said(made)) == [
        "StepStarted", "ToolCallStarted", "ToolCallDelta", "ToolCallFinished", "ToolOutput", "UsageReported",
        "StepFinished", "StepStarted", "TextStarted", "TextDelta", "TextFinished", "StepFinished",
    ]  # fmt: skip


@virtual
async def test_every_round_is_a_step_with_its_index() -> None:
    found = await said(engine(*[calls((f"c{n}", "say", "{}")) for n in range(3)], ["Done"]))
    assert [each.index for each in found if isinstance(each, events.StepStarted)] == [0, 1, 2, 3]


@virtual
async def test_the_model_is_shown_its_calls_and_then_the_outputs_in_the_order_of_the_calls() -> None:
    made = engine(["Let me see. ", *calls(("c1", "wait", "2"), ("c2", "say", '{"b": 1}'))], ["Done"])
    await said(made)
    first, second = provider_of(made).requests
    assert second.messages == (
        *first.messages,
        ModelMessage(
            "assistant", "Let me see. ", (ToolCall("c1", "wait", "{}"), ToolCall("c2", "say", '{"b": 1}'))
        ),
        ModelMessage("tool", "wait: 2", (), "c1"),
        ModelMessage("tool", 'say: {"b": 1}', (), "c2"),
    )
    assert second.tools == first.tools


@virtual
async def test_calls_run_side_by_side_and_outputs_come_as_they_end() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await said(engine(calls(("c1", "wait", "3"), ("c2", "wait", "1"), ("c3", "wait", "2")), ["Done"]))
    assert [each for each, _ in outputs(found)] == ["c2", "c3", "c1"]
    assert loop.time() - began == pytest.approx(3)


@virtual
async def test_the_service_is_left_before_the_tools_run() -> None:
    made = engine(calls(("c1", "wait", "5")), ["Done"])
    turn = asyncio.create_task(said(made))
    await asyncio.sleep(1)
    assert provider_of(made).open_streams == 0
    await turn


@virtual
async def test_an_unknown_tool_is_an_output_for_the_model() -> None:
    found = await said(engine(calls(("c1", "dance", "{}")), ["Sorry"]))
    assert [each.is_error for each in found if isinstance(each, ToolOutput)] == [True]
    assert names(found)[-2:] == ["TextFinished", "StepFinished"]


@virtual
async def test_tools_are_told_for_whom_they_run() -> None:
    box = Box()
    await said(engine(calls(("c1", "say", "{}")), ["Done"], box=box))
    assert box.callers == [Caller("ann")]


@virtual
async def test_after_the_last_round_the_model_is_asked_without_tools() -> None:
    box = Box()
    endless: list[Line] = calls(("c1", "say", "{}"))
    made = engine(endless, endless, endless, ["Done"], box=box, limits=ToolLimits(rounds=3))
    found = await said(made, ASK)
    assert [bool(each.tools) for each in provider_of(made).requests] == [True, True, True, False]
    assert len(box.ran) == 3
    assert names(found).count("StepFinished") == 4


@virtual
async def test_a_model_that_calls_all_the_same_gets_errors_and_the_turn_ends() -> None:
    box = Box()
    made = engine(["Let me see.", *calls(("c1", "say", "{}"))], box=box, limits=ToolLimits(rounds=2))
    found = await said(made)
    assert len(box.ran) == 2
    assert outputs(found)[-1] == ("c1", "Not run: no more tools may be called in this answer.")


NO_ANSWERS: dict[str, tuple[list[Line], str]] = {
    "nothing": ([], "MODEL_NO_ANSWER"),
    "blanks": ([" \n"], "MODEL_NO_ANSWER"),
    "thoughts": ([ReasoningPiece("Hm.")], "MODEL_NO_ANSWER"),
    "thoughts without end": ([ReasoningPiece("Hm."), StopReason("length")], "MODEL_NO_ANSWER"),
    "thoughts that were filtered": (
        [ReasoningPiece("Hm."), StopReason("content_filter")],
        "CONTENT_FILTERED",
    ),
    "calls after the last round": (calls(("c1", "say", "{}")), "TOOL_LIMIT_REACHED"),
    "a call of the caller's tool after the last round": (
        calls(("c1", "ask_user", "{}")),
        "TOOL_LIMIT_REACHED",
    ),
    "half a call": ([*calls(("c1", "say", '{"a')), StopReason("length")], "MODEL_NO_ANSWER"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
@virtual
async def test_a_reply_without_an_answer_is_a_failure_that_says_why(name: str) -> None:
    script, code = NO_ANSWERS[name]
    made = engine([*script, UsageReport(5, 2)], limits=ToolLimits(rounds=0))
    found: list[TurnEvent] = []
    with pytest.raises(ChatError) as raised:
        await said(made, ASK, found=found)
    assert raised.value.code == code
    assert found[-2:] == [events.UsageReported(5, 2), events.StepFinished("error")]


@virtual
async def test_after_the_time_for_tools_the_model_is_asked_without_them() -> None:
    made = engine(calls(("c1", "wait", "70")), calls(("c2", "wait", "70")), ["Done"])
    await said(made)
    assert [bool(each.tools) for each in provider_of(made).requests] == [True, True, False]


@virtual
async def test_a_reply_may_make_so_many_calls_and_no_more() -> None:
    box = Box()
    found = await said(
        engine(calls(*[(f"c{n}", "say", "{}") for n in range(MAX_CALLS + 2)]), ["Done"], box=box)
    )
    assert len(box.ran) == MAX_CALLS
    refused = [each for each in found if isinstance(each, ToolOutput) and each.is_error]
    assert {each.call_id for each in refused} == {f"c{MAX_CALLS}", f"c{MAX_CALLS + 1}"}


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_calls_of_a_reply_that_was_cut_off_are_not_run(reason: str) -> None:
    @virtual
    async def test() -> None:
        box = Box()
        stop = StopReason(reason)  # type: ignore[arg-type]
        found = await said(engine(["So. ", *calls(("c1", "say", '{"a')), stop], ["More"], box=box))
        assert box.ran == []
        assert outputs(found) == [("c1", "Not run: the reply was cut off before its end.")]
        assert found[-1] == events.StepFinished(reason)

    test()


@virtual
async def test_a_service_that_says_stop_for_calls_is_understood() -> None:
    found = await said(engine([*calls(("c1", "say", "{}")), StopReason("stop")], ["Done"]))
    assert outputs(found) == [("c1", "say: {}")]
    assert names(found).count("StepStarted") == 2


@virtual
async def test_calls_whose_pieces_are_mixed_up_are_a_bad_reply() -> None:
    pieces = [ToolCallPiece(0, "a", "say", "{"), ToolCallPiece(1, "b", "say", "{")]
    await said(engine([*pieces, ToolCallPiece(0), ToolCallPiece(1, arguments="}")], ["Done"]))
    with pytest.raises(BadProviderReply, match="mixed up"):
        await said(engine([*pieces, ToolCallPiece(0, arguments="}")], ["Done"]))


@virtual
async def test_a_call_without_an_id_gets_one() -> None:
    made = engine([ToolCallPiece(0, "", "say", "1"), ToolCallPiece(1, "", "say", "2")], ["Done"])
    found = await said(made)
    assert outputs(found) == [("call_0_0", "say: 1"), ("call_0_1", "say: 2")]


@virtual
async def test_arguments_that_are_no_object_are_not_shown_again() -> None:
    made = engine(calls(("c1", "say", '{"a')), ["Done"])
    await said(made)
    assert provider_of(made).requests[1].messages[-2].tool_calls[0].arguments == "{}"


@virtual
async def test_a_turn_that_is_stopped_stops_its_tools() -> None:
    box = Box()
    turn = asyncio.create_task(said(engine(calls(("c1", "wait", "50"), ("c2", "wait", "50")), box=box)))
    await asyncio.sleep(1)
    turn.cancel()
    await asyncio.wait([turn])
    assert turn.cancelled()
    assert sorted(box.stopped) == ["c1", "c2"]


@virtual
async def test_a_reader_that_leaves_in_between_stops_the_other_tools() -> None:
    box = Box()
    async with aclosing(
        engine(calls(("c1", "wait", "50"), ("c2", "say", "")), box=box).events(context())
    ) as stream:
        async for event in stream:
            if isinstance(event, ToolOutput):
                break
    assert box.stopped == ["c1"]


@virtual
async def test_a_call_of_the_callers_tool_ends_the_turn_and_stays_open() -> None:
    made = engine(calls(("c1", "ask_user", '{"q": 1}')), ["Never"])
    found = await said(made, ASK)
    assert outputs(found) == []
    assert found[-1] == events.StepFinished("tool_calls")
    assert len(provider_of(made).requests) == 1
    assert provider_of(made).requests[0].tools[-1] == ASK


@virtual
async def test_in_a_mixed_round_ours_are_run_first() -> None:
    made = engine(calls(("c1", "ask_user", "{}"), ("c2", "say", "{}")), ["Never"])
    found = await said(made, ASK)
    assert outputs(found) == [("c2", "say: {}")]
    assert len(provider_of(made).requests) == 1


@virtual
async def test_a_caller_cannot_have_a_tool_run_that_it_did_not_name() -> None:
    found = await said(engine(calls(("c1", "ask_user", "{}")), ["Sorry"]))
    assert [each.is_error for each in found if isinstance(each, ToolOutput)] == [True]


async def test_a_call_that_the_model_must_make_is_made_once_and_other_wishes_hold() -> None:
    made = engine(calls(("a", "say", '"hi"')), ["Said."])
    wishes = ReplyOptions(("x",), tool_choice=ToolChoice("required", "say"))
    asked = context()
    async with aclosing(
        made.events(replace(asked, request=replace(asked.request, options=wishes)))
    ) as stream:
        assert [each.text async for each in stream if isinstance(each, events.TextDelta)] == ["Said."]
    first, second = (each.options for each in provider_of(made).requests)
    assert (first, second) == (wishes, ReplyOptions(("x",)))


SERVED: list[Line] = [
    ToolCallPiece(0, "c1", "say", "{}"),  # by a name that one of ours has as well
    ServiceOutputPiece("c1", "say", "theirs"),
]


async def test_a_call_that_the_service_ran_is_shown_and_not_run():
    box = Box()
    made = engine([*SERVED, "Done."], box=box)
    told = await said(made)
    assert [type(each).__name__ for each in told] == [
        *("StepStarted", "ToolCallStarted", "ToolCallDelta", "ToolCallFinished", "ToolOutput"),
        *("TextStarted", "TextDelta", "TextFinished", "StepFinished"),
    ]
    assert told[4] == ToolOutput("c1", "say", "theirs")
    assert (box.ran, len(provider_of(made).requests)) == ([], 1)


async def test_our_calls_beside_those_of_the_service_are_run_and_both_are_shown_to_the_model():
    box = Box()
    made = engine(
        ["I look.", *SERVED, ToolCallPiece(1, "c2", "say", '"hi"'), StopReason("tool_calls")],
        ["Done."],
        box=box,
    )
    await said(made)
    assert [call.id for call in box.ran] == ["c2"]
    assert provider_of(made).requests[1].messages[-3:] == (
        ModelMessage("assistant", "I look.", (ToolCall("c1", "say", "{}"), ToolCall("c2", "say", "{}"))),
        ModelMessage("tool", "theirs", (), "c1"),
        ModelMessage("tool", 'say: "hi"', (), "c2"),
    )


async def test_calls_of_the_service_do_not_count_as_ours():
    box = Box()
    many: list[Line] = []
    for number in range(MAX_CALLS):
        many += [
            ToolCallPiece(number, f"c{number}", "say", "{}"),
            ServiceOutputPiece(f"c{number}", "say", ""),
        ]
    await said(engine([*many, ToolCallPiece(MAX_CALLS, "ours", "say", "{}")], ["Done."], box=box))
    assert [call.id for call in box.ran] == ["ours"]


async def test_calls_of_the_service_without_a_word_are_no_answer():
    with pytest.raises(ChatError) as failure:
        await said(engine([*SERVED]))
    assert failure.value.code == "MODEL_NO_ANSWER"
