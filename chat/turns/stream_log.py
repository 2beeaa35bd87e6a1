"""A turn in one dialect as a list of JSON messages, each with its place: what Durable Streams reads.

Encoders begin with a turn's first event. So that readers who come with every few words do not have it encoded from
there each time, all that read the same feed share one log, as long as the feed lives.
"""

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import orjson

from chat.dialects.base import Dialect
from chat.turns.feed import LiveTurn

PAYLOADS = 10_000
"""An event has fewer. A place is `number * PAYLOADS + count`: behind so many payloads of that event, and all before."""

CHUNK = 256 * 1024  # bytes of messages after which a reader has to ask again
GATHER = (
    0.2  # seconds: who waits is shown what came when all others are, and goes on from one place with them
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What follows a place."""

    messages: list[bytes]
    to: int  # the place behind them
    up_to_date: bool  # nothing more is there
    closed: bool  # and nothing more comes

    @property
    def body(self) -> bytes:
        """A JSON array."""
        return b"[%s]" % b",".join(self.messages)


class StreamLog:
    """The messages of one turn in one dialect."""

    def __init__(self, live: LiveTurn, dialect: Dialect) -> None:
        self._encoder = dialect.encoder(live.turn)
        self._messages: list[bytes] = []
        self._ends: list[int] = []  # the place behind each
        self._closed = False
        self._moment = self._shown = 0  # in that moment of GATHER seconds so many are shown to who waits
        self.last = 0  # the number of the last event that was taken in

    @property
    def tail(self) -> int:
        """The place behind all."""
        return self._ends[-1] if self._ends else 0

    @property
    def closed(self) -> bool:
        return self._closed

    def take_in(self, live: LiveTurn) -> None:
        """What the feed has by now."""
        if self._closed:
            return
        for numbered in live.feed.since(self.last):
            payloads = [orjson.dumps(each) for each in self._encoder.encode(numbered)]
            place = numbered.number * PAYLOADS + 1
            self._messages += payloads
            self._ends += range(place, place + len(payloads))
            self.last = numbered.number
        self._closed = live.feed.ended

    def read(self, after: int, *, most: int | None = None) -> Chunk:
        """What follows a place, as far as it fits into one reply, of the first `most` messages."""
        end = len(self._messages) if most is None else most
        first = last = bisect_right(self._ends, after)
        size = 0
        while last < end and (size == 0 or size + len(self._messages[last]) <= CHUNK):
            size += len(self._messages[last])
            last += 1
        up_to_date = last == len(self._messages)
        to = self._ends[last - 1] if last > first else after
        return Chunk(self._messages[first:last], to, up_to_date, up_to_date and self._closed)

    def has_more(self, after: int, *, most: int | None = None) -> bool:
        """Whether there is something to tell who is at that place: messages, or the end."""
        end = len(self._messages) if most is None else most
        return self._closed or bisect_right(self._ends, after) < end

    def shown(self) -> int:
        """How many messages are shown to who waits, for the whole of this moment."""
        moment = _moment()
        if self._moment != moment or self._closed:
            self._moment, self._shown = moment, len(self._messages)
        return self._shown


class StreamLogs:
    """The logs of all turns that are read here."""

    def __init__(self) -> None:
        self._logs = WeakKeyDictionary[object, dict[str, StreamLog]]()  # by feeds

    def of(self, live: LiveTurn, dialect: Dialect) -> StreamLog:
        """That of the turn in the dialect, with all that its feed has."""
        logs = self._logs.setdefault(live.feed, {})
        log = logs.get(dialect.name)
        if log is None:
            log = logs[dialect.name] = StreamLog(live, dialect)
        log.take_in(live)
        return log


async def next_moment() -> None:
    """Until who waits is shown more."""
    began = _moment()
    while _moment() == began:
        left = (began + 1) * GATHER - asyncio.get_running_loop().time()
        await asyncio.sleep(max(left, 0.001))


def _moment() -> int:
    return int(asyncio.get_running_loop().time() / GATHER)
