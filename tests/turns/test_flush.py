"""How often running turns are written down."""

import asyncio

import pytest

from chat.turns.flush import FLUSHES, LONGEST, PERIOD
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, lines, make_runner
from tests.support.virtual_time import VirtualClock, virtual

WATCHED = 12.0  # seconds


@pytest.mark.parametrize(
    ("turns", "period"), [(1, PERIOD), (FLUSHES, PERIOD), (2 * FLUSHES, 2.0), (6 * FLUSHES, LONGEST)]
)
@virtual
async def test_one_process_makes_no_more_flushes_than_it_should(turns: int, period: float) -> None:
    store = MemoryStore(VirtualClock())
    runner = make_runner(*[lines(200, 0.1) for _ in range(turns)], store=store)
    await asyncio.gather(*(runner.start(ask(user_id=f"user{number}")) for number in range(turns)))
    await asyncio.sleep(3)  # the first flushes come sooner
    before = store.calls["append_events"]
    await asyncio.sleep(WATCHED)
    flushes = store.calls["append_events"] - before
    assert abs(flushes - turns * WATCHED / period) <= turns
    await runner.drain()
