"""What the app does to the process that it lives in: its heap, and its end, and how it closes its parts."""

import asyncio
import gc
import signal
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import FrameType
from typing import Protocol

from chat.telemetry import record_error

CLOSING = 3.0  # seconds that a shutdown may take
YOUNG = 2_000  # objects from which on the newest are walked; all of them after twelve times as many


def settle_heap() -> None:
    """What is loaded by now stays: collections need not walk it again (a tenth of a busy turn). What is made from now
    on is little, so all of it can be walked often: a failed call leaves a ring of frames, in which its error holds
    what was being read, and a process of few objects would keep those for five minutes and more."""
    gc.freeze()
    gc.set_threshold(YOUNG, 5, 1)


def close_on_sigterm(close: Callable[[], Awaitable[None]]) -> None:
    """End this process's turns properly when the platform stops it.

    The platform offers no hook. The handler that was there (the worker's web server has one, which ends the process as
    soon as no request is open) is called when our own end is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        await _closed(close)
        if callable(before):
            before(signal.SIGTERM, None)
        else:  # nobody else would end the process
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: ending.append(loop.create_task(end())))

    signal.signal(signal.SIGTERM, handle)


async def _closed(close: Callable[[], Awaitable[None]]) -> None:
    """Close, but for no longer than there is time: what hangs is left behind, and what fails ends nothing else."""
    closing = asyncio.ensure_future(close())
    await asyncio.wait([closing], timeout=CLOSING)
    if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
        record_error("close_failed", error)


class Closable(Protocol):
    """A part of the app that has to be closed."""

    async def aclose(self) -> None: ...


class Closing(AsyncExitStack):
    """The parts that have to be closed: what was made last is closed first, and one that fails keeps none open."""

    def add[Part: Closable](self, part: Part) -> Part:
        self.push_async_callback(part.aclose)
        return part
