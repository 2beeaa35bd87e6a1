"""Functions that block, in threads of their own."""

import asyncio
import subprocess
import sys
import threading
import time
from contextvars import ContextVar

import pytest

from chat.tools.base import ToolError
from chat.tools.fair import Shares
from chat.tools.threads import BlockingCalls
from tests.support.processes import ROOT

HERE: ContextVar[str] = ContextVar("HERE")


async def test_what_a_function_returns_and_raises_comes_back() -> None:
    calls = BlockingCalls()
    HERE.set("there")
    assert await calls.run("ann", HERE.get) == "there"
    assert await calls.run("ann", divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await calls.run("ann", divmod, 7, 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await calls.run("ann", next, iter(()))


async def test_a_thread_that_nobody_waits_for_counts_until_it_ends() -> None:
    calls, release = BlockingCalls(Shares(2, 1, 1, 1)), threading.Event()
    left = asyncio.create_task(calls.run("ann", release.wait, 10))
    await asyncio.sleep(0.05)
    left.cancel()
    waiting = asyncio.create_task(calls.run("ann", time.monotonic))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    with pytest.raises(ToolError, match="waiting"):
        await calls.run("ann", time.monotonic)
    assert await calls.run("bob", divmod, 7, 2) == (3, 1)
    release.set()
    async with asyncio.timeout(5):
        await waiting


async def test_many_functions_that_hang_leave_asyncio_its_threads() -> None:
    calls, release = BlockingCalls(), threading.Event()
    hanging = [asyncio.create_task(calls.run(f"user{each}", release.wait, 10)) for each in range(40)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    release.set()
    await asyncio.gather(*hanging)


HANGING = """
import asyncio, time
from chat.tools.threads import BlockingCalls
async def main():
    asked = asyncio.create_task(BlockingCalls().run("ann", time.sleep, 60))
    await asyncio.sleep(0.05)
asyncio.run(main())
print("over")
"""


def test_a_call_that_hangs_does_not_hold_the_end_of_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGING], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert (done.stdout, done.stderr) == ("over\n", "")
