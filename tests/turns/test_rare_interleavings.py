"""What happens once in a million turns: replies that get lost at the worst moment, calls that land late, shutdowns in
the middle of things. Nothing may stay stuck, and nobody may wait for ever."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chat.conversation import Session
from chat.errors import (
    ChatError,
    ShuttingDown,
    StoreUnavailable,
    TooLarge,
    TurnInProgress,
    TurnNotFound,
)
from chat.providers.scripted import ScriptedProvider
from chat.store.conversation_store import SessionDraft
from chat.turns.create import PATIENCE
from chat.turns.grammar import Grammar
from chat.turns.runner import TurnRunner
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, kinds, lines, make_runner, read, text_of, words
from tests.support.virtual_time import VirtualClock, virtual

NEW_SESSION = "0" * 25 + "A"
HOUR = timedelta(hours=1)


def memory() -> MemoryStore:
    return MemoryStore(VirtualClock())


async def stay_busy(runner: TurnRunner) -> None:
    """Other turns of the same instance, so that its lease lives on."""
    while True:
        await read((await runner.start(ask())).feed)
        await asyncio.sleep(1)


async def sweep_for(minutes: int, runner: TurnRunner) -> None:
    for _ in range(minutes):
        await runner.sweeper.sweep(events_ttl=HOUR)
        await asyncio.sleep(57)


async def running_turn(store: MemoryStore, session_id: str) -> str:
    return (await store.get_session("ann", session_id)).running_turn


@virtual
async def test_a_follower_elsewhere_of_a_deleted_session_is_told() -> None:
    store = memory()
    here, there = make_runner(lines(1000, 0.1), store=store), make_runner(store=store)
    live = await here.start(ask())
    await read(live.feed, until=8)
    follower = asyncio.create_task(read((await there.open("ann", live.turn.id)).feed))
    await asyncio.sleep(2.1)
    await here.delete_session("ann", live.turn.session_id)
    async with asyncio.timeout(10):
        with pytest.raises(TurnNotFound):
            await follower


@virtual
async def test_a_repeated_request_elsewhere_waits_for_a_slow_first_word() -> None:
    store = memory()
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    here, there = make_runner([8.0, "Hello"], store=store), make_runner(store=store)
    await here.start(ask("A?", session_id=NEW_SESSION, nonce="key"))
    again = await there.start(ask("A?", session_id=NEW_SESSION, nonce="key"))
    await again.feed.opening(10)
    async with asyncio.timeout(60):
        assert text_of(await read(again.feed)) == "Hello"


@virtual
async def test_a_follower_that_comes_when_the_poller_was_about_to_leave_is_served() -> None:
    store = memory()
    here, there = make_runner(lines(300, 0.1), store=store), make_runner(store=store)
    live = await here.start(ask())
    first = await there.open("ann", live.turn.id)
    await asyncio.sleep(4.99)
    remote = await there.open("ann", live.turn.id)
    assert remote.feed is first.feed
    await asyncio.sleep(0.5)
    async with asyncio.timeout(600):
        assert text_of(await read(remote.feed)) == words(300)


@virtual
async def test_a_feed_whose_poller_left_says_so() -> None:
    store = memory()
    here, there = make_runner(lines(300, 0.1), store=store), make_runner(store=store)
    live = await here.start(ask())
    remote = await there.open("ann", live.turn.id)
    await asyncio.sleep(10)
    async with asyncio.timeout(1):
        with pytest.raises(StoreUnavailable):
            await read(remote.feed)


@virtual
async def test_a_shutdown_tells_those_who_follow_turns_of_others() -> None:
    store = memory()
    here, there = make_runner(lines(1000, 0.1), store=store), make_runner(store=store)
    live = await here.start(ask())
    follower = asyncio.create_task(read((await there.open("ann", live.turn.id)).feed))
    await asyncio.sleep(2)
    await there.drain()
    for feed in (follower, read((await there.open("ann", live.turn.id)).feed)):
        async with asyncio.timeout(1):
            with pytest.raises(ShuttingDown):
                await feed


@virtual
async def test_a_shutdown_without_a_store_tells_its_readers_and_leaves_a_trail_for_the_sweeper() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(store=store)
    live = await here.start(ask())
    reader = asyncio.create_task(read(live.feed))
    await asyncio.sleep(5)
    link.fail_next("end_turn", StoreUnavailable(), times=100_000)
    await here.drain()
    link.freeze()
    async with asyncio.timeout(1):
        with pytest.raises(ShuttingDown):
            await reader
    await sweep_for(3, there)
    assert await running_turn(store, live.turn.session_id) == ""


@virtual
async def test_a_shutdown_while_a_lost_start_is_looked_for_leaves_a_trail_for_the_sweeper() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(store=link), make_runner(store=store)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    link.fail_next("start_turn", StoreUnavailable(), after_effect=True)
    with pytest.raises(StoreUnavailable):
        await here.start(ask("A?", session_id=NEW_SESSION))
    await here.drain()
    await sweep_for(3, there)
    assert await running_turn(store, NEW_SESSION) == ""


@virtual
async def test_a_lost_start_is_found_after_an_outage_of_a_minute() -> None:
    store = memory()
    link = Link(store)
    here = make_runner(lines(50, 0.1), store=link)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    link.fail_next("start_turn", StoreUnavailable(), after_effect=True)
    with pytest.raises(StoreUnavailable):
        await here.start(ask("A?", session_id=NEW_SESSION))
    traffic = asyncio.create_task(stay_busy(here))
    for method in ("get_session", "load_turn"):
        link.fail_next(method, StoreUnavailable(), times=1000)
    await asyncio.sleep(60)
    link.failures.clear()
    await asyncio.sleep(60)
    traffic.cancel()
    assert await running_turn(store, NEW_SESSION) == ""


@virtual
async def test_a_turn_whose_instance_died_before_it_was_named_is_ended_by_the_first_to_ask() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(["Again"], store=store)
    live = await here.start(ask())
    link.freeze()
    await sweep_for(3, there)
    again = await there.start(ask(session_id=live.turn.session_id))
    assert kinds(await read(again.feed))[-1] == "TurnFinished"


@virtual
async def test_what_a_stopped_process_writes_late_changes_nothing_that_was_read() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(store=store)
    live = await here.start(ask())
    await read(live.feed, until=40)
    link.freeze()
    await asyncio.sleep(2)
    said = await read((await there.open("ann", live.turn.id)).feed)
    link.thaw()
    await asyncio.sleep(20)
    again = await store.read_events(live.turn)
    grammar = Grammar()
    for _, event in again:
        grammar.accept(event)
    assert again == said


@virtual
async def test_a_source_that_is_cancelled_by_somebody_else_is_a_failure() -> None:
    store = memory()
    here = make_runner(["Hel", asyncio.CancelledError()], store=store)
    live = await here.start(ask())
    async with asyncio.timeout(10):
        assert kinds(await read(live.feed))[-1] == "TurnFailed"
    assert await running_turn(store, live.turn.session_id) == ""


class SlowStart(MemoryStore):
    """The reply to a start takes two seconds; so does its effect, with a gate."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        super().__init__(VirtualClock())
        self.gate = gate

    async def start_turn(self, draft: Any) -> Any:
        if self.gate is not None:
            await self.gate.wait()
        started = await super().start_turn(draft)
        await asyncio.sleep(2)
        return started


