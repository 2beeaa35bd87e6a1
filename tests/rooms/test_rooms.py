"""Rooms of one instance and of two, over a store in memory: who is shown which turn, and what else is told."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from chat.errors import EventsGone, PushError, StoreUnavailable, TooManyConnections
from chat.news import Member
from chat.providers.scripted import Script
from chat.push.base import group_of, room_of
from chat.requests import TurnRequest
from chat.rooms.attendance import STALE, Attendance, members_of
from chat.rooms.rooms import BEHIND, Rooms
from chat.rooms.typists import TYPING
from chat.store.conversation_store import SessionDraft, Waits
from chat.store.instance_store import Join
from chat.store.presence_store import Connection, Person, Ticket
from chat.turns.runner import TurnRunner
from chat.turns.waiting import WaitingMessages
from tests.support.apps import make_sockets
from tests.support.fake_push import FakePush
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, lines, make_ports, make_runner, words
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"


@dataclass
class Instance:
    runner: TurnRunner
    waiting: WaitingMessages
    rooms: Rooms
    attendance: Attendance


@dataclass
class World:
    store: MemoryStore
    push: FakePush
    clock: VirtualClock

    def instance(self, *scripts: Script, per_session: int = 1000, per_user: int = 20) -> Instance:
        sockets = make_sockets(self.store, self.push, self.clock, per_session, per_user)
        runner = make_runner(*scripts, store=self.store, clock=self.clock, watcher=sockets.watcher)
        waiting = WaitingMessages(make_ports(self.store, self.clock), runner)
        return Instance(runner, waiting, sockets.rooms, sockets.attendance)

    async def socket(
        self, name: str, dialect: str = "session", user: str = "ann", *, late: bool = False
    ) -> Connection:
        """A socket that is open: it has a row, and is in its groups; one that is `late` is still to be let in."""
        now = self.clock.now()
        connection = Connection(name, SESSION, user, dialect, now, now, joined=not late)
        await self.store.enter(connection)
        await self.store.change_person(
            SESSION, user, lambda person: Person({**person.sockets, name: False}, person.seen)
        )
        if not late:
            self.push.groups[group_of(SESSION, dialect)].append(name)
        if dialect == "session":
            self.push.groups[room_of(SESSION, "session")].append(name)
        self.push.users[name] = user
        return connection

    def actions(self, name: str) -> list[str]:
        return [str(each.get("action") or each["type"]) for each in self.push.seen[name]]


async def world() -> World:
    clock = VirtualClock()
    made = World(MemoryStore(clock), FakePush(), clock)
    await made.store.create_session("ann", SessionDraft(SESSION))
    return made


@virtual
async def test_every_watcher_sees_a_turn_in_its_own_dialect() -> None:
    here = await world()
    instance = here.instance(lines(3, 0.1))
    for name, dialect in (("s", "session"), ("c", "chat"), ("p", "plan")):
        await here.socket(name, dialect)
    await instance.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(5)
    deltas = ["message_delta"] * 3
    assert here.actions("s") == ["new_message", "new_message", *deltas, "completed"]
    assert here.push.seen["s"][0]["message"]["content"] == "Hi"
    assert here.push.seen["s"][-1]["message"]["content"] == words(3)
    assert here.push.seen["s"][-1]["message"]["status"] == "complete"
    assert [each["type"] for each in here.push.seen["c"]] == ["chat_start", *["chat_chunk"] * 4]
    assert [each["type"] for each in here.push.seen["p"]] == ["done"]


MESSAGE = {
    *("id", "session_id", "role", "content", "created_at", "updated_at", "is_streaming", "llm_provider"),
    *("llm_model", "response_time_ms", "tokens_used", "error_message", "metadata", "status", "author"),
    *("parent_message_id", "thread_id", "reactions", "files"),
}


def messages(frames: list[Any]) -> list[Any]:
    """The message of each update, all of whose keys are there."""
    shown = [each["message"] for each in frames if each["type"] == "message_update"]
    assert not [each for each in shown if each.keys() - {"truncated"} != MESSAGE]
    return shown


@virtual
async def test_every_update_has_a_whole_message_whoever_sees_it() -> None:
    here = await world()
    maker, other = here.instance(lines(200, 0.02)), here.instance()
    await here.socket("s")
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(2)
    await here.socket("late", late=True)
    turn = await other.runner.look("ann", live.turn.id)
    await other.rooms.show(turn, Join(turn.id, "late", "session"))
    await asyncio.sleep(10)
    [answer] = (await here.store.list_messages("ann", SESSION, limit=9))[1:]
    for name in ("back", "again"):
        after = None if name == "back" else 2
        ended = await maker.runner.look("ann", turn.id)
        await other.rooms.show(ended, Join(turn.id, name, "session", after))
    for name, shown in (("s", 4), ("late", 3), ("back", 1), ("again", 1)):
        *grows, last = [each for each in messages(here.push.seen[name]) if each["id"] == turn.id]
        assert (last["content"], last["status"]) == (answer.content, "complete")
        assert all(each["is_streaming"] for each in grows)
        assert {each["parent_message_id"] for each in (*grows, last)} == {turn.user_message_id}
        sizes = [len(each["content"]) for each in grows]
        assert (len(sizes), sizes) == (shown, sorted(set(sizes))), name


@virtual
async def test_the_last_frame_has_a_whole_message_although_the_store_is_away() -> None:
    here = await world()
    instance = here.instance(lines(3, 0.1))
    await here.socket("s")
    await instance.runner.start(ask("Hi", session_id=SESSION))
    here.store.fail_next("load_message", StoreUnavailable(), times=1)
    await asyncio.sleep(5)
    last = messages(here.push.seen["s"])[-1]
    assert (last["content"], last["status"], last["is_streaming"]) == (words(3), "complete", False)


@virtual
async def test_nothing_is_sent_where_nobody_watches() -> None:
    here = await world()
    instance = here.instance(lines(3, 0.1))
    await instance.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(5)
    assert here.push.sends == 0


@virtual
async def test_a_socket_at_another_instance_sees_what_was_said_and_what_comes() -> None:
    here = await world()
    maker, other = here.instance(lines(20, 0.2)), here.instance()
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(2)
    await here.socket("late", "chat", late=True)
    turn = await other.runner.look("ann", live.turn.id)
    await other.rooms.show(turn, Join(turn.id, "late", "chat"))
    await asyncio.sleep(10)
    frames = here.push.seen["late"]
    assert frames[0]["type"] == "chat_start"
    assert "".join(each["payload"].get("text", "") for each in frames) == words(20)


@virtual
async def test_a_turn_that_ended_before_it_could_be_shown_is_shown_whole() -> None:
    here = await world()
    maker = here.instance(["done"])
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    turn = live.turn
    await asyncio.sleep(1)
    maker.rooms.joined(Join(turn.id, "late", "chat"))
    await asyncio.sleep(1)
    assert [each["payload"] for each in here.push.seen["late"]] == [
        {},
        {"text": "done", "done": False},
        {"text": "", "done": True},
    ]


@virtual
async def test_of_a_socket_that_resumes_an_ended_turn_again_and_again_only_the_newest_wish_counts() -> None:
    here = await world()
    maker = here.instance(lines(20, 0.01))
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(5)
    turn = await maker.runner.look("ann", live.turn.id)
    here.push.delay, sends = 0.5, here.push.sends
    shown = [
        asyncio.create_task(maker.rooms.show(turn, Join(turn.id, "s", "session", after)))
        for after in [0] * 30
    ]
    await asyncio.gather(*shown, maker.rooms.show(turn, Join(turn.id, "other", "session", 0)))
    await asyncio.sleep(60)
    ends = [each for each in here.push.seen["s"] if each.get("action") == "completed"]
    assert len(ends) == 2  # the first, and the newest that came meanwhile
    assert here.push.sends - sends == len(here.push.seen["s"]) + len(here.push.seen["other"])
    assert here.push.seen["other"] == here.push.seen["s"][: len(here.push.seen["other"])]


@virtual
async def test_a_room_is_told_that_a_turn_died() -> None:
    here = await world()
    instance = here.instance(lines(3, 0.1))
    await here.socket("s")
    await here.socket("c", "chat")
    live = await instance.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    instance.rooms.abandoned(live.turn)
    await asyncio.sleep(1)
    assert here.actions("s")[-1] == "completed"  # as the store says that it ended
    assert here.push.seen["c"][-1]["payload"] == {"text": "", "done": True}


@virtual
async def test_a_new_session_is_not_asked_for_sockets_and_may_get_some() -> None:
    here = await world()
    instance = here.instance(lines(10, 0.1))
    live = await instance.runner.start(ask("Hi"))
    await asyncio.sleep(0.5)
    assert here.store.calls["connections"] == 0
    instance.rooms.joined(Join(live.turn.id, "late", "chat"))
    await asyncio.sleep(5)
    assert here.push.seen["late"][0]["type"] == "chat_start"


@virtual
async def test_a_store_that_cannot_say_who_watches_does_not_hold_the_turn() -> None:
    here = await world()
    instance = here.instance(["done"])
    await here.socket("s")
    here.store.fail_next("connections", StoreUnavailable())
    live = await instance.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    assert (await here.store.get_turn("ann", live.turn.id)).state == "finished"


@virtual
async def test_a_joiner_who_comes_while_the_end_is_on_its_way_sees_it_once() -> None:
    here = await world()
    maker = here.instance(lines(5, 0.01))
    await here.socket("first", "chat")
    here.push.delay = 0.3  # the gate is behind the turn
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    assert not maker.runner.running
    await here.socket("late", "chat", late=True)
    maker.rooms.joined(Join(live.turn.id, "late", "chat"))
    await asyncio.sleep(5)
    frames = here.push.seen["late"]
    assert "".join(each["payload"].get("text", "") for each in frames) == words(5)
    assert [each["payload"].get("done") for each in frames].count(True) == 1
    assert here.push.seen["first"][-1]["payload"]["done"]


@virtual
async def test_who_joins_before_it_is_known_who_watches_keeps_nobody_from_the_beginning() -> None:
    here = await world()
    maker = here.instance(lines(5, 0.1))
    await here.socket("first", "chat")
    here.store.fail_next("connections", StoreUnavailable(), times=2)
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await here.socket("late", "chat", late=True)
    maker.rooms.joined(Join(live.turn.id, "late", "chat"))
    await asyncio.sleep(10)
    for name in ("first", "late"):
        text = ""
        for frame in here.push.seen[name]:
            text = "" if frame["type"] == "chat_start" else text + frame["payload"]["text"]
        assert text == words(5), name


@virtual
async def test_a_turn_that_was_lost_is_told_by_whoever_has_it() -> None:
    here = await world()
    maker = here.instance(lines(50, 0.1))
    await here.socket("first", "chat")
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    seen = len(here.push.seen["first"])
    maker.rooms.ended(live.turn, lost=True)
    await asyncio.sleep(2)
    assert len(here.push.seen["first"]) <= seen + 1


@virtual
async def test_events_that_are_gone_cannot_be_shown() -> None:
    here = await world()
    maker = here.instance(["done"])
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    turn = await here.store.get_turn("ann", live.turn.id)
    await here.store.purge_events(ended_before=here.clock.now() + timedelta(days=1))
    with pytest.raises(EventsGone):
        await maker.rooms.show(turn, Join(turn.id, "late", "chat", 3))


@virtual
async def test_what_waits_is_answered_together_when_the_turn_ends() -> None:
    here = await world()
    instance = here.instance(lines(10, 0.1), ["second"])
    await here.socket("s")
    await instance.runner.start(ask("one", session_id=SESSION))
    two = await instance.waiting.ask(ask("two", session_id=SESSION), "queue")
    three = await instance.waiting.ask(
        TurnRequest("ann", content="three", session_id=SESSION, dialect="chat"), "queue"
    )
    assert [each.message.content for each in (two, three) if isinstance(each, Waits)] == ["two", "three"]
    await asyncio.sleep(10)
    said = await here.store.list_messages("ann", SESSION, limit=9)
    assert [each.content for each in said] == ["one", words(10), "two", "three", "second"]
    assert said[-1].parent_message_id == said[-2].id
    assert (await here.store.get_turn("ann", said[-1].id)).request.dialect == "chat"
    assert here.actions("s").count("completed") == 2


@virtual
async def test_a_message_of_somebody_who_was_taken_out_is_still_answered() -> None:
    here = await world()
    instance = here.instance(lines(10, 0.1), ["second"])
    await let_into(here.store, SESSION, "bob")
    await instance.runner.start(ask("one", session_id=SESSION))
    await instance.waiting.ask(ask("two", session_id=SESSION, user_id="bob"), "queue")
    await here.store.remove_member("ann", SESSION, "bob")
    await asyncio.sleep(10)
    assert (await here.store.list_messages("ann", SESSION, limit=9))[-1].content == "second"


@virtual
async def test_an_instance_that_stops_leaves_what_waits_to_the_others() -> None:
    here = await world()
    stopping, other = here.instance(lines(100, 0.1)), here.instance(["second"])
    await stopping.runner.start(ask("one", session_id=SESSION))
    await stopping.waiting.ask(ask("two", session_id=SESSION), "queue")
    await stopping.runner.drain()
    assert (await here.store.load_session(SESSION)).waiting
    await other.waiting.work_off()
    await asyncio.sleep(5)
    said = await here.store.list_messages("ann", SESSION, limit=9)
    assert [each.status for each in said] == ["complete", "interrupted", "complete", "complete"]
    assert said[-1].content == "second"


@virtual
async def test_waiting_survives_a_store_that_is_away_for_a_moment() -> None:
    here = await world()
    instance = here.instance(lines(10, 0.1), ["second"])
    await instance.runner.start(ask("one", session_id=SESSION))
    draft = ask("two", session_id=SESSION)
    await instance.waiting.ask(draft, "queue")
    here.store.fail_next("load_session", StoreUnavailable(), times=2)
    await asyncio.sleep(20)
    assert (await here.store.list_messages("ann", SESSION, limit=9))[-1].content == "second"
    assert (await here.store.load_session(SESSION)).waiting == ()


@virtual
async def test_people_are_told_of_the_first_socket_of_a_user_and_of_the_last() -> None:
    here = await world()
    instance = here.instance()
    await here.socket("a")
    first = await here.socket("b1", user="bob")
    await instance.attendance.arrived(first)
    second = await here.socket("b2", user="bob")
    await instance.attendance.arrived(second)
    await instance.attendance.left(first)
    await instance.attendance.left(second)
    await instance.attendance.left(second)
    assert [(each["type"], each["user_id"]) for each in here.push.seen["a"]] == [
        ("user_joined", "bob"),
        ("user_left", "bob"),
    ]
    assert [each["connection_count"] for each in here.push.seen["a"]] == [2, 1]
    assert here.push.seen["b1"] == []


@virtual
async def test_typing_ends_by_itself_and_is_not_shown_to_who_types() -> None:
    here = await world()
    instance = here.instance()
    await here.socket("a")
    await here.socket("b", user="bob")
    for pause in (3, 3, 0):  # says so again and again
        await instance.attendance.typing(SESSION, "bob", is_typing=True)
        await asyncio.sleep(pause)
    assert [each["is_typing"] for each in here.push.seen["a"]] == [True]
    await asyncio.sleep(TYPING + 0.1)
    assert [each["is_typing"] for each in here.push.seen["a"]] == [True, False]
    await instance.attendance.typing(SESSION, "bob", is_typing=False)
    assert len(here.push.seen["a"]) == 2
    assert here.push.seen["b"] == []


@virtual
async def test_there_are_only_so_many_sockets() -> None:
    here = await world()
    instance = here.instance(per_session=4, per_user=2)
    now = here.clock.now()
    for name, user in (("1", "ann"), ("2", "ann"), ("3", "bob")):
        await instance.attendance.admit(Ticket("t", SESSION, user, "chat", now), name)
    with pytest.raises(TooManyConnections):
        await instance.attendance.admit(Ticket("t", SESSION, "ann", "chat", now), "4")
    await instance.attendance.admit(
        Ticket("t", SESSION, "ann", "chat", now), "2"
    )  # asked twice: the same one
    await instance.attendance.admit(Ticket("t", SESSION, "carl", "chat", now), "5")
    with pytest.raises(TooManyConnections):
        await instance.attendance.admit(Ticket("t", SESSION, "dora", "chat", now), "6")


@virtual
async def test_sockets_whose_end_nobody_told_give_their_place_away() -> None:
    here = await world()
    instance = here.instance(per_user=1)
    ticket = Ticket("t", SESSION, "ann", "chat", here.clock.now())
    await instance.attendance.admit(ticket, "ghost")
    here.push.gone.add("ghost")
    with pytest.raises(TooManyConnections):
        await instance.attendance.admit(ticket, "new")
    await asyncio.sleep((STALE + timedelta(seconds=1)).total_seconds())
    await instance.attendance.admit(ticket, "new")
    present = await here.store.present(SESSION)
    assert [each.id for each in present.connections] == ["new"]
    assert list(present.last_seen) == ["ann"]


@virtual
async def test_a_socket_that_lives_is_no_ghost() -> None:
    here = await world()
    instance = here.instance(per_user=1)
    ticket = Ticket("t", SESSION, "ann", "chat", here.clock.now())
    await instance.attendance.admit(ticket, "quiet")
    await asyncio.sleep((STALE + timedelta(seconds=1)).total_seconds())
    for failing in (False, True):
        if failing:
            here.push.fail_next("exists", PushError())
        with pytest.raises(TooManyConnections):
            await instance.attendance.admit(ticket, "new")


@virtual
async def test_members_are_shown_with_their_presence() -> None:
    here = await world()
    instance = here.instance()
    await let_into(here.store, SESSION, "bob", "viewer")
    await here.socket("a")
    gone = await here.socket("b", user="bob")
    await instance.attendance.arrived(gone)
    await instance.attendance.left(gone)
    session, present = await here.store.load_session(SESSION), await here.store.present(SESSION)
    ann, bob = members_of(session, present)
    assert ann == Member("ann", "owner", online=True, last_seen=None)
    assert bob == Member("bob", "viewer", online=False, last_seen=bob.last_seen)
    assert bob.last_seen is not None


@virtual
async def test_a_piece_of_mail_that_makes_no_sense_costs_nothing_else() -> None:
    here = await world()
    maker = here.instance(lines(20, 0.1))
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    lease = live.turn.instance_id
    for turn_id, dialect, after in (
        (live.turn.id, "nothing", None),
        (live.turn.id, "chat", 2**70),
        (live.turn.id, "chat", -(2**70)),
        ("nothing", "chat", 1),
        ("", "", 1),
    ):
        await here.store.post_join(lease, Join(turn_id, f"c{dialect}{after}", dialect, after))
    await here.store.post_cancel(lease, live.turn.id)
    await asyncio.sleep(1)
    assert (await here.store.load_turn(live.turn.id)).state == "cancelled"


@virtual
async def test_ends_that_wait_for_the_service_do_not_pile_up_for_ever() -> None:
    here = await world()
    instance = here.instance(*([["done"]] * 520))
    await here.socket("first", "chat")
    here.push.fail_next("send_to_group", PushError(), times=1_000_000)
    for number in range(BEHIND + 20):
        await instance.runner.start(ask(str(number), session_id=SESSION))
        await asyncio.sleep(0.2)
    assert len(instance.rooms._live) <= BEHIND + 1  # pyright: ignore[reportPrivateUsage]
    here.push.failures.clear()
    await asyncio.sleep(30)
    assert len({each["turn_id"] for each in here.push.seen["first"] if each["payload"].get("done")}) == BEHIND
