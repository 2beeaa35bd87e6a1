"""When the host was told to stop, and how long its parts may take for that. The whole takes less than 5 s."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Awaitable

# Seconds after the signal: until when requests in flight may go on, until when the app's own tasks may (it flushes
# what it holds), and when the process ends whatever happens.
REQUESTS_END, TASKS_END, LAST_MOMENT = 3.0, 3.9, 4.2


class Stopping:
    """Listens for SIGINT and SIGTERM from the moment it is made, on the running loop.

    The app and the worker's uvicorn replace the signal handlers later with `signal.signal`; the loop is told through
    its wakeup file descriptor all the same. uvicorn raises the signal again when it ends, so only the first counts.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._requested = asyncio.Event()
        self._at = 0.0
        for each in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(each, self._request)

    def _request(self) -> None:
        if not self._requested.is_set():
            self._at = self._loop.time()
            self._requested.set()
            watchdog = threading.Timer(LAST_MOMENT, os._exit, (0,))
            watchdog.daemon = True
            watchdog.start()

    async def requested(self) -> None:
        """Returns when a signal came."""
        await self._requested.wait()

    async def requests_end(self, idle: Awaitable[None]) -> None:
        """Waits for `idle`, as long as requests in flight may go on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._at + REQUESTS_END):
                await idle

    async def tasks_end(self) -> None:
        """Waits for all other tasks: uvicorn's, which the same signal ends, and those with which the app ends."""
        while self._loop.time() < self._at + TASKS_END:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if not others:
                return
            await asyncio.wait(others, timeout=self._at + TASKS_END - self._loop.time())
