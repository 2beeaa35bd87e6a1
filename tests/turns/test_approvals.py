"""Tools that need an approval: the turn ends with a call that waits, somebody says yes or no, a new turn goes on."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chat.calls import ARGUMENTS_BYTES, REASON, Approval, CallAnswer, CallOutput, ToolCall, ToolDefinition
from chat.errors import (
    BudgetSpent,
    Forbidden,
    ProviderUnavailable,
    SessionNotFound,
    StoreUnavailable,
    ValidationError,
)
from chat.events import ApprovalRequested, JSONObject, NumberedEvent, ToolOutput
from chat.messages import Message
from chat.providers.base import ModelMessage, ToolCallPiece
from chat.providers.scripted import Line, ScriptedProvider
from chat.requests import TurnRequest
from chat.tools.base import Caller
from chat.tools.function_tool import tool
from chat.tools.registry import ToolRegistry
from chat.turns.allowance import Allowance
from chat.turns.approved_calls import DENIED
from chat.turns.client_calls import find_continued, open_calls
from chat.turns.engine import TurnEngine
from chat.turns.feed import EventFeed, LiveTurn
from chat.turns.runner import TurnRunner
from chat.turns.tool_history import UNKNOWN_OUTPUT
from chat.turns.window import ContextWindow
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, kinds, make_runner, read
from tests.support.virtual_time import VirtualClock, virtual

ASK = ToolDefinition("ask_user", "Asks.", {"type": "object"})
BOOK = '{"city":"Rome"}'


class Desk:
    """The tools: what was run, for whom, and what was stopped."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self.stopped: list[str] = []

    def tools(self) -> ToolRegistry:
        async def book(city: str, caller: Caller, seconds: float = 0) -> str:
            self.ran.append((city, caller.user_id))
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                self.stopped.append(city)
                raise
            return f"{city} is booked"

        def look(city: str, caller: Caller) -> str:
            self.ran.append((f"look {city}", caller.user_id))
            return f"{city} is nice"

        tools = (tool(book, needs_approval=True), tool(look))
        return ToolRegistry(tools, time_limit=30, max_output=20_000)


class Chat:
    """One session, in which a call of `book` waits for an approval."""

    def __init__(self, *scripts: Sequence[Line]) -> None:
        self.store, self.desk = MemoryStore(VirtualClock()), Desk()
        self.provider = ScriptedProvider(*scripts)
        self.tools = self.desk.tools()
        self.runner = self.instance(self.store)
        self.session_id = ""

    def instance(self, store: Any, **more: Any) -> TurnRunner:
        window = ContextWindow(self.provider, store, system_prompt="Be brief.", limit=100_000, history=50)
        return make_runner(
            store=store, sources={"": TurnEngine(self.provider, window, tools=self.tools)}, **more
        )

    async def say(self, text: str, user: str = "ann", tools: tuple[ToolDefinition, ...] = (ASK,)) -> LiveTurn:
        request = TurnRequest(user, content=text, session_id=self.session_id, tools=tools)
        live = await self._run(request)
        self.session_id = live.turn.session_id
        return live

    async def going_on(self, *said: CallAnswer, user: str = "ann", nonce: str = "") -> TurnRequest:
        request = TurnRequest(user, session_id=self.session_id, nonce=nonce)
        return await find_continued(self.store, self.store, self.tools, request, said)

    async def answer(self, *said: CallAnswer, user: str = "ann", nonce: str = "") -> LiveTurn:
        return await self._run(await self.going_on(*said, user=user, nonce=nonce))

    async def _run(self, request: TurnRequest) -> LiveTurn:
        live = await self.runner.start(request)
        await read(live.feed)
        return live

    async def open(self) -> list[str]:
        """The calls that wait still."""
        messages = await self.store.list_messages("ann", self.session_id, limit=50)
        return [str(call["id"]) for calls in open_calls(messages).values() for call in calls]

    async def newest(self) -> Message:
        return (await self.store.list_messages("ann", self.session_id, limit=50))[-1]


