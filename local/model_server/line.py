"""One client's connection: it waits without missing that the client leaves, and it can drop the line."""

import asyncio
import time

from aiohttp import web

WATCH = 0.05  # seconds between two looks at whether the client is still there


class ClientLeft(Exception):
    """The client closed its connection while an answer was on the way."""


class Dropped(Exception):
    """The stand-in closed the connection on purpose: it was told to, or it stops."""


class Line:
    """A request's connection. `stopping` is set when the server stops."""

    def __init__(self, request: web.Request, stopping: asyncio.Event) -> None:
        self._request = request
        self._stopping = stopping

    def check(self) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ClientLeft
        if self._stopping.is_set():
            self.drop()

    async def wait_until(self, moment: float) -> None:
        """Until this time of the monotonic clock, in short sleeps: aiohttp does not say that a client left."""
        while (left := moment - time.monotonic()) > 0:
            await asyncio.sleep(min(left, WATCH))
            self.check()

    async def wait_forever(self) -> None:
        """Until the client leaves."""
        await self.wait_until(float("inf"))

    def drop(self) -> None:
        """Close without the end of the chunked body; what was written before still goes out."""
        if self._request.transport is not None:
            self._request.transport.close()
        raise Dropped