@virtual
async def test_a_cancel_that_comes_while_the_starts_reply_is_awaited_counts() -> None:
    store = SlowStart()
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    here, there = make_runner(lines(1000, 0.1), store=store), make_runner(store=store)
    starting = asyncio.create_task(here.start(ask("A?", session_id=NEW_SESSION)))
    await asyncio.sleep(0.5)
    turn_id = await running_turn(store, NEW_SESSION)
    await there.cancel("ann", turn_id)
    await starting
    await asyncio.sleep(1)
    assert (await store.get_turn("ann", turn_id)).state == "cancelled"


@virtual
async def test_a_lease_that_is_lost_while_the_start_is_written_drops_the_turn() -> None:
    gate = asyncio.Event()
    store = SlowStart(gate)
    provider = ScriptedProvider(lines(2000, 0.1))
    here = make_runner(store=store, provider=provider)
    starting = asyncio.create_task(here.start(ask("A?")))
    await asyncio.sleep(0.1)
    [lease] = await store.list_leases()
    await store.fence(lease)
    await asyncio.sleep(1)
    gate.set()
    await starting
    await asyncio.sleep(5)
    assert (provider.open_streams, here.running) == (0, 0)


@virtual
async def test_a_repeated_request_that_makes_a_session_makes_one() -> None:
    store = memory()
    provider = ScriptedProvider(lines(10, 0.1))
    here = make_runner(store=store, provider=provider)
    request = ask("A?", nonce="key", promised=NEW_SESSION)
    first = await here.start(request)
    assert first.turn.session_id == NEW_SESSION
    again = await here.start(request)
    assert again.feed is first.feed
    await read(first.feed)
    assert (await here.start(request)).turn.id == first.turn.id
    assert len((await store.list_sessions("ann", limit=5)).items) == 1


