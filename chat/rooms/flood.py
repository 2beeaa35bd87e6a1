"""Keeps one socket from taking the place of all others."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

BURST = 40.0  # events that may come at once
RATE = 10.0  # events a second, in the long run
ENDURED = 40.0  # events beyond that, each answered with an error, before the socket is closed
KEPT = 10_000  # sockets


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class FloodGuard:
    """A token bucket for each socket of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def forget(self, connection_id: str) -> None:
        """The socket is gone."""
        self._buckets.pop(connection_id, None)

    def take(self, connection_id: str) -> float:
        """How many events the socket may still send; below 0 it sent too many, and below -ENDURED far too many."""
        now = self._clock()
        bucket = self._buckets.setdefault(connection_id, _Bucket(BURST, now))
        bucket.left = min(BURST, bucket.left + (now - bucket.at) * RATE) - 1
        bucket.at = now
        self._buckets.move_to_end(connection_id)
        if len(self._buckets) > KEPT:
            self._buckets.popitem(last=False)
        return bucket.left
