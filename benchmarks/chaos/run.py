"""One run, from the start of the stack to the verdict."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.faults import Faults
from benchmarks.chaos.journal import Journal
from benchmarks.chaos.settling import settle, take_stock
from benchmarks.chaos.stack import ChaosStack
from benchmarks.chaos.streams import open_door
from benchmarks.chaos.users import keep_sockets, live
from benchmarks.chaos.world import World

SOCKETS = 2  # of each user at a time
COUNTED = ("order", "acked", "segment", "frame", "kill", "freeze")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it."""

    minutes: float = 10.0
    users: int = 50
    seed: int = 1

    @property
    def whole(self) -> bool:
        """Whether its figures may stand in RESULTS.md."""
        return self.minutes >= 10 and self.users >= 50


def play(size: Size) -> Path:
    """The journal of a run. Skipped when the stack cannot be started; KeyboardInterrupt leaves no process behind."""
    folder = Path(tempfile.mkdtemp(prefix="bench-chaos-"))
    print(f"  journal and logs: {folder}", file=sys.stderr, flush=True)
    journal = Journal(folder / "journal.jsonl")
    signal.signal(signal.SIGTERM, _end_as_with_ctrl_c)
    try:
        with ChaosStack(folder) as stack:
            asyncio.run(_run(stack, journal, size))
    finally:
        journal.close()
    return journal.path


def _end_as_with_ctrl_c(_number: int, _frame: object) -> None:
    signal.raise_signal(signal.SIGINT)


async def _run(stack: ChaosStack, journal: Journal, size: Size) -> None:
    async with open_door(stack.urls) as door:
        world = World(door, journal, size.seed, size.users)
        await world.build()
        deeds = {asyncio.create_task(live(world, user), name=user) for user in world.users}
        sockets = {asyncio.create_task(keep_sockets(world, user)) for user in world.users * SOCKETS}
        said = asyncio.create_task(_say_how_it_goes(journal))
        try:
            await _until_over(Faults(stack, journal, size.seed).run(size.minutes * 60), deeds | sockets)
            world.over.set()
            journal.note("over")
            await settle(world, deeds)
            await take_stock(world)
            for each in [socket for open_ones in world.sockets.values() for socket in open_ones]:
                await each.close("end")
            await asyncio.wait(sockets, timeout=10)
        finally:
            for task in (said, *deeds, *sockets):
                task.cancel()
            await asyncio.gather(said, *deeds, *sockets, return_exceptions=True)


async def _until_over(faults: Coroutine[None, None, None], users: set[asyncio.Task[None]]) -> None:
    """Users end when the faults have. One who fails before shows a fault of the driver, which is not to be taken for
    one of what it drives."""
    breaking = asyncio.create_task(faults)
    try:
        done, _ = await asyncio.wait({breaking, *users}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        breaking.cancel()
        await asyncio.wait({breaking})


async def _say_how_it_goes(journal: Journal) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(15)
        counts = ", ".join(f"{journal.counts.get(kind, 0)} {kind}" for kind in COUNTED)
        print(f"  {time.monotonic() - began:.0f} s: {counts}", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            journal.flush()