@pytest.mark.parametrize("busy", [False, True])
def test_a_repeated_request_that_made_a_session_finds_its_turn_behind_others(busy: bool) -> None:
    @virtual
    async def check() -> None:
        here = make_runner(["First"], lines(10 if busy else 1, 1.0), [], store=memory())
        request = ask("A?", nonce="key", promised=NEW_SESSION)
        first = await here.start(request)
        await read(first.feed)
        other = await here.start(ask("B?", session_id=NEW_SESSION))
        if not busy:
            await read(other.feed)
        again = await here.start(request)
        assert (again.turn.id, text_of(await read(again.feed))) == (first.turn.id, "First")

    check()


@virtual
async def test_two_equal_requests_at_the_same_moment_make_one_turn() -> None:
    store = memory()
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    here = make_runner(lines(10, 0.1), store=store)
    starts = (here.start(ask("A?", session_id=NEW_SESSION, nonce="key")) for _ in range(2))
    first, second = await asyncio.gather(*starts)
    assert first.feed is second.feed
    await asyncio.sleep(10)
    assert here.running == 0


@virtual
async def test_a_turn_that_cannot_be_read_does_not_stop_the_sweeper() -> None:
    store = memory()
    links = [Link(store), Link(store)]
    dead = [make_runner(lines(1000, 0.1), store=link) for link in links]
    first, second = [await runner.start(ask()) for runner in dead]
    await asyncio.sleep(2)
    for link in links:
        link.freeze()
    store.remove_event(first.turn, number=2)
    await sweep_for(3, make_runner(store=store))
    assert await running_turn(store, first.turn.session_id) == ""
    assert await running_turn(store, second.turn.session_id) == ""


@virtual
async def test_an_end_that_the_store_refuses_frees_the_session_all_the_same() -> None:
    store = memory()
    here = make_runner(["Hello"], store=store)
    store.fail_next("end_turn", TooLarge())
    store.fail_next("end_turn", StoreUnavailable())
    live = await here.start(ask())
    with pytest.raises(ChatError):
        await read(live.feed)
    traffic = asyncio.create_task(stay_busy(here))
    await asyncio.sleep(30)
    traffic.cancel()
    assert await running_turn(store, live.turn.session_id) == ""


@virtual
async def test_a_source_that_does_not_stop_says_nothing_after_the_end() -> None:
    class Stubborn(ScriptedProvider):
        async def stream(self, request: Any) -> Any:
            async for piece in super().stream(request):
                for _ in range(3):
                    try:
                        await asyncio.sleep(1)
                    except asyncio.CancelledError:
                        continue
                yield piece

    store = memory()
    here = make_runner(store=store, provider=Stubborn(["a", "b", "c"]))
    live = await here.start(ask())
    await read(live.feed, until=4)
    turn = await here.cancel("ann", live.turn.id)
    assert turn.state == "cancelled"
    await asyncio.sleep(20)
    assert await store.read_events(turn) == live.feed.events


@virtual
async def test_a_flush_that_hangs_does_not_keep_a_cancelled_turn() -> None:
    store = memory()
    link = Link(store)
    here = make_runner(lines(1000, 0.1), store=link)
    live = await here.start(ask())
    await read(live.feed, until=20)
    link.hang_next("append_events")
    await asyncio.sleep(2)
    began = asyncio.get_running_loop().time()
    turn = await here.cancel("ann", live.turn.id)
    assert asyncio.get_running_loop().time() - began < 1
    assert turn.state == "cancelled"
    assert await store.read_events(turn) == live.feed.events


NEW_SESSION = "0" * 25 + "N"


class FirstIsSlow(MemoryStore):
    """Whoever reads a session first waits longer for it than the next start waits for theirs."""

    first = True

    async def get_session(self, user_id: str, session_id: str) -> Session:
        if self.first:
            self.first = False
            await asyncio.sleep(PATIENCE + 2)
        return await super().get_session(user_id, session_id)


@virtual
async def test_a_start_that_is_overtaken_by_the_next_one_is_refused_as_any_other() -> None:
    store = FirstIsSlow(VirtualClock())
    runner = make_runner(lines(100, 0.1), store=store)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    slow = asyncio.create_task(runner.start(ask("first", session_id=NEW_SESSION)))
    await asyncio.sleep(0)
    await runner.start(ask("second", session_id=NEW_SESSION))
    with pytest.raises(TurnInProgress):
        await slow
