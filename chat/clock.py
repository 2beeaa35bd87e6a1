"""Time and ids, behind two small objects so that tests can set both.

Times are aware UTC datetimes inside and ISO 8601 with `Z` and milliseconds outside. Ids are ULIDs
(https://github.com/ulid/spec, v1): 48 bits of milliseconds and 80 random bits in Crockford's base 32,
so that ids made later sort later.
"""

import os
import time
from datetime import UTC, datetime
from typing import Protocol

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The wall clock, UTC. For showing only: no lease or order hangs on it."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for measuring."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Ids(Protocol):
    """Where new ids come from."""

    def new(self) -> str:
        """An id of 26 characters that sorts after the ids made before."""
        ...


class UlidIds:
    """ULIDs from the given clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def new(self) -> str:
        milliseconds = int(self._clock.now().timestamp() * 1000)
        number = (milliseconds << 80) | int.from_bytes(os.urandom(10))
        return "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def iso(moment: datetime) -> str:
    """`2026-11-20T08:15:00.000Z`"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """The reverse of `iso`."""
    return datetime.fromisoformat(text)
