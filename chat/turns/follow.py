"""Turns that another process makes, or made: their events come from the store.

All followers of one such turn in this process share one poller.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context

from chat.clock import Clock
from chat.errors import EventsGone, NotFound, StoreError
from chat.events import TERMINAL_NUMBER, NumberedEvent
from chat.messages import Turn
from chat.store.base import InstanceStore, TurnStore
from chat.telemetry import record_error
from chat.turns.feed import EventFeed
from chat.turns.lease import BEAT, LEASE, LeaseObserver
from chat.turns.sweep import TurnSweeper

POLL = 0.25  # seconds between two reads of a turn's events
MARK = 10.0  # seconds between two words to the runner that its turn is followed here
PATIENCE = 30.0  # seconds of store errors after which followers are told
LINGER = 5.0  # seconds a poller goes on without followers


class RemoteTurns:
    """The turns that this process follows but does not make."""

    def __init__(
        self,
        *,
        turns: TurnStore,
        instances: InstanceStore,
        observer: LeaseObserver,
        sweeper: TurnSweeper,
        clock: Clock,
    ) -> None:
        self._turns = turns
        self._instances = instances
        self._observer = observer
        self._sweeper = sweeper
        self._clock = clock
        self._feeds: dict[str, EventFeed] = {}
        self._suspected: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def feed(self, turn: Turn) -> EventFeed:
        """The events of a turn that runs elsewhere or has ended. EventsGone when they were purged."""
        if turn.running:
            return self._feeds.get(turn.id) or self.adopt(turn, EventFeed())
        events = await self._turns.read_events(turn)
        if not events or events[0].number != 1:
            raise EventsGone
        return EventFeed(events)

    def adopt(self, turn: Turn, feed: EventFeed) -> EventFeed:
        """Fill a feed from the store from now on."""
        self._feeds[turn.id] = feed
        self._spawn(self._fill(turn, feed))
        return feed

    def suspect(self, turn: Turn) -> None:
        """Look whether the instance that makes this turn still lives, and end the turn if it does not."""
        if turn.id not in self._suspected:
            self._suspected.add(turn.id)
            self._spawn(self._check(turn))

    async def close(self) -> None:
        """Stop polling."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(coroutine, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fill(self, turn: Turn, feed: EventFeed) -> None:
        try:
            await self._poll(turn, feed)
        except (NotFound, StoreError) as error:
            feed.fail(error)
        except Exception as error:
            record_error("poll_failed", error, turn_id=turn.id)
            feed.fail(StoreError())
        finally:
            if self._feeds.get(turn.id) is feed:
                del self._feeds[turn.id]

    async def _poll(self, turn: Turn, feed: EventFeed) -> None:
        marked = failing_since = None
        wanted = self._clock.monotonic()
        while not feed.ended:
            now = self._clock.monotonic()
            wanted = now if feed.followers else wanted
            if now - wanted > LINGER:
                return
            try:
                feed.publish(_contiguous(await self._turns.read_events(turn, after=feed.last_number), feed))
                if marked is None or now - marked >= MARK:
                    await self._instances.post_watch(turn.instance_id, turn.id)
                    marked = now
                if not feed.ended and await self._observer.expired(turn.instance_id):
                    await self._sweeper.interrupt(turn)
                failing_since = None
            except StoreError:
                failing_since = failing_since or now
                if self._clock.monotonic() - failing_since > PATIENCE:
                    raise
            if not feed.ended:
                await asyncio.sleep(POLL)

    async def _check(self, turn: Turn) -> None:
        """Watch the lease for long enough to see it expire."""
        try:
            deadline = self._clock.monotonic() + LEASE + 3 * BEAT
            while self._clock.monotonic() < deadline:
                if await self._observer.expired(turn.instance_id):
                    await self._sweeper.interrupt(turn)
                    return
                await asyncio.sleep(BEAT)
        except StoreError:
            return  # whoever asks next looks again
        except Exception as error:
            record_error("lease_check_failed", error, turn_id=turn.id)
        finally:
            self._suspected.discard(turn.id)


def _contiguous(events: list[NumberedEvent], feed: EventFeed) -> list[NumberedEvent]:
    """The events that follow the feed's last one without a hole; the terminal one follows anything."""
    expected = feed.last_number + 1
    ready: list[NumberedEvent] = []
    for numbered in events:
        if numbered.number == expected:
            expected += 1
        elif numbered.number != TERMINAL_NUMBER and numbered.number >= expected:
            break
        ready.append(numbered)
    return ready
