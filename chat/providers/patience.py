"""A limit on how long a stream is waited for: one timer a stream, next to nothing a read.

`asyncio.timeout` around every read costs 4 us each (Python 3.13), more than all else that is done with a delta.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType


class Patience:
    """Counts the time spent inside `with patience:` alone, so that a slow reader of the stream is not its fault.

    When it runs out, `over` is set and `give_up` is called, which has to end the wait: close what is read from.
    """

    def __init__(self, seconds: float, give_up: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._give_up = give_up
        self._since: float | None = None  # when the wait that goes on now began
        self._left = self._shortest = seconds
        self._timer = self._loop.call_later(seconds, self._check)
        self.over = False

    def allow(self, seconds: float) -> None:
        """From the next wait on, wait this long in all."""
        self._left = seconds
        if seconds < self._shortest:
            self._shortest = seconds
            self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._check)

    def stop(self) -> None:
        """Wait for nothing any more."""
        self._timer.cancel()

    def __enter__(self) -> None:
        self._since = self._loop.time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since is not None:
            self._left -= self._loop.time() - self._since
        self._since = None

    def _check(self) -> None:
        """The timer is never later than the earliest moment at which patience can run out; often it is earlier."""
        now = self._loop.time()
        due = (now if self._since is None else self._since) + self._left
        if self._since is not None and now >= due:
            self.over = True
            self._give_up()
        else:
            self._timer = self._loop.call_at(max(due, now + 0.001), self._check)
