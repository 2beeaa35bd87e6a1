"""The end of a turn: told once whoever finds it, and written in another way where the store refuses it."""

import asyncio
from typing import Any

import pytest

from chat.conversation import Turn
from chat.errors import StoreRefused, StoreUnavailable
from chat.events import TERMINAL_NUMBER, TurnFailed, TurnFinished
from chat.providers.scripted import ScriptedProvider
from chat.store.conversation_store import SessionDraft
from chat.store.instance_store import Join, Mail
from chat.store.turn_store import TurnEnding
from chat.turns.base import NoWatcher
from chat.turns.runner import TurnRunner
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, last, lines, make_runner, read, text_of, words
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"


class Watcher(NoWatcher):
    """What a room is told."""

    def __init__(self) -> None:
        self.abandoned_turns: list[str] = []
        self.joins: list[Join] = []

    def abandoned(self, turn: Turn) -> None:
        self.abandoned_turns.append(turn.id)

    def joined(self, join: Join) -> None:
        if join.after == -2:
            raise ValueError("no such number")
        self.joins.append(join)


def memory() -> MemoryStore:
    return MemoryStore(VirtualClock())


def watched(store: Any, *scripts: Any, watcher: Watcher) -> TurnRunner:
    return make_runner(*scripts, store=store, watcher=watcher)


@virtual
async def test_a_dead_turn_that_many_instances_follow_is_told_to_the_room_once() -> None:
    store, watcher = memory(), Watcher()
    link = Link(store)
    dying = make_runner(lines(100, 0.1), store=link)
    live = await dying.start(ask())
    await read(live.feed, until=8)
    others = [watched(store, watcher=watcher) for _ in range(5)]
    remotes = [await each.open("ann", live.turn.id) for each in others]
    link.freeze()
    ends = await asyncio.gather(*(read(each.feed) for each in remotes))
    assert {type(last(each)) for each in ends} == {TurnFailed}
    await asyncio.sleep(30)
    assert watcher.abandoned_turns == [live.turn.id]


@virtual
async def test_a_turn_that_somebody_looked_at_while_it_ran_is_not_told_to_have_ended_twice() -> None:
    store, watcher = memory(), Watcher()
    here, there = make_runner(lines(10, 0.1), store=store), watched(store, watcher=watcher)
    live = await here.start(ask())
    await read(live.feed, until=4)
    assert (await there.look("ann", live.turn.id)).running
    await read(live.feed)
    await asyncio.sleep(60)  # the lease of the first instance, which has nothing to do, is given back
    assert await store.list_leases() == []
    assert watcher.abandoned_turns == []
    assert (await store.load_turn(live.turn.id)).state == "finished"


class Choosy(MemoryStore):
    """A store that never keeps some endings, as Table Storage never keeps a text of 40,000 letters in a property."""

    def __init__(self, most: int) -> None:
        super().__init__(VirtualClock())
        self._most = most
        self.refused = 0

    async def end_turn(self, ending: TurnEnding) -> Turn:  # type: ignore[override]
        size = len(ending.message.llm_model) + len(ending.message.content)
        if size > self._most:
            self.refused += 1
            raise StoreRefused
        return await super().end_turn(ending)


@virtual
@pytest.mark.parametrize(("most", "kept", "refused"), [(200, words(20), 1), (20, "", 2)])
async def test_an_end_that_the_store_refuses_is_written_in_another_way(
    most: int, kept: str, refused: int
) -> None:
    store = Choosy(most)
    await store.create_session("ann", SessionDraft(SESSION))
    provider = ScriptedProvider(lines(20, 0.05), ["next"], model="m" * 500)
    runner = make_runner(store=store, provider=provider)
    live = await runner.start(ask("Hi", session_id=SESSION))
    said = await read(live.feed)
    failed = last(said)
    assert isinstance(failed, TurnFailed)
    assert (failed.code, failed.retryable) == ("STORE_REFUSED", False)
    assert text_of(said) == words(20)
    await asyncio.sleep(1)
    message = await store.get_message("ann", live.turn.id)
    assert (message.status, message.content, store.refused) == ("failed", kept, refused)
    store._most = 10_000  # pyright: ignore[reportPrivateUsage]
    assert text_of(await read((await runner.start(ask("again", session_id=SESSION))).feed)) == "next"


@virtual
async def test_the_end_of_a_dead_turn_that_the_store_refuses_is_written_in_another_way() -> None:
    store = Choosy(50)
    link = Link(store)
    dying = make_runner(lines(100, 0.1), store=link)
    live = await dying.start(ask())
    await asyncio.sleep(5)
    link.freeze()
    other = make_runner(store=store)
    remote = await other.open("ann", live.turn.id)
    assert isinstance(last(await read(remote.feed)), TurnFailed)
    assert (await store.load_session(live.turn.session_id)).running_turn == ""


@virtual
async def test_events_that_the_store_refuses_end_the_turn_at_once() -> None:
    store = memory()
    runner = make_runner(lines(1000, 0.1), store=store)
    store.fail_next("append_events", StoreRefused())
    began = store.clock.monotonic()
    failed = last(await read((await runner.start(ask())).feed))
    assert isinstance(failed, TurnFailed)
    assert failed.code == "STORE_REFUSED"
    assert store.clock.monotonic() - began < 2


@virtual
async def test_one_bad_piece_of_mail_costs_that_piece() -> None:
    store, watcher = memory(), Watcher()
    here, there = watched(store, lines(300, 0.1), watcher=watcher), make_runner(store=store)
    live = await here.start(ask())
    await read(live.feed, until=8)
    instance = live.turn.instance_id
    for after in (-2, 5):
        await store.post_join(instance, Join(live.turn.id, f"c{after}", "chat", after))
    await there.cancel("ann", live.turn.id)
    assert (await store.load_turn(live.turn.id)).state == "cancelled"
    assert [each.after for each in watcher.joins] == [5]


@virtual
async def test_mail_that_nobody_can_read_does_not_end_the_beat() -> None:
    store = memory()
    runner = make_runner(lines(300, 0.1), store=store)
    live = await runner.start(ask())
    await read(live.feed, until=8)
    store.fail_next("take_mail", ValueError("broken"))
    await asyncio.sleep(1)
    broken = [1]

    def on_mail(mail: Mail) -> None:
        if broken:
            broken.pop()
            raise ValueError("broken")

    runner._lease.deliver_to(on_mail)  # pyright: ignore[reportPrivateUsage]
    assert isinstance(last(await read(live.feed)), TurnFinished)
    assert not broken
    lease = await store.read_lease(live.turn.instance_id)
    assert lease is not None and lease.age < 5


@virtual
async def test_a_store_that_is_away_for_long_and_then_refuses_keeps_what_readers_were_told() -> None:
    store = Choosy(20)
    runner = make_runner(lines(20, 0.05), store=store)
    live = await runner.start(ask())
    await asyncio.sleep(0.5)
    store.fail_next("end_turn", StoreUnavailable(), times=40)
    told = last(await read(live.feed))
    assert isinstance(told, TurnFailed)
    await asyncio.sleep(300)
    turn = await store.load_turn(live.turn.id)
    assert turn.error is not None
    assert (turn.state, turn.last_event) == ("failed", TERMINAL_NUMBER)
