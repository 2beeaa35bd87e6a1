"""The clock of the table service, as its replies show it: all instances see the same one, whatever their own say."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DRIFT = 0.001  # seconds by which a second of this machine may be too long


class ServiceClock:
    """Reads the `Date` of every reply. That has whole seconds, so the latest of all estimates is the nearest one."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic, self._wall = monotonic, wall
        self._newest = ""  # the `Date` that was read last
        self._ahead: float | None = None  # seconds from our monotonic clock to the service's
        self._noted = 0.0

    def note(self, date: str) -> None:
        """A reply had this `Date`."""
        if not date or date == self._newest:
            return
        self._newest, seen = date, self._monotonic()
        with suppress(ValueError, TypeError):
            ahead = parsedate_to_datetime(date).timestamp() - seen
            if self._ahead is None or ahead > self._ahead - DRIFT * (seen - self._noted):
                self._ahead, self._noted = ahead, seen

    def now(self) -> datetime:
        """The time there; this machine's own before the first reply."""
        if self._ahead is None:
            return datetime.fromtimestamp(self._wall(), UTC)
        return datetime.fromtimestamp(self._monotonic() + self._ahead, UTC)
