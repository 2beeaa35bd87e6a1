"""Turns that another process makes, or made: their events come from the store.

All followers of one such turn in this process share one poller.
"""

import asyncio

from chat.conversation import Turn
from chat.errors import EventsGone, NotFound, ShuttingDown, StoreError
from chat.telemetry import record_error
from chat.turns.feed import EventFeed
from chat.turns.lease import BEAT, LEASE, LeaseObserver
from chat.turns.poll import TurnPoller
from chat.turns.ports import TurnPorts
from chat.turns.sweep import TurnSweeper
from chat.turns.tasks import TaskSet


class RemoteTurns:
    """The turns that this process follows but does not make."""

    def __init__(self, ports: TurnPorts, *, observer: LeaseObserver, sweeper: TurnSweeper) -> None:
        self._ports, self._observer, self._sweeper = ports, observer, sweeper
        self._polled: dict[str, tuple[TurnPoller, EventFeed]] = {}
        self._suspected: set[str] = set()
        self._tasks = TaskSet()
        self._closed = False

    async def feed(self, turn: Turn) -> EventFeed:
        """The events of a turn that runs elsewhere or has ended. EventsGone when they were purged."""
        if turn.running:
            feed = EventFeed()
            if turn.id not in self._polled:
                self.adopt(turn, feed)
            if turn.id in self._polled:
                poller, feed = self._polled[turn.id]
                poller.want()
                await poller.first_look()  # else who asks for what is there would be told that nothing is
            return feed
        events = await self._ports.turns.read_events(turn)
        if not events or events[0].number != 1:
            raise EventsGone(details=turn.ids)
        return EventFeed(events)

    def adopt(self, turn: Turn, feed: EventFeed) -> EventFeed:
        """Fill a feed from the store from now on."""
        if self._closed:
            feed.fail(ShuttingDown())
            return feed
        poller = TurnPoller(turn, feed, self._ports, observer=self._observer, sweeper=self._sweeper)
        self._polled[turn.id] = (poller, feed)
        self._tasks.spawn(self._fill(turn, poller, feed))
        return feed

    async def is_dead(self, turn: Turn) -> bool:
        """End the turn if its instance is known to be dead by now."""
        dead = await self._observer.expired(turn.instance_id)
        return dead and await self._sweeper.interrupt(turn)

    def suspect(self, turn: Turn) -> None:
        """Look whether the instance that makes this turn still lives, and end the turn if it does not."""
        if turn.id not in self._suspected and not self._closed:
            self._suspected.add(turn.id)
            self._tasks.spawn(self._check(turn))

    async def close(self) -> None:
        """Stop polling, and tell those who follow."""
        self._closed = True
        await self._tasks.close()

    async def _fill(self, turn: Turn, poller: TurnPoller, feed: EventFeed) -> None:
        """However the poller ends, nobody is left waiting for a feed that nobody fills."""
        try:
            await poller.run()
        except (NotFound, StoreError) as error:
            feed.fail(error)
        except asyncio.CancelledError:
            feed.fail(ShuttingDown())
            raise
        except Exception as error:
            record_error("poll_failed", error, turn_id=turn.id)
            feed.fail(StoreError())
        finally:
            if self._polled.get(turn.id) == (poller, feed):
                del self._polled[turn.id]

    async def _check(self, turn: Turn) -> None:
        """Watch the lease for long enough to see it expire."""
        try:
            deadline = self._ports.clock.monotonic() + LEASE + 3 * BEAT
            while self._ports.clock.monotonic() < deadline:
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
