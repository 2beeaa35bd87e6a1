"""What is done to the stack while it is used: one instance killed again and again, services that stand still."""

import asyncio
import contextlib
import random
import time

from benchmarks.chaos.journal import Journal
from benchmarks.chaos.stack import SURVIVOR, VICTIM, ChaosStack
from benchmarks.measure import resident_kb
from benchmarks.servers import Skipped

KILL_FIRST, KILL_EVERY = 30.0, 60.0
FROZEN = (1.0, 10.0)
BETWEEN = (10.0, 40.0)  # seconds in which a service is left alone
SAMPLE = 1.0


class Faults:
    """All of them, until they are stopped."""

    def __init__(self, stack: ChaosStack, journal: Journal, seed: int) -> None:
        self._stack, self._journal, self._seed = stack, journal, seed
        self._restarting: asyncio.Task[None] | None = None

    async def run(self, seconds: float) -> None:
        """For that long. Nothing is frozen, and both instances answer, when it returns. Skipped when something died
        by itself."""
        try:
            await self._do_all(seconds)
        except* (Skipped, ProcessLookupError, FileNotFoundError) as errors:
            raise Skipped(f"something died that was not killed: {errors.exceptions[0]}") from None
        finally:
            for name in self._stack.pids:
                self._stack.thaw(name)
        # The end does not break off a start: an instance that is half up would be in the way.
        if self._restarting is not None:
            await self._restarting

    async def _do_all(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                group.create_task(self._kill())
                group.create_task(self._measure())
                for number, name in enumerate(self._stack.pids):
                    group.create_task(self._freeze(name, random.Random(f"{self._seed} {name} {number}")))

    async def _kill(self) -> None:
        await asyncio.sleep(KILL_FIRST)
        while True:
            self._restarting = asyncio.create_task(self._restart())
            await asyncio.gather(asyncio.shield(self._restarting), asyncio.sleep(KILL_EVERY))

    async def _restart(self) -> None:
        began, pid = time.time(), self._stack.kill_victim()
        await self._stack.restart_victim()
        self._journal.note("kill", instance=VICTIM, pid=pid, began=began, until=time.time())

    async def _freeze(self, name: str, dice: random.Random) -> None:
        while True:
            await asyncio.sleep(dice.uniform(*BETWEEN))
            began = time.time()
            self._stack.freeze(name)
            try:
                await asyncio.sleep(dice.uniform(*FROZEN))
            finally:
                self._stack.thaw(name)
                facts = {"who": name, "pid": self._stack.pids[name], "began": began, "until": time.time()}
                self._journal.note("freeze", **facts)

    async def _measure(self) -> None:
        while True:
            self._journal.note("memory", kb=resident_kb(self._stack.hosts[SURVIVOR]))
            await asyncio.sleep(SAMPLE)
