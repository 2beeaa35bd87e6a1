"""Where the time of a word goes on its way from the model's write to a socket, as far as it can be seen from outside.

The model's stamp, the service's note of each send and the socket's frame are three moments of one clock. A request that
does nothing, asked all the while, tells how late the app's event loop is.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.measure import percentile
from benchmarks.scenarios import Figures

WINDOW = 0.045  # seconds that the app leaves between two frames of a group
PERIOD = 0.1  # seconds between two requests that do nothing


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a turn as a socket got it, and when the model wrote what is in it. Seconds, monotonic."""

    group: str
    at: float
    written: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """The seconds of one delta: while the frame before was less than a window old, then to the service, and to the
    socket. Behind a frame that was late itself a delta waits for longer than a window: that is the app's."""

    window: float
    app: float
    service: float


def ways(frames: Iterable[Frame], sends: Iterable[Mapping[str, Any]]) -> Iterator[Way]:
    """Each delta's, of the frames of groups of one socket each. ValueError when not each send is one frame."""
    told = _by_group((each["name"], _monotonic(each["at"])) for each in sends if each["target"] == "group")
    came = _by_group((each.group, each) for each in frames)
    for group, got in came.items():
        before = float("-inf")
        for frame, sent in zip(got, told.get(group, ()), strict=True):
            for written in frame.written:
                window = min(WINDOW, max(0.0, min(sent, before + WINDOW) - written))
                yield Way(window, sent - written - window, frame.at - sent)
            before = sent


def shares(found: Sequence[Way]) -> Figures:
    """In milliseconds. What stands below another does not add up to its percentile, since each has its own worst."""
    parts = {
        "window": [each.window for each in found],
        "app": [each.app for each in found],
        "service": [each.service for each in found],
    }
    return {
        f"{name}_p{percent}_ms": percentile(values, percent) * 1000
        for name, values in parts.items()
        for percent in (50, 99)
    }


@asynccontextmanager
async def asked_nothing(http: aiohttp.ClientSession, app: str) -> AsyncGenerator[list[float]]:
    """Asks the app for what it has not, until the block ends; the seconds that each answer took."""
    took: list[float] = []

    async def ask() -> None:
        while True:
            began = time.monotonic()
            async with http.get(f"{app}/runtime/webhooks/nothing") as reply:
                await reply.read()
            took.append(time.monotonic() - began)
            await asyncio.sleep(PERIOD)

    asking = asyncio.create_task(ask())
    try:
        yield took
    finally:
        asking.cancel()


def _monotonic(at: float) -> float:
    return at - time.time() + time.monotonic()


def _by_group[T](pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for group, each in pairs:
        found.setdefault(group, []).append(each)
    return found