def calling(*calls: tuple[str, str, str]) -> list[Line]:
    return [ToolCallPiece(place, *each) for place, each in enumerate(calls)]


def booking(*ids: str) -> list[Line]:
    return calling(*[(each, "book", BOOK) for each in ids])


def yes(call_id: str = "c1", arguments: str = "") -> Approval:
    return Approval(call_id, True, arguments)


def no(call_id: str = "c1", reason: str = "") -> Approval:
    return Approval(call_id, False, reason=reason)


def calls_of(message: Message) -> Any:
    return message.metadata["tool_calls"]


def outputs(live: LiveTurn) -> list[ToolOutput]:
    return [each.event for each in live.feed.events if isinstance(each.event, ToolOutput)]


def call(**decided: Any) -> JSONObject:
    return {"id": "c1", "name": "book", "arguments": BOOK, "output": None, "is_error": False, **decided}


@virtual
async def test_a_call_that_needs_an_approval_ends_the_turn_and_is_not_run() -> None:
    chat = Chat(["Well. ", *booking("c1")], ["Never"])
    live = await chat.say("Book Rome")
    assert kinds(live.feed.events)[-4:] == [
        "ToolCallFinished",
        "ApprovalRequested",
        "StepFinished",
        "TurnFinished",
    ]
    assert chat.desk.ran == []
    assert calls_of(await chat.newest()) == [call(approval="requested")]
    assert (await chat.newest()).status == "complete"


@virtual
async def test_the_model_is_not_told_that_a_tool_needs_an_approval() -> None:
    chat = Chat(["Hi"])
    await chat.say("Hi")
    [request] = chat.provider.requests
    assert [(each.name, each.needs_approval) for each in request.tools][:2] == [
        ("book", True),
        ("look", False),
    ]


@virtual
async def test_other_calls_of_the_same_reply_run_at_once() -> None:
    look = ("c2", "look", BOOK)
    chat = Chat(calling(("c1", "book", BOOK), look, ("c3", "book", BOOK)), ["Never"])
    live = await chat.say("Book Rome")
    asked = [each.event for each in live.feed.events if isinstance(each.event, ApprovalRequested)]
    assert asked == [ApprovalRequested("c1", "book"), ApprovalRequested("c3", "book")]
    assert [(each.call_id, each.output) for each in outputs(live)] == [("c2", "Rome is nice")]
    assert chat.desk.ran == [("look Rome", "ann")]


@virtual
async def test_a_tool_of_the_caller_is_theirs_whatever_has_its_name_by_now() -> None:
    chat = Chat(booking("c1"))
    live = await chat.say("Book Rome", tools=(ASK, ToolDefinition("book", "Theirs.", {"type": "object"})))
    assert "ApprovalRequested" not in kinds(live.feed.events)
    assert calls_of(await chat.newest()) == [call()]


@virtual
async def test_an_approved_call_is_run_first_and_the_model_goes_on_from_its_output() -> None:
    chat = Chat(["Well. ", *booking("c1")], ["Done."])
    first = await chat.say("Book Rome")
    second = await chat.answer(yes())
    assert kinds(second.feed.events)[:3] == ["TurnStarted", "ToolOutput", "StepStarted"]
    assert outputs(second) == [ToolOutput("c1", "book", "Rome is booked")]
    assert chat.desk.ran == [("Rome", "ann")]
    assert chat.provider.requests[1].messages[1:] == (
        ModelMessage("user", "Book Rome"),
        ModelMessage("assistant", "Well. ", (ToolCall("c1", "book", BOOK),)),
        ModelMessage("tool", "Rome is booked", (), "c1"),
    )
    answer = await chat.newest()
    assert (answer.content, answer.metadata["continues"]) == ("Done.", first.turn.id)
    decided = {"approval": "approved", "decided_by": "ann", "run_for": "ann"}
    assert calls_of(answer) == [call(output="Rome is booked", **decided)]
    assert second.turn.user_message_id == first.turn.user_message_id


