"""Writes a running turn's events to the store, in the background, so that no reader waits for the table."""

import asyncio
from collections.abc import Callable, Sequence, Sized
from contextvars import Context

from chat.conversation import Turn
from chat.errors import ChatError, StoreError, StoreRefused, StoreUnavailable
from chat.events import NumberedEvent, ReasoningDelta, TextDelta, ToolCallDelta, ToolOutput
from chat.store.instance_store import LeaseLost
from chat.telemetry import record_error
from chat.turns.feed import EventFeed
from chat.turns.lease import LeaseKeeper
from chat.turns.ports import TurnPorts

SOON = 0.25  # seconds to the first flush, and between flushes while another instance follows
PERIOD = 1.0  # seconds between flushes otherwise: 250 ms for everyone costs three times the processor
FLUSHES = 150  # a second, in one process: with more turns than that, the period grows (docs/decisions/0008)
LONGEST = 4.0  # seconds between flushes, however many turns run
WATCHED = 20.0  # seconds for which a follower elsewhere counts without word from it
PATIENCE = 30.0  # seconds without a flush that landed after which the turn cannot go on
GRACE = 0.5  # seconds that the end of a turn waits for a flush in flight
MAX_UNFLUSHED = 1024 * 1024  # characters


class EventFlusher:
    """One flush of a turn in flight at a time; what a flush tried is tried again unchanged until it landed."""

    def __init__(
        self,
        turn: Turn,
        feed: EventFeed,
        ports: TurnPorts,
        *,
        lease: LeaseKeeper,
        roster: Sized,  # the turns that this process makes
        on_hopeless: Callable[[ChatError], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._turn, self._feed = turn, feed
        self._store, self._clock = ports.turns, ports.clock
        self._lease, self._roster = lease, roster
        self._on_hopeless, self._on_lost = on_hopeless, on_lost
        self._loop = asyncio.get_running_loop()
        self._flushed = 0  # events
        self._batch: Sequence[NumberedEvent] = ()
        self._giving_up: asyncio.TimerHandle | None = None  # set from a flush on until one landed
        self._watched_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def poke(self) -> None:
        """There are new events."""
        if self._timer is None and self._task is None and not self._closed:
            self._timer = self._loop.call_later(self._interval(), self._begin)

    def watch(self) -> None:
        """Somebody elsewhere follows the turn."""
        self._watched_until = self._clock.monotonic() + WATCHED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.poke()

    async def close(self) -> int:
        """Stop flushing. How many events are known to be stored."""
        self._closed = True
        self._recovered()
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=GRACE)
        if self._task is not None:
            self._task.cancel()  # its events come again with the end; if they land after it, the end counts
        return self._flushed

    def _interval(self) -> float:
        soon = self._flushed == 0 or self._giving_up is not None
        if soon or self._clock.monotonic() < self._watched_until:
            return SOON
        return min(max(PERIOD, len(self._roster) / FLUSHES), LONGEST)

    def _begin(self) -> None:
        self._timer = None
        self._task = self._loop.create_task(self._flush(), context=Context())

    async def _flush(self) -> None:
        if self._giving_up is None:
            self._giving_up = self._loop.call_later(PATIENCE, self._give_up, StoreUnavailable())
        self._batch = self._batch or self._feed.since(self._flushed)
        try:
            await self._lease.confirm(self._turn.instance_id)
            await self._store.append_events(self._turn, self._batch)
        except StoreRefused as error:  # it would be refused for ever
            self._give_up(error)
        except StoreError:
            self._failed()
        except LeaseLost:
            self._closed = True
            self._on_lost()
        except Exception as error:
            record_error("flush_failed", error, turn_id=self._turn.id)
            self._failed()
        else:
            self._flushed += len(self._batch)
            self._batch = ()
            self._recovered()
        self._task = None
        if not self._closed and self._feed.since(self._flushed):
            self.poke()

    def _failed(self) -> None:
        if not self._closed and self._unflushed_size() > MAX_UNFLUSHED:
            self._give_up(StoreUnavailable())

    def _give_up(self, error: ChatError) -> None:
        self._closed = True
        self._recovered()
        self._on_hopeless(error)

    def _recovered(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _unflushed_size(self) -> int:
        return sum(_size(each) for each in self._feed.since(self._flushed))


def _size(numbered: NumberedEvent) -> int:
    match numbered.event:
        case TextDelta(_, text) | ReasoningDelta(_, text) | ToolCallDelta(_, text):
            return len(text)
        case ToolOutput(_, _, output):
            return len(output)
        case _:
            return 0
