"""The events of one turn in this process's memory, and everyone who follows them here.

Filled by the runner when the turn is made here, by a poller of the store when it is made elsewhere. Followers never
touch the producer: one that leaves, or reads slowly, changes nothing for anyone.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass

from chat.conversation import Turn
from chat.errors import ChatError
from chat.events import (
    TERMINAL_NUMBER,
    NumberedEvent,
    StageFinished,
    StageItem,
    TextDelta,
    ToolCallStarted,
    ToolOutput,
    TurnEvent,
    TurnFailed,
)
from chat.quotas import Standing
from chat.turns.event_pages import EventPages

SAYS_SOMETHING: frozenset[type[TurnEvent]] = frozenset(
    {TextDelta, ToolCallStarted, ToolOutput, StageItem, StageFinished}
)
"""Events that every caller was waiting for. Until one came, a failure can still be an HTTP status."""


class EventFeed:
    """A growing list of events, numbered from 1 without a hole, which ends with the terminal one.

    The numbers are not kept: an event's place is its number (docs/decisions/0007).
    """

    def __init__(self, events: Iterable[NumberedEvent] = ()) -> None:
        self.followers = 0
        self._events = EventPages()
        self._ended = False
        self._spoken = False
        self._waiters: list[asyncio.Future[None]] = []
        self._listener: Callable[[], None] | None = None
        self._error: ChatError | None = None
        self.publish(events)

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def spoken(self) -> bool:
        """Whether something was said that a caller waits for."""
        return self._spoken

    @property
    def last_number(self) -> int:
        """The number of the newest event; 0 before the first."""
        return TERMINAL_NUMBER if self._ended else len(self._events)

    @property
    def events(self) -> list[NumberedEvent]:
        """All of them."""
        return self.since(0)

    def since(self, number: int) -> list[NumberedEvent]:
        """The events that follow the one with that number; [] when there are none yet."""
        found = [
            NumberedEvent(place, event) for place, event in enumerate(self._events.since(number), number + 1)
        ]
        if self._ended and number < TERMINAL_NUMBER:
            found[-1:] = [NumberedEvent(TERMINAL_NUMBER, self._events.last)]
        return found

    def append(self, event: TurnEvent) -> None:
        """Add the next event and wake the followers."""
        self._add(event)
        self._wake()

    def publish(self, events: Iterable[NumberedEvent]) -> None:
        """Add events that have numbers. What is here already is passed over, since a batch whose reply got lost is
        stored again with the next one; what would leave a hole is not taken."""
        for number, event in events:
            if not self._ended and number in (len(self._events) + 1, TERMINAL_NUMBER):
                self._add(event)
                self._ended = number == TERMINAL_NUMBER
        self._wake()

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when there are new events."""
        self._listener = listener

    def fail(self, error: ChatError) -> None:
        """No more can be learned about this turn here: followers raise `error` once they read all there is."""
        self._error = error
        self._wake()

    async def follow(
        self, *, after: int = 0, idle: float | None = None, follower: "Follower | None" = None
    ) -> AsyncGenerator[Sequence[NumberedEvent]]:
        """Events with a number above `after`, in batches as they come, up to the terminal one.

        With `idle`, an empty batch for every so many seconds of silence. Ends at once when `after` is the terminal
        number. Raises what `fail` was given, or the `follower` when it was sent away.
        """
        self.followers += 1
        silence = _Silence(idle)
        follower = follower or Follower()
        follower.wake = self._wake
        try:
            while after < TERMINAL_NUMBER:
                if follower.error is not None:
                    raise follower.error
                if batch := self.since(after):
                    after = batch[-1].number
                    silence.heard()
                    yield batch
                elif self._error is not None:
                    raise self._error
                elif await silence.wait(self._next()):
                    yield ()
        finally:
            silence.close()
            self.followers -= 1

    async def opening(self, timeout: float) -> TurnFailed | None:
        """Wait until something was said, the turn ended, or `timeout` seconds went by. The failure, if the turn
        failed and nothing was said."""
        deadline = asyncio.get_running_loop().time() + timeout
        self.followers += 1
        try:
            while not (self._spoken or self.ended or self._error):
                left = deadline - asyncio.get_running_loop().time()
                if left <= 0:
                    return None
                await asyncio.wait([self._next()], timeout=left)
        finally:
            self.followers -= 1
        last = self._events.last if self._ended else None
        return last if isinstance(last, TurnFailed) and not self._spoken else None

    def _add(self, event: TurnEvent) -> None:
        self._events.append(event)
        self._spoken = self._spoken or _says_something(event)

    def _next(self) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        return future

    def _wake(self) -> None:
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for future in waiters:
                if not future.done():
                    future.set_result(None)
        if self._listener is not None:
            self._listener()


def _says_something(event: TurnEvent) -> bool:
    """A stage that ended without a result did not."""
    return type(event) in SAYS_SOMETHING and not (isinstance(event, StageFinished) and event.result is None)


@dataclass(frozen=True, slots=True)
class LiveTurn:
    """A turn and its events, as a caller gets hold of them."""

    turn: Turn
    feed: EventFeed
    alone: str = ""  # who owned its session when it began, where it is known that nobody else was in it
    standing: Standing | None = None  # how the limits of who started it stand, where there are any


@dataclass(eq=False, slots=True)
class Follower:
    """One who follows a feed, and can be sent away."""

    error: ChatError | None = None
    wake: Callable[[], None] = lambda: None

    def send_away(self, error: ChatError) -> None:
        """It is shown nothing more, and `follow` raises the error."""
        self.error = error
        self.wake()


class _Silence:
    """One timer a follower, set anew only when it rings: a timer for every event costs more than the event.

    Racing an async generator against a clock from outside would cancel it, hence the clock lives in here.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._waiting: asyncio.Future[None] | None = None
        self._silent = False
        self._timer = None if limit is None else self._loop.call_later(limit, self._ring)

    def heard(self) -> None:
        self._last = self._loop.time()

    async def wait(self, future: asyncio.Future[None]) -> bool:
        """Wait for the future; True when silence lasted for the limit instead."""
        self._waiting = future
        self._silent = False
        await future
        return self._silent

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        assert self._limit is not None
        left = self._last + self._limit - self._loop.time()
        if left <= 0.001:
            self._last = self._loop.time()
            left = self._limit
            if self._waiting is not None and not self._waiting.done():
                self._silent = True
                self._waiting.set_result(None)
        self._timer = self._loop.call_later(left, self._ring)