@pytest.mark.parametrize(("reason", "told"), [("", DENIED), ("Too far", f"{DENIED} The reason: Too far")])
def test_a_denied_call_is_an_error_that_the_model_reads(reason: str, told: str) -> None:
    @virtual
    async def test() -> None:
        chat = Chat(booking("c1"), ["A pity."])
        await chat.say("Book Rome")
        second = await chat.answer(no(reason=reason))
        assert outputs(second) == [ToolOutput("c1", "book", told, is_error=True, denied=True)]
        assert chat.desk.ran == []
        assert chat.provider.requests[1].messages[-1] == ModelMessage("tool", told, (), "c1")
        [kept] = calls_of(await chat.newest())
        assert (kept["approval"], kept["decided_by"], kept["is_error"]) == ("denied", "ann", True)

    test()


@virtual
async def test_other_arguments_take_the_place_of_the_models() -> None:
    chat = Chat(booking("c1"), ["Done."])
    await chat.say("Book Rome")
    await chat.answer(yes(arguments='{"city":"Oslo"}'))
    assert chat.desk.ran == [("Oslo", "ann")]
    shown = chat.provider.requests[1].messages[-2:]
    assert shown[0].tool_calls == (ToolCall("c1", "book", '{"city":"Oslo"}'),)
    assert shown[1].content == "Oslo is booked"


@virtual
async def test_yes_no_and_an_output_of_the_callers_own_go_together() -> None:
    asked = calling(("c1", "book", BOOK), ("c2", "book", BOOK), ("c3", "ask_user", "{}"))
    chat = Chat(asked, ["Done."])
    await chat.say("Book Rome")
    second = await chat.answer(CallOutput("c3", "two beds"), no("c2"), yes("c1"))
    assert [(each.call_id, each.denied) for each in outputs(second)] == [("c2", True), ("c1", False)]
    assert [each.content for each in chat.provider.requests[1].messages[-3:]] == [
        "Rome is booked",
        DENIED,
        "two beds",
    ]


@virtual
async def test_approved_calls_run_side_by_side() -> None:
    slow = '{"city":"Rome","seconds":5}'
    chat = Chat(calling(("c1", "book", slow), ("c2", "book", slow)), ["Done."])
    await chat.say("Book Rome")
    began = asyncio.get_running_loop().time()
    await chat.answer(yes("c1"), yes("c2"))
    assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=1)


@virtual
async def test_the_next_reply_may_ask_for_another_approval_and_its_id_is_another() -> None:
    chat = Chat(booking("c1"), booking("c1"), ["Done."])
    await chat.say("Book Rome")
    await chat.answer(yes())
    assert [each["output"] for each in calls_of(await chat.newest())] == ["Rome is booked", None]
    await chat.answer(yes("c1_"))
    assert len(chat.desk.ran) == 2
    assert [each["output"] for each in calls_of(await chat.newest())] == ["Rome is booked"] * 2


