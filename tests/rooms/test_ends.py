"""The end of a turn reaches the sockets once, although processes die between its being stored and its being told."""

import asyncio
from dataclasses import dataclass

from chat.errors import PushError, StoreUnavailable
from chat.providers.scripted import Script
from chat.push.base import group_of
from chat.rooms.rooms import Rooms
from chat.store.conversation_store import SessionDraft
from chat.store.presence_store import Connection
from chat.turns.runner import TurnRunner
from tests.support.apps import make_sockets
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, lines, make_runner, words
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"


@dataclass
class Instance:
    runner: TurnRunner
    rooms: Rooms
    link: Link
    push: "Line"

    def kill(self) -> None:
        self.link.freeze()
        self.push.freeze()


class Line(FakePush):
    """One instance's own way to the socket service, which dies with it."""

    def __init__(self, service: FakePush) -> None:
        super().__init__()
        self.groups, self.users, self.seen = service.groups, service.users, service.seen


class World:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store, self.push = MemoryStore(self.clock), FakePush()

    async def open(self) -> "World":
        await self.store.create_session("ann", SessionDraft(SESSION))
        now = self.clock.now()
        await self.store.enter(Connection("s", SESSION, "ann", "chat", now, now, joined=True))
        self.push.groups[group_of(SESSION, "chat")].append("s")
        self.push.users["s"] = "ann"
        return self

    def instance(self, *scripts: Script) -> Instance:
        link, push = Link(self.store), Line(self.push)
        sockets = make_sockets(link, push, self.clock)
        runner = make_runner(*scripts, store=link, clock=self.clock, watcher=sockets.watcher)
        return Instance(runner, sockets.rooms, link, push)

    @property
    def ends(self) -> int:
        return sum(
            bool(each["payload"].get("done")) or each["type"] == "chat_error" for each in self.push.seen["s"]
        )

    async def owed(self) -> int:
        return len(await self.store.list_errands("tell"))


@virtual
async def test_an_end_that_was_told_is_owed_no_more() -> None:
    here = await World().open()
    maker = here.instance(lines(10, 0.1))
    await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(0.5)
    assert await here.owed() == 1
    await asyncio.sleep(5)
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_a_process_that_dies_between_the_stored_end_and_the_sockets_leaves_it_to_the_timer() -> None:
    here = await World().open()
    maker, other = here.instance(lines(10, 0.1)), here.instance()
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(0.5)
    maker.push.fail_next("send_to_group", PushError(), times=999)
    await asyncio.sleep(2)
    assert (await here.store.load_turn(live.turn.id)).state == "finished"
    maker.kill()
    await other.rooms.work_off()
    assert here.ends == 0  # its lease is good still: it may be about to tell
    await asyncio.sleep(60)
    await asyncio.gather(other.rooms.work_off(), here.instance().rooms.work_off())
    await asyncio.sleep(60)
    await other.rooms.work_off()
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_a_process_that_is_behind_keeps_its_lease_and_tells_the_end_itself() -> None:
    here = await World().open()
    maker, other = here.instance(lines(10, 0.1)), here.instance()
    await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(0.5)
    maker.push.fail_next("send_to_group", PushError(), times=40)
    for _ in range(4):
        await asyncio.sleep(30)
        await other.rooms.work_off()
    await asyncio.sleep(200)
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_the_end_of_a_dead_turn_is_told_though_its_writer_got_no_reply() -> None:
    here = await World().open()
    maker, other = here.instance(lines(100, 0.1)), here.instance()
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(2)
    maker.kill()
    other.link.fail_next("end_turn", StoreUnavailable(), after_effect=True)
    await other.runner.look("ann", live.turn.id)
    await asyncio.sleep(60)
    assert (await here.store.load_turn(live.turn.id)).state == "failed"
    assert here.ends == 0
    await other.rooms.work_off()
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_a_turn_that_died_is_told_once_by_whoever_finds_it_and_never_by_the_timer_again() -> None:
    here = await World().open()
    maker, others = here.instance(lines(100, 0.1)), [here.instance() for _ in range(3)]
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(2)
    maker.kill()
    for each in others:
        await each.runner.look("ann", live.turn.id)
    for _ in range(4):
        await asyncio.sleep(30)
        await others[0].rooms.work_off()
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_sockets_are_told_that_a_process_died_though_nobody_asks_for_its_turn() -> None:
    here = await World().open()
    maker, others = here.instance(lines(1000, 0.1)), [here.instance() for _ in range(3)]
    await maker.runner.start(ask("Hi", session_id=SESSION))
    for each in others:
        each.runner.watch_others()
    await asyncio.sleep(2)
    maker.kill()
    await asyncio.sleep(25)
    assert (here.ends, await here.owed()) == (1, 0)
    assert here.push.seen["s"][-1]["payload"]["code"] == "INTERRUPTED"
    await asyncio.sleep(120)
    assert here.ends == 1


