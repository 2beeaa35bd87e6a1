"""A store that neither answers nor fails: readers are told in time, however long a call hangs."""

import asyncio

import pytest

from chat import events
from chat.turns.feed import LiveTurn
from chat.turns.flush import PATIENCE
from chat.turns.runner import TurnRunner
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, last, lines, make_runner, read, text_of, words
from tests.support.virtual_time import VirtualClock, virtual


async def hanging(count: int) -> tuple[Link, TurnRunner, LiveTurn]:
    """A turn of `count` words, ten a second, whose store hangs from the sixth word on."""
    link = Link(MemoryStore(VirtualClock()))
    runner = make_runner(lines(count, 0.1), store=link)
    live = await runner.start(ask())
    await read(live.feed, until=9)
    link.freeze()
    return link, runner, live


@virtual
@pytest.mark.parametrize("count", [4000, 20])
async def test_readers_are_told_after_30_seconds(count: int) -> None:
    _, _, live = await hanging(count)
    loop = asyncio.get_running_loop()
    began = loop.time()
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert (failed.code, failed.retryable) == ("STORE_UNAVAILABLE", True)
    assert PATIENCE <= loop.time() - began < PATIENCE + 3


@virtual
async def test_a_store_that_comes_back_in_time_costs_nothing() -> None:
    link, runner, live = await hanging(400)
    await asyncio.sleep(PATIENCE - 2)
    link.thaw()
    assert text_of(await read(live.feed)) == words(400)
    assert isinstance(last(live.feed.events), events.TurnFinished)
    assert runner.running == 0


@virtual
@pytest.mark.parametrize("count", [4000, 20])
async def test_what_was_said_is_stored_once_the_store_is_back(count: int) -> None:
    link, runner, live = await hanging(count)
    said = text_of(await read(live.feed))
    link.thaw()
    await asyncio.sleep(15)
    message = await runner.look("ann", live.turn.id)
    assert runner.running == 0
    assert message.state in {"failed", "finished"}
    assert (await link.get_message("ann", live.turn.id)).content == said


@virtual
async def test_a_turn_can_be_cancelled_where_it_runs_while_the_store_hangs() -> None:
    link, runner, live = await hanging(4000)
    cancelling = asyncio.create_task(runner.cancel("ann", live.turn.id))
    await asyncio.sleep(3)
    said = live.feed.last_number
    await asyncio.sleep(3)
    assert live.feed.last_number == said
    link.thaw()
    assert (await cancelling).state == "cancelled"


@virtual
async def test_a_stranger_cancels_nothing_while_the_store_hangs() -> None:
    link, runner, live = await hanging(100)
    cancelling = asyncio.create_task(runner.cancel("eve", live.turn.id))
    await asyncio.sleep(3)
    link.thaw()
    with pytest.raises(Exception, match="not found"):
        await cancelling
    assert text_of(await read(live.feed)) == words(100)