UNFIT = {
    "no such argument": ('{"town":"Rome"}', "city: Field required"),
    "no object": ("[1]", "not a JSON object"),
    "half an object": ('{"city', "not a JSON object"),
    "too long": (f'{{"city":"{"x" * 17_000}"}}', "too long"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_nobody_is_asked_about_a_call_that_could_only_fail(name: str) -> None:
    arguments, said = UNFIT[name]

    @virtual
    async def test() -> None:
        chat = Chat(calling(("c1", "book", arguments)), ["Sorry."])
        live = await chat.say("Book Rome")
        [output] = outputs(live)
        assert said in output.output
        assert "ApprovalRequested" not in kinds(live.feed.events)
        assert (await chat.newest()).content == "Sorry."

    test()


@virtual
async def test_calls_that_wait_are_kept_whole_whatever_else_is_kept() -> None:
    long = f'{{"city":"{"x" * 900}"}}'
    calls = [(f"c{place}", "book" if place % 2 else "look", long) for place in range(16)]
    chat = Chat(*[calling(*[(f"d{n}", "look", long) for n in range(16)])] * 3, calling(*calls), ["Done."])
    await chat.say("Book Rome")
    kept = {each["id"]: each["arguments"] for each in calls_of(await chat.newest())}
    assert [kept[f"c{place}"] for place in range(1, 16, 2)] == [long] * 8


@virtual
async def test_two_calls_of_one_id_in_one_reply_are_two() -> None:
    chat = Chat(calling(("c1", "book", BOOK), ("c1", "book", '{"city":"Oslo"}')), ["Done."])
    await chat.say("Book Rome")
    await chat.answer(yes("c1"), no("c1_"))
    assert chat.desk.ran == [("Rome", "ann")]


@virtual
async def test_a_later_turn_has_other_ids_too() -> None:
    chat = Chat(booking("c1"), booking("c1"), ["Done."])
    await chat.say("Book Rome")
    await chat.say("Book Rome again")
    assert calls_of(await chat.newest())[0]["id"] == "c1_"


@virtual
async def test_where_two_turns_have_calls_of_one_id_the_turn_must_be_named() -> None:
    chat = Chat(booking("c1"), calling(("c1", "book", '{"city":"Oslo"}')), ["Done."])
    first = await chat.say("Book Rome")
    again = TurnRequest("ann", message_id=first.turn.user_message_id, session_id=chat.session_id)
    second = await chat.runner.start(again)
    await read(second.feed)
    with pytest.raises(ValidationError, match="Several turns") as refused:
        await chat.answer(yes())
    assert refused.value.field == "approvals.0.turn_id"
    with pytest.raises(ValidationError, match="No call"):
        await chat.answer(Approval("c1", True, turn_id="t"))
    await chat.answer(Approval("c1", True, turn_id=second.turn.id))
    assert chat.desk.ran == [("Oslo", "ann")]


# who may, and with whose access


async def with_bob(*scripts: Sequence[Line]) -> Chat:
    chat = Chat(*scripts)
    await chat.say("Book Rome")
    await let_into(chat.store, chat.session_id, "bob", "editor")
    return chat


@virtual
async def test_what_the_model_wrote_runs_for_who_asked_whoever_approves() -> None:
    again = calling(("c2", "look", BOOK))
    chat = await with_bob(booking("c1"), again, booking("c3"), ["Done."])
    second = await chat.answer(yes(), user="bob")
    assert second.turn.user_id == "bob"
    assert chat.desk.ran == [("Rome", "ann"), ("look Rome", "ann")]
    await chat.answer(yes("c3"), user="bob")
    assert chat.desk.ran[-1] == ("Rome", "ann")
    assert calls_of(await chat.newest())[-1]["decided_by"] == "bob"


SAID_BY_BOB: dict[str, tuple[list[CallAnswer], list[tuple[str, str]]]] = {
    "arguments": ([yes(arguments='{"city":"Oslo"}'), no("c2")], [("Oslo", "bob"), ("look Rome", "bob")]),
    "a reason": ([yes(), no("c2", "Look at Rome")], [("Rome", "ann"), ("look Rome", "bob")]),
    "a bare no": ([yes(), no("c2")], [("Rome", "ann"), ("look Rome", "ann")]),
    "arguments that are the same to Python": (
        [yes(arguments='{"city":"Rome","seconds":0}'), no("c2")],
        [("Rome", "bob"), ("look Rome", "bob")],
    ),
    "the same arguments": (
        [yes(arguments='{ "city": "Rome" }'), no("c2")],
        [("Rome", "ann"), ("look Rome", "ann")],
    ),
}


@pytest.mark.parametrize("name", SAID_BY_BOB)
def test_what_somebody_else_makes_up_runs_with_their_own_access(name: str) -> None:
    said, ran = SAID_BY_BOB[name]

    @virtual
    async def test() -> None:
        chat = await with_bob(booking("c1", "c2"), calling(("c3", "look", BOOK)), ["Done."])
        await chat.answer(*said, user="bob")
        assert chat.desk.ran == ran

    test()


@pytest.mark.parametrize("more", [{"settings": {"system_prompt": "Look at Rome"}}, {"tools": (ASK,)}])
def test_who_brings_settings_or_tools_with_their_yes_has_asked_from_then_on(more: dict[str, Any]) -> None:
    @virtual
    async def test() -> None:
        chat = await with_bob(booking("c1"), calling(("c2", "look", BOOK)), ["Done."])
        request = TurnRequest("bob", session_id=chat.session_id, **more)
        found = await find_continued(chat.store, chat.store, chat.tools, request, [yes()])
        await read((await chat.runner.start(found)).feed)
        assert chat.desk.ran == [("Rome", "ann"), ("look Rome", "bob")]

    test()


@virtual
async def test_nothing_runs_for_who_has_no_budget_left() -> None:
    class Spent(Allowance):
        async def granted(self) -> None:
            raise BudgetSpent

    chat = Chat(booking("c1"), ["Done."])
    await chat.say("Book Rome")
    with pytest.raises(BudgetSpent):
        await chat.runner.start(await chat.going_on(yes()), Spent())
    await chat.answer(yes())
    assert chat.desk.ran == [("Rome", "ann")]


@virtual
async def test_an_approved_tool_ends_with_the_time_of_its_turn() -> None:
    chat = Chat(calling(("c1", "book", '{"city":"Rome","seconds":25}')), ["Never."])
    chat.runner = chat.instance(chat.store, turn_limit=10)
    await chat.say("Book Rome")
    live = await chat.answer(yes())
    assert (kinds(live.feed.events)[-1], chat.desk.stopped) == ("TurnFailed", ["Rome"])


@virtual
async def test_nobody_can_have_a_tool_run_for_somebody_who_was_taken_out() -> None:
    chat = Chat(["Hi"], booking("c1"), calling(("c2", "look", BOOK)), ["A pity."])
    await chat.say("Hi")
    await let_into(chat.store, chat.session_id, "bob", "editor")
    await chat.say("Book Rome", user="bob")
    await chat.store.remove_member("ann", chat.session_id, "bob")
    with pytest.raises(ValidationError, match="may not write here any more") as refused:
        await chat.answer(yes())
    assert refused.value.field == "approvals.0.approved"
    await chat.answer(no())
    assert chat.desk.ran == [("look Rome", "ann")]


@virtual
async def test_a_stranger_finds_no_session_and_a_viewer_may_not() -> None:
    chat = await with_bob(booking("c1"))
    await let_into(chat.store, chat.session_id, "vera", "viewer")
    with pytest.raises(SessionNotFound):
        await chat.answer(yes(), user="eve")
    with pytest.raises(Forbidden):
        await chat.answer(yes(), user="vera")


WRONG: dict[str, tuple[list[CallAnswer], str, str]] = {
    "another id": ([yes("c9")], "approvals.0.call_id", "No call"),
    "one too many": ([yes("c1"), no("c2"), yes("c9")], "approvals.2.call_id", "No call"),
    "twice": ([yes("c1"), no("c1")], "approvals.1.call_id", "two approvals"),
    "one is missing": ([yes("c1")], "approvals", "approval of c2 is missing"),
    "an output of ours": ([yes("c1"), CallOutput("c2", "booked")], "tool_outputs.0.call_id", "No call"),
    "arguments of another shape": ([yes("c1", '{"x":1}'), no("c2")], "approvals.0.arguments", "city: Field"),
    "arguments that are no object": ([no("c1"), yes("c2", "[]")], "approvals.1.arguments", "object"),
    "arguments that are too large": (
        [yes("c1", f'{{"city":"{"x" * ARGUMENTS_BYTES}"}}'), no("c2")],
        "approvals.0.arguments",
        "Larger",
    ),
    "a reason that is too long": (
        [no("c1", "x" * (REASON + 1)), no("c2")],
        "approvals.0.reason",
        "characters",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named_before_anything_runs(name: str) -> None:
    said, field, why = WRONG[name]

    @virtual
    async def test() -> None:
        chat = Chat(booking("c1", "c2"), ["Never."])
        await chat.say("Book Rome")
        with pytest.raises(ValidationError, match=why) as refused:
            await chat.answer(*said)
        assert refused.value.field == field
        assert chat.desk.ran == []

    test()


@virtual
async def test_a_call_of_the_callers_own_tool_cannot_be_approved() -> None:
    chat = Chat(calling(("c1", "ask_user", "{}")))
    await chat.say("Hi")
    with pytest.raises(ValidationError, match="waits for an approval"):
        await chat.answer(yes())


# once, and never twice


@virtual
async def test_an_approval_is_taken_once() -> None:
    chat = Chat(booking("c1"), ["Done."])
    await chat.say("Book Rome")
    first = await chat.answer(yes(), nonce="key")
    with pytest.raises(ValidationError, match="answered already"):
        await chat.answer(yes())
    again = await chat.answer(yes(), nonce="key")
    assert (again.turn.id, len(chat.desk.ran)) == (first.turn.id, 1)


@pytest.mark.parametrize("end", [["Done."], [ProviderUnavailable()]])
def test_two_that_come_at_once_run_it_once(end: list[Line]) -> None:
    @virtual
    async def test() -> None:
        chat = Chat(booking("c1"), end, ["Twice."])
        await chat.say("Book Rome")
        first, second = [await chat.going_on(yes()) for _ in range(2)]
        await read((await chat.runner.start(first)).feed)
        with pytest.raises(ValidationError):
            await chat.runner.start(second)
        assert len(chat.desk.ran) == 1

    test()


@virtual
async def test_of_two_at_the_same_moment_on_two_instances_one_runs_it() -> None:
    chat = Chat(booking("c1"), ["Done."], ["Done."])
    await chat.say("Book Rome")
    other = chat.instance(Link(chat.store))
    first, second = [await chat.going_on(yes()) for _ in range(2)]
    ended = await asyncio.gather(chat.runner.start(first), other.start(second), return_exceptions=True)
    await asyncio.sleep(5)
    assert sum(isinstance(each, LiveTurn) for each in ended) == 1
    assert len(chat.desk.ran) == 1


@virtual
async def test_nothing_is_run_for_a_turn_that_cannot_be_stored() -> None:
    chat = Chat(booking("c1"), ["Done."])
    await chat.say("Book Rome")
    request = await chat.going_on(yes())
    link = Link(chat.store)
    link.fail_next("start_turn", StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        await chat.instance(link).start(request)
    assert chat.desk.ran == []


@virtual
async def test_after_the_model_failed_the_same_approval_goes_on_without_running_the_tool_again() -> None:
    chat = Chat(booking("c1"), [ProviderUnavailable()], ["Done."])
    await chat.say("Book Rome")
    broken = await chat.answer(yes())
    assert kinds(broken.feed.events)[-1] == "TurnFailed"
    third = await chat.answer(yes())
    assert chat.desk.ran == [("Rome", "ann")]
    assert chat.provider.requests[-1].messages[-1].content == "Rome is booked"
    assert outputs(third) == []
    assert calls_of(await chat.newest())[0]["output"] == "Rome is booked"


@virtual
async def test_a_no_may_become_a_yes_when_its_turn_broke_and_a_yes_never_a_no() -> None:
    chat = Chat(booking("c1"), [ProviderUnavailable()], [ProviderUnavailable()])
    await chat.say("Book Rome")
    await chat.answer(no())
    await chat.answer(yes())
    assert chat.desk.ran == [("Rome", "ann")]
    with pytest.raises(ValidationError, match="may have run"):
        await chat.answer(no())


SLOW = '{"city":"Rome","seconds":20}'


async def stopped_in_the_middle(chat: Chat) -> None:
    await chat.say("Book Rome")
    live = await chat.runner.start(await chat.going_on(yes()))
    await asyncio.sleep(1)
    await chat.runner.cancel("ann", live.turn.id)


@virtual
async def test_a_cancel_stops_an_approved_tool_and_nobody_can_approve_it_again() -> None:
    chat = Chat(calling(("c1", "book", SLOW)), ["Never."])
    await stopped_in_the_middle(chat)
    assert chat.desk.stopped == ["Rome"]
    assert (await chat.newest()).status == "cancelled"
    for said in (yes(), no()):
        with pytest.raises(ValidationError, match="may have run"):
            await chat.answer(said)


@virtual
async def test_a_call_waits_as_long_as_something_may_be_said_to_it() -> None:
    chat = Chat(booking("c1"), ["Never mind."], [ProviderUnavailable()], ["Done."])
    await chat.say("Book Rome")
    assert await chat.open() == ["c1"]
    await chat.say("Never mind")
    assert await chat.open() == ["c1"], "it may still be approved"
    await chat.answer(no())
    assert await chat.open() == ["c1"], "its turn broke: a no may become a yes"
    await chat.answer(yes())
    assert await chat.open() == []
    lost = Chat(calling(("c1", "book", SLOW)), ["Never."])
    await stopped_in_the_middle(lost)
    assert await lost.open() == [], "nobody knows whether it ran"


@virtual
async def test_a_conversation_goes_on_after_a_tool_of_which_nobody_knows_whether_it_ran() -> None:
    chat = Chat(calling(("c1", "book", SLOW)), ["I do not know."])
    await stopped_in_the_middle(chat)
    await chat.say("And?")
    assert chat.provider.requests[-1].messages[3].content == UNKNOWN_OUTPUT
    assert (await chat.newest()).content == "I do not know."


@virtual
async def test_a_process_that_dies_while_the_tool_runs_leaves_a_call_that_cannot_be_approved_again() -> None:
    chat = Chat(calling(("c1", "book", SLOW)), ["Never."])
    await chat.say("Book Rome")
    link = Link(chat.store)
    await chat.instance(link).start(await chat.going_on(yes()))
    await asyncio.sleep(1)
    link.freeze()
    watcher = chat.instance(chat.store)
    watcher.watch_others()
    await asyncio.sleep(60)
    assert (await chat.newest()).status == "interrupted"
    with pytest.raises(ValidationError, match="may have run"):
        await chat.answer(yes())
    assert chat.desk.ran == [("Rome", "ann")]


@virtual
async def test_a_conversation_may_go_on_without_the_approval_which_may_still_come() -> None:
    chat = Chat(booking("c1"), ["Never mind."], ["Done."])
    await chat.say("Book Rome")
    await chat.say("Forget it")
    assert "was not run" in chat.provider.requests[1].messages[3].content
    await chat.answer(yes())
    assert ((await chat.newest()).content, chat.desk.ran) == ("Done.", [("Rome", "ann")])


@virtual
async def test_a_call_of_a_turn_that_was_stopped_waits_for_nobody() -> None:
    chat = Chat([*booking("c1"), 100.0])
    live = await chat.runner.start(TurnRequest("ann", content="Book Rome"))
    chat.session_id = live.turn.session_id
    await asyncio.sleep(1)
    await chat.runner.cancel("ann", live.turn.id)
    with pytest.raises(ValidationError, match="No call"):
        await chat.answer(yes())


def test_an_output_says_something() -> None:
    """A failure of the model after a tool ran is told in the stream, and not in place of it."""
    assert EventFeed([NumberedEvent(1, ToolOutput("c1", "book", "booked"))]).spoken
