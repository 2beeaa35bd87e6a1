"""Messages to a session that is busy: each is answered once, by a turn that its sender finds, with all it asked for."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from chat.calls import ToolDefinition
from chat.errors import Forbidden, QueueFull, SessionInactive, StillWaiting, StoreUnavailable, TurnInProgress
from chat.messages import Message, MessageDraft
from chat.providers.scripted import ScriptedProvider
from chat.requests import TurnRequest
from chat.store.conversation_store import SessionChanges, SessionDraft, Waits
from chat.turns.feed import LiveTurn
from chat.turns.waiting import WaitingMessages
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, lines, make_ports, make_runner, read, text_of
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"
SLOW = lines(20, 0.1)


class Instance:
    """A process, and what it has of the messages that wait."""

    def __init__(self, *scripts: Any, store: Any, provider: ScriptedProvider | None = None) -> None:
        self.runner = make_runner(*scripts, store=store, provider=provider)
        self.waiting = WaitingMessages(make_ports(store), self.runner)
        self.start, self.ask = self.runner.start, self.waiting.ask


class Room:
    """One session, and the instances that answer in it."""

    def __init__(self) -> None:
        self.store = MemoryStore(VirtualClock())
        self.provider = ScriptedProvider()

    async def open(self, **members: Any) -> "Room":
        await self.store.create_session("ann", SessionDraft(SESSION))
        for user, role in members.items():
            await let_into(self.store, SESSION, user, role)
        return self

    def instance(self, *scripts: Any) -> Instance:
        self.provider = ScriptedProvider(*scripts)
        return Instance(store=self.store, provider=self.provider)

    async def said(self) -> list[Message]:
        return await self.store.list_messages("ann", SESSION, limit=99)

    async def contents(self) -> list[str]:
        return [each.content for each in await self.said()]


async def waits(here: Instance, content: str, **more: Any) -> Message:
    request = TurnRequest(more.pop("user_id", "ann"), content=content, session_id=SESSION, **more)
    asked = await here.ask(request, "queue")
    assert isinstance(asked, Waits)
    return asked.message


async def answer_to(here: Instance, message: Message) -> LiveTurn:
    return await here.waiting.answer_to("ann", message, patience=100)


@virtual
async def test_what_waits_while_an_old_question_is_answered_anew_is_answered_after_it() -> None:
    room = await Room().open()
    runner = room.instance(["first"], SLOW, ["all five"])
    first = await runner.start(ask("one", session_id=SESSION))
    await read(first.feed)
    await asyncio.sleep(0.1)
    again = await runner.start(TurnRequest("ann", message_id=first.turn.user_message_id, session_id=SESSION))
    waiting = [await waits(runner, f"m{number}") for number in range(5)]
    with pytest.raises(QueueFull):
        await waits(runner, "one too many")
    turns = await asyncio.gather(*(answer_to(runner, each) for each in waiting))
    assert {each.turn.id for each in turns} == {turns[0].turn.id}
    assert turns[0].turn.id != again.turn.id
    assert text_of(await read(turns[0].feed)) == "all five"
    assert turns[0].turn.user_message_id == waiting[-1].id


@virtual
async def test_a_turn_to_an_older_question_does_not_take_what_waits() -> None:
    """Between the end of a turn and the start of the next one, somebody has an old question answered anew."""
    room = await Room().open()
    link = Link(room.store)
    there = Instance(lines(5, 0.1), store=link)
    first = await there.start(ask("one", session_id=SESSION))
    message = await waits(there, "two")
    link.hang_next("load_session")  # the instance ends before it answers what waits
    await read(first.feed)
    link.freeze()
    here = room.instance(["anew"], ["to two"])
    again = await here.start(TurnRequest("ann", message_id=first.turn.user_message_id, session_id=SESSION))
    assert text_of(await read(again.feed)) == "anew"
    assert text_of(await read((await answer_to(here, message)).feed)) == "to two"


@virtual
async def test_what_waits_when_its_process_dies_right_after_a_turns_end_is_found_by_the_timer() -> None:
    room = await Room().open()
    link = Link(room.store)
    dying = Instance(lines(5, 0.1), store=link)
    first = await dying.start(ask("one", session_id=SESSION))
    message = await waits(dying, "two")
    link.hang_next("load_session")
    await read(first.feed)
    link.freeze()
    other = room.instance(["to two"])
    await other.waiting.work_off()
    assert text_of(await read((await answer_to(other, message)).feed)) == "to two"
    await asyncio.sleep(61)
    await other.waiting.work_off()
    assert await room.store.list_errands("answer") == []


@virtual
async def test_two_instances_that_find_the_same_message_waiting_answer_it_once() -> None:
    room = await Room().open()
    link = Link(room.store)
    dying = Instance(lines(5, 0.1), store=link)
    first = await dying.start(ask("one", session_id=SESSION))
    await waits(dying, "two")
    link.hang_next("load_session")
    await read(first.feed)
    link.freeze()
    others = [Instance([0.01, "to two"], ["too much"], store=room.store) for _ in range(3)]
    await asyncio.gather(*(each.waiting.answer(SESSION) for each in others for _ in range(3)))
    await asyncio.sleep(5)
    assert [each.content for each in await room.said() if each.role == "assistant"][1:] == ["to two"]


@virtual
async def test_a_message_that_waited_keeps_its_callers_tools() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["with tools"])
    await runner.start(ask("one", session_id=SESSION))
    tool = ToolDefinition("paint", "Paints.", {"type": "object", "properties": {}})
    message = await waits(runner, "two", tools=(tool,), settings={"temperature": 0.5})
    await read((await answer_to(runner, message)).feed)
    assert room.provider.requests[-1].tools == (tool,)
    assert room.provider.requests[-1].temperature == 0.5


@virtual
async def test_messages_that_ask_for_different_things_are_answered_one_after_the_other() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["to two"], ["to three and four"])
    await runner.start(ask("one", session_id=SESSION))
    two = await waits(runner, "two", settings={"temperature": 0.5})
    three, four = await waits(runner, "three"), await waits(runner, "four")
    turns = [await answer_to(runner, each) for each in (two, three, four)]
    assert [text_of(await read(each.feed)) for each in turns] == ["to two", *["to three and four"] * 2]
    shown = [each.content for each in room.provider.requests[-1].messages[1:]]
    assert shown[2:] == ["two", "to two", "three", "four"]  # each answer behind its question


@virtual
@pytest.mark.parametrize("pause", [0.0, 30.0])
async def test_the_same_key_three_times_waits_and_asks_once(pause: float) -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["to two"], ["too much"], ["too much"])
    await runner.start(ask("one", session_id=SESSION))
    request = ask("two", session_id=SESSION, nonce="key")
    asked = []
    for _ in range(3):
        asked.append(await runner.ask(request, "queue"))
        await asyncio.sleep(pause)
    await asyncio.sleep(30)
    assert [each.new for each in asked if isinstance(each, Waits)] == [True, False, False][
        : 1 if pause else 3
    ]
    assert (await room.contents())[2:] == ["two", "to two"]


@virtual
async def test_a_key_that_comes_again_after_newer_turns_asks_nobody() -> None:
    room = await Room().open(bob="editor")
    runner = room.instance(["one"], ["two"], ["bob's"])
    first = await runner.start(ask("1", session_id=SESSION, nonce="key"))
    await read(first.feed)
    await asyncio.sleep(0.1)
    await read((await runner.start(ask("2", session_id=SESSION))).feed)
    await asyncio.sleep(0.1)
    again = await runner.start(ask("1", session_id=SESSION, nonce="key"))
    assert again.turn.id == first.turn.id
    assert text_of(await read(again.feed)) == "one"
    other = await runner.start(ask("1", session_id=SESSION, nonce="key", user_id="bob"))
    assert text_of(await read(other.feed)) == "bob's"  # a key is its user's


@virtual
async def test_an_answer_is_found_however_much_was_said_meanwhile() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, [5.0, "to two"])
    await runner.start(ask("one", session_id=SESSION))
    message = await waits(runner, "two")
    posted = [MessageDraft("assistant", "I am no answer", parent_message_id=message.id)]
    posted += [MessageDraft("user", str(number)) for number in range(30)]
    await room.store.append_messages("ann", SESSION, posted)
    assert text_of(await read((await answer_to(runner, message)).feed)) == "to two"


@virtual
async def test_who_waits_too_long_is_told_which_message_waits() -> None:
    room = await Room().open()
    runner = room.instance(SLOW)
    await runner.start(ask("one", session_id=SESSION))
    message = await waits(runner, "two")
    with pytest.raises(StillWaiting) as raised:
        await runner.waiting.answer_to("ann", message, patience=0.5)
    assert raised.value.details == {"message_id": message.id}


@virtual
async def test_an_interrupt_stops_the_turn_that_its_caller_met_and_no_other() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["to all"], ["too much"])
    first = await runner.start(ask("one", session_id=SESSION))
    await waits(runner, "two")
    asked = await runner.ask(ask("three", session_id=SESSION), "interrupt")
    assert isinstance(asked, Waits)
    second = await answer_to(runner, asked.message)
    assert text_of(await read(second.feed)) == "to all"
    assert [each.status for each in await room.said() if each.role == "assistant"] == [
        "cancelled",
        "complete",
    ]
    assert second.turn.id != first.turn.id


@virtual
async def test_an_interrupt_where_no_more_may_wait_still_interrupts() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["to five"], ["to six"])
    first = await runner.start(ask("one", session_id=SESSION))
    for number in range(5):
        await waits(runner, f"m{number}")
    asked = await runner.ask(ask("six", session_id=SESSION), "interrupt")
    live = asked if isinstance(asked, LiveTurn) else await answer_to(runner, asked.message)
    await read(live.feed)
    await asyncio.sleep(1)
    assert (await room.store.load_turn(first.turn.id)).state == "cancelled"
    assert all(each.status == "complete" for each in (await room.said())[2:])


@virtual
async def test_an_old_question_interrupts_the_turn_that_runs_and_is_answered() -> None:
    room = await Room().open()
    runner = room.instance(["one"], SLOW, ["anew"])
    first = await runner.start(ask("1", session_id=SESSION))
    await read(first.feed)
    await asyncio.sleep(0.1)
    second = await runner.start(ask("2", session_id=SESSION))
    request = TurnRequest("ann", message_id=first.turn.user_message_id, session_id=SESSION)
    asked = await runner.ask(request, "interrupt")
    assert isinstance(asked, LiveTurn)
    assert text_of(await read(asked.feed)) == "anew"
    assert (await room.store.load_turn(second.turn.id)).state == "cancelled"


@virtual
async def test_nobody_who_is_refused_costs_a_model_call() -> None:
    room = await Room().open(bob="viewer")
    runner = room.instance(SLOW)
    with pytest.raises(Forbidden):
        await runner.start(ask("x", session_id=SESSION, user_id="bob"))
    assert room.provider.requests == []
    assert room.store.calls["register"] == 0  # nor does it write anything
    await runner.start(ask("one", session_id=SESSION))
    with pytest.raises(Forbidden):  # and not that a turn runs
        await runner.start(ask("x", session_id=SESSION, user_id="bob"))
    for on_busy in ("queue", "interrupt"):
        with pytest.raises(Forbidden):
            await runner.ask(ask("x", session_id=SESSION, user_id="bob"), on_busy)
    await asyncio.sleep(0.1)
    assert len(room.provider.requests) == 1


@virtual
async def test_a_session_that_is_not_active_costs_no_model_call() -> None:
    room = await Room().open()
    runner = room.instance(["never"])
    await room.store.update_session("ann", SESSION, SessionChanges(is_active=False))
    with pytest.raises(SessionInactive):
        await runner.start(ask("x", session_id=SESSION))
    await asyncio.sleep(0.1)
    assert room.provider.requests == []


@virtual
async def test_what_waits_since_before_requests_were_kept_is_answered() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["to two"])
    await runner.start(ask("one", session_id=SESSION))
    await waits(runner, "two")
    stored = room.store.rows.sessions[SESSION]
    stored.head, stored.requests = replace(stored.head, asked=()), {}
    await asyncio.sleep(10)
    assert (await room.contents())[2:] == ["two", "to two"]


@virtual
async def test_twenty_starts_at_once_ask_the_model_once() -> None:
    room = await Room().open()
    runner = room.instance(*[SLOW] * 20)
    starts = (runner.start(ask(str(number), session_id=SESSION)) for number in range(20))
    found = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(each, TurnInProgress) for each in found) == 19
    assert len(room.provider.requests) == 1


@virtual
async def test_a_start_that_hangs_holds_up_the_others_for_a_moment_only() -> None:
    room = await Room().open()
    runner = room.instance(["one"], ["two"])
    room.store.hang_next("get_session")
    hanging = asyncio.create_task(runner.start(ask("1", session_id=SESSION)))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(4):
        live = await runner.start(ask("2", session_id=SESSION))
    await read(live.feed)
    hanging.cancel()


@virtual
async def test_a_message_whose_storing_failed_may_be_sent_again() -> None:
    room = await Room().open()
    runner = room.instance(SLOW, ["to two"])
    await runner.start(ask("one", session_id=SESSION))
    room.store.fail_next("append_waiting", StoreUnavailable(), after_effect=True)
    request = ask("two", session_id=SESSION, nonce="key")
    with pytest.raises(StoreUnavailable):
        await runner.ask(request, "queue")
    asked = await runner.ask(request, "queue")
    assert isinstance(asked, Waits) and not asked.new
    await asyncio.sleep(10)
    assert (await room.contents())[2:] == ["two", "to two"]
