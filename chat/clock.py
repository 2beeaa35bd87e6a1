"""Time and ids, behind two small objects so that tests can set both.

Times are aware UTC datetimes inside and ISO 8601 with `Z` and milliseconds outside. Ids are ULIDs
(https://github.com/ulid/spec, v1): 48 bits of milliseconds and 80 random bits in Crockford's base 32,
so that ids made later sort later.
"""

import hashlib
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
        return _ulid(self._clock.now(), os.urandom(10))


def derived_id(moment: datetime, name: str) -> str:
    """The id that a name has which is unique and cannot be guessed: where an id of that time is made twice, it is the
    same one."""
    return _ulid(moment, hashlib.sha256(name.encode()).digest()[:10])


def _ulid(moment: datetime, random: bytes) -> str:
    number = (int(moment.timestamp() * 1000) << 80) | int.from_bytes(random)
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def iso(moment: datetime) -> str:
    """`2026-11-20T08:15:00.000Z`"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """The reverse of `iso`."""
    return datetime.fromisoformat(text)
