"""Patience runs out on time, and only while something is waited for."""

import asyncio
import time
from contextlib import suppress

from chat.providers.patience import Patience


class Wait:
    """A wait that giving up ends."""

    def __init__(self, seconds: float) -> None:
        self.ended = asyncio.Event()
        self.patience = Patience(seconds, self.ended.set)

    async def wait(self, seconds: float = 2) -> float:
        """Wait that long or until patience is over; how long it took."""
        began = time.monotonic()
        with self.patience, suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
        return time.monotonic() - began


async def test_it_runs_out_after_its_time():
    wait = Wait(0.05)
    assert 0.045 < await wait.wait() < 1
    assert wait.patience.over


async def test_several_waits_share_it():
    wait = Wait(0.1)
    waited = [await wait.wait(0.04), await wait.wait(0.04), await wait.wait()]
    assert wait.patience.over
    assert 0.095 < sum(waited) < 1


async def test_time_between_waits_does_not_count():
    wait = Wait(0.05)
    await asyncio.sleep(0.1)
    assert not wait.patience.over
    assert 0.045 < await wait.wait() < 1


async def test_it_can_be_renewed():
    wait = Wait(0.1)
    for _ in range(4):
        await wait.wait(0.05)
        wait.patience.allow(0.1)
    assert not wait.patience.over


async def test_it_can_become_shorter():
    wait = Wait(60)
    wait.patience.allow(0.05)
    assert 0.045 < await wait.wait() < 1


async def test_it_can_be_stopped():
    wait = Wait(0.02)
    wait.patience.stop()
    assert await wait.wait(0.05) >= 0.045
    assert not wait.patience.over
