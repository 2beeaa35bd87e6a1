"""Looks from time to time whether other processes died, so that sockets, which ask nobody, are told of it soon."""

import asyncio
import random

from chat.clock import Clock
from chat.errors import StoreError
from chat.telemetry import record_error
from chat.turns.lease import LeaseKeeper, LeaseObserver
from chat.turns.roster import TurnRoster
from chat.turns.sweep import TurnSweeper
from chat.turns.tasks import TaskSet

ROUND = 10.0  # seconds between two looks at all leases, or up to a third less; each is one query
USED = 600.0  # seconds after an event of a socket for which a process looks


class TurnPatrol:
    """Walks while this process makes turns or has to do with sockets, and else asks nothing. Of several that find the
    same process dead one ends its turns (`TurnSweeper.end`)."""

    def __init__(
        self,
        clock: Clock,
        *,
        observer: LeaseObserver,
        sweeper: TurnSweeper,
        lease: LeaseKeeper,
        roster: TurnRoster,
        tasks: TaskSet,
    ) -> None:
        self._clock, self._observer, self._sweeper = clock, observer, sweeper
        self._lease, self._roster, self._tasks = lease, roster, tasks
        self._used_until = 0.0
        self._walk: asyncio.Task[None] | None = None
        self._tried: set[str] = set()  # the dead whose turns were looked at here

    def used(self) -> None:
        """A socket said something to this process: walk for USED seconds. Returns at once."""
        self._used_until = self._clock.monotonic() + USED
        self.walk()

    def walk(self) -> None:
        """As long as there is a reason. Returns at once."""
        if not self._roster.closed and (self._walk is None or self._walk.done()):
            self._walk = self._tasks.spawn(self._rounds())

    async def _rounds(self) -> None:
        while self._roster.making or self._clock.monotonic() < self._used_until:
            try:
                await self._look()
            except StoreError:
                pass  # the next look begins anew
            except Exception as error:
                record_error("patrol_failed", error)
            await asyncio.sleep(ROUND * random.uniform(2 / 3, 1))

    async def _look(self) -> None:
        """What cannot be ended is left to the timer: others look as well."""
        dead = [each for each in await self._observer.dead() if each.instance_id != self._lease.instance_id]
        tried, self._tried = self._tried, {each.instance_id for each in dead}
        for lease in dead:
            if lease.instance_id not in tried:
                await self._sweeper.bury(lease)