@virtual
async def test_an_end_that_the_service_does_not_take_is_told_when_it_is_back() -> None:
    here = await World().open()
    maker, other = here.instance(lines(100, 0.1)), here.instance()
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(2)
    maker.kill()
    other.push.fail_next("send_to_connection", PushError(), times=999)
    await other.runner.look("ann", live.turn.id)
    await asyncio.sleep(200)
    assert here.ends == 0
    other.push.failures.clear()
    await asyncio.sleep(130)
    await other.rooms.work_off()
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_who_finds_an_instance_dead_tells_what_it_owed_at_once() -> None:
    here = await World().open()
    maker, other = here.instance(lines(10, 0.1), lines(100, 0.1)), here.instance()
    await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(0.5)
    maker.push.fail_next("send_to_group", PushError(), times=999)
    await asyncio.sleep(2)
    running = await maker.runner.start(ask("Elsewhere"))
    await asyncio.sleep(1)
    maker.kill()
    await other.runner.look("ann", running.turn.id)  # a turn of the same instance, which still ran
    await asyncio.sleep(25)
    assert (here.ends, await here.owed()) == (1, 0)


@virtual
async def test_a_socket_that_was_not_let_in_yet_is_told_of_a_turn_that_died() -> None:
    here = await World().open()
    maker, other = here.instance(lines(100, 0.1)), here.instance()
    live = await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(2)
    maker.kill()
    now = here.clock.now()
    await here.store.enter(Connection("late", SESSION, "ann", "chat", now, now))
    await other.runner.look("ann", live.turn.id)
    await asyncio.sleep(30)
    assert [each["type"] for each in here.push.seen["late"]] == ["chat_start", "chat_chunk", "chat_error"]
    assert [each["turn_id"] for each in here.push.seen["late"]] == [live.turn.id] * 3


@virtual
async def test_what_a_socket_missed_of_a_turn_that_died_comes_with_its_end() -> None:
    here = await World().open()
    maker, other = here.instance(lines(30, 0.1)), here.instance()
    await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(1)
    maker.push.fail_next("send_to_group", PushError(), times=999)
    await asyncio.sleep(4)
    maker.kill()
    await asyncio.sleep(60)
    await other.rooms.work_off()
    seen = here.push.seen["s"]
    begins = max(place for place, each in enumerate(seen) if each["type"] == "chat_start")
    text = "".join(each["payload"].get("text", "") for each in seen[begins:])
    assert (text, here.ends) == (words(30), 1)


@virtual
async def test_who_came_when_the_turn_had_ended_is_told_nothing_of_it() -> None:
    here = await World().open()
    maker, other = here.instance(lines(10, 0.1)), here.instance()
    await maker.runner.start(ask("Hi", session_id=SESSION))
    await asyncio.sleep(0.5)
    maker.push.fail_next("send_to_group", PushError(), times=999)
    await asyncio.sleep(4)
    maker.kill()
    now = here.clock.now()
    await here.store.enter(Connection("late", SESSION, "ann", "chat", now, now, joined=True))
    await asyncio.sleep(60)
    await other.rooms.work_off()
    assert (here.ends, here.push.seen["late"]) == (1, [])


@virtual
async def test_who_comes_while_the_end_is_being_told_is_told_it_once() -> None:
    """By whoever lets it in, and by whoever tells what the dead process owed."""
    for pause in (0.0, 0.05, 0.3, 1.0, 5.0):
        here = await World().open()
        maker, other, door = here.instance(lines(100, 0.1)), here.instance(), here.instance()
        live = await maker.runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(2)
        maker.kill()
        now = here.clock.now()
        late = Connection("late", SESSION, "ann", "chat", now, now)
        await here.store.enter(late)
        for each in (other, door):
            each.push.delay = 0.2
        await other.runner.look("ann", live.turn.id)
        while (await here.store.load_turn(live.turn.id)).running:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await asyncio.sleep(pause)
        door.rooms.let_in(late, live.turn.id)
        await asyncio.sleep(60)
        ends = [each for each in here.push.seen["late"] if each["type"] == "chat_error"]
        assert (len(ends), here.ends) == (1, 1), pause
