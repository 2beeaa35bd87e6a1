"""A process that is used finds dead ones by itself, and an idle one asks nothing."""

import asyncio

import pytest

from chat.errors import StoreUnavailable
from chat.turns.patrol import ROUND, USED
from chat.turns.runner import TurnRunner
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, kinds, lines, make_runner, read
from tests.support.virtual_time import VirtualClock, virtual

SOON = 23.0  # seconds


def memory() -> MemoryStore:
    return MemoryStore(VirtualClock())


async def dying(store: MemoryStore) -> tuple[Link, str]:
    """A turn of a process that can be killed, once a beat has named it."""
    link = Link(store)
    live = await make_runner(lines(1000, 0.1), store=link).start(ask())
    await read(live.feed, until=30)
    return link, live.turn.id


async def seconds_until_ended(store: MemoryStore, turn_id: str) -> float:
    began = asyncio.get_running_loop().time()
    while (await store.load_turn(turn_id)).running:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("pause", [0.0, 1.0, 2.5, 4.0, 5.5, 7.0, 8.5])
def test_a_turn_that_nobody_follows_is_ended_soon_after_its_process_died(pause: float) -> None:
    @virtual
    async def check() -> None:
        store = memory()
        link, turn_id = await dying(store)
        make_runner(store=store).watch_others()
        await asyncio.sleep(pause)
        link.freeze()
        assert await seconds_until_ended(store, turn_id) < SOON
        turn = await store.load_turn(turn_id)
        assert turn.error is not None
        assert (turn.error.code, await store.list_leases()) == ("INTERRUPTED", [])

    check()


@virtual
async def test_of_several_that_find_it_at_once_one_ends_it() -> None:
    store = memory()
    link, turn_id = await dying(store)
    others = [make_runner(store=store) for _ in range(5)]
    freed: list[str] = []
    for each in others:
        each.listen(freed.append)
        each.watch_others()
    link.freeze()
    await asyncio.sleep(60)
    turn = await store.load_turn(turn_id)
    assert freed == [turn.session_id]
    assert [each.event for each in await store.read_events(turn)][-1].__class__.__name__ == "TurnFailed"


@virtual
async def test_the_session_takes_its_next_turn() -> None:
    store = memory()
    link, turn_id = await dying(store)
    other = make_runner(["Again"], store=store)
    other.watch_others()
    link.freeze()
    await seconds_until_ended(store, turn_id)
    session_id = (await store.load_turn(turn_id)).session_id
    assert kinds(await read((await other.start(ask(session_id=session_id))).feed))[-1] == "TurnFinished"


async def looks_in(store: MemoryStore, seconds: float) -> int:
    before = store.calls["list_leases"]
    await asyncio.sleep(seconds)
    return store.calls["list_leases"] - before


@virtual
async def test_a_process_that_is_used_asks_once_a_round_and_an_idle_one_nothing() -> None:
    store = memory()
    runner = make_runner(store=store)
    assert await looks_in(store, 60) == 0
    for _ in range(1000):
        runner.watch_others()
    assert 300 / ROUND <= await looks_in(store, 300) <= 300 / (ROUND * 2 / 3) + 1
    assert await looks_in(store, USED) > 0
    assert await looks_in(store, USED) == 0
    runner.watch_others()
    assert await looks_in(store, 1) == 1


@virtual
async def test_a_process_that_makes_a_turn_looks_though_it_was_asked_long_ago() -> None:
    store = memory()
    runner = make_runner(lines(1, 2 * USED), store=store, turn_limit=3 * USED)
    await runner.start(ask())
    await asyncio.sleep(1.5 * USED)
    assert await looks_in(store, 60) >= 5


async def is_finished(store: MemoryStore, turn_id: str) -> bool:
    await seconds_until_ended(store, turn_id)
    return (await store.load_turn(turn_id)).state == "finished"


@virtual
async def test_a_store_that_hangs_or_fails_for_a_while_kills_no_healthy_turn() -> None:
    store = memory()
    live = await make_runner(lines(900, 0.1), store=store).start(ask())
    other = make_runner(store=store)
    other.watch_others()
    await asyncio.sleep(5)
    store.freeze()
    await asyncio.sleep(20)
    store.thaw()
    await asyncio.sleep(5)
    store.fail_next("list_leases", StoreUnavailable(), times=5)
    assert await is_finished(store, live.turn.id)


@virtual
async def test_a_process_that_ends_walks_no_more() -> None:
    store = memory()
    runner: TurnRunner = make_runner(store=store)
    runner.watch_others()
    await asyncio.sleep(1)
    await runner.drain()
    runner.watch_others()
    assert await looks_in(store, 60) == 0
