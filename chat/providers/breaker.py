"""A breaker for each model service: one that fails again and again is left alone for a while.

closed --failures in a row--> open --rest is over--> half_open: one request is let through --> closed, or open again
"""

from collections.abc import Callable
from typing import Literal

type BreakerState = Literal["closed", "open", "half_open"]


class Breaker:
    """Whether a service may be asked. `clock` gives seconds that only grow."""

    def __init__(self, *, failures: int, rest: float, clock: Callable[[], float]) -> None:
        self._most = failures
        self._rest = rest
        self._clock = clock
        self._failures = 0  # in a row
        self._opened: float | None = None  # when it last opened
        self._probing = False

    @property
    def state(self) -> BreakerState:
        if self._opened is None:
            return "closed"
        return "half_open" if self.resting == 0 else "open"

    @property
    def resting(self) -> float:
        """Seconds until a request may be let through."""
        return 0.0 if self._opened is None else max(self._opened + self._rest - self._clock(), 0.0)

    def admit(self) -> bool:
        """Whether a request may go. Each one that may is followed by one of the three calls below."""
        if self._opened is None:
            return True
        if self.resting or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The service answered."""
        self._failures, self._opened, self._probing = 0, None, False

    def failed(self) -> None:
        """The service did not do its part."""
        self._failures += 1
        if self._probing or self._failures >= self._most:
            self._opened = self._clock()
        self._probing = False

    def released(self) -> None:
        """The request was given up, and says nothing about the service."""
        self._probing = False
