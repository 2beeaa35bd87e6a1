"""The door to this folder: everything that others may do with turns. A turn belongs to its runner and to no socket."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta

from chat.conversation import Turn
from chat.errors import TurnInProgress
from chat.events import NumberedEvent
from chat.requests import TurnRequest
from chat.turns.allowance import FREE, Allowance
from chat.turns.base import NoWatcher, TurnSource, TurnWatcher
from chat.turns.create import TurnCreator
from chat.turns.execute import TurnExecutor
from chat.turns.feed import LiveTurn
from chat.turns.find import TurnFinder
from chat.turns.follow import RemoteTurns
from chat.turns.lease import LeaseKeeper, LeaseObserver
from chat.turns.mail import MailReader
from chat.turns.orphans import Orphans
from chat.turns.patrol import TurnPatrol
from chat.turns.ports import TurnLimits, TurnPorts
from chat.turns.production import NewTurn
from chat.turns.roster import TurnRoster
from chat.turns.stop import STOPPING, TurnStopper
from chat.turns.sweep import TurnSweeper
from chat.turns.tasks import TaskSet


class TurnRunner:
    """Starts, follows and stops turns, in this process and through the store in all others."""

    def __init__(
        self,
        ports: TurnPorts,
        sources: Mapping[str, TurnSource],  # by the name of the pipeline
        limits: TurnLimits,
        watcher: TurnWatcher | None = None,
    ) -> None:
        """Each part is made of those above it, and knows of none below."""
        watcher = watcher or NoWatcher()
        self._clock, self._tasks = ports.clock, TaskSet()
        tasks = self._tasks
        self._roster = roster = TurnRoster(watcher)
        self._lease = lease = LeaseKeeper(ports, roster)
        observer = LeaseObserver(ports.instances, ports.clock)
        self.sweeper = sweeper = TurnSweeper(ports, observer=observer, roster=roster, watcher=watcher)
        orphans = Orphans(ports, roster=roster, lease=lease, sweeper=sweeper, tasks=tasks)
        self._patrol = TurnPatrol(
            ports.clock, observer=observer, sweeper=sweeper, lease=lease, roster=roster, tasks=tasks
        )
        lease.deliver_to(MailReader(roster, orphans, watcher).read)
        self._remote = remote = RemoteTurns(ports, observer=observer, sweeper=sweeper)
        self._finder = finder = TurnFinder(ports, roster=roster, lease=lease, orphans=orphans, remote=remote)
        self._stopper = TurnStopper(ports, roster, finder)
        self._creator = TurnCreator(
            ports, sources, history=limits.history, roster=roster, lease=lease, sweeper=sweeper, tasks=tasks
        )
        self._executor = TurnExecutor(
            ports,
            limits=limits,
            roster=roster,
            lease=lease,
            orphans=orphans,
            remote=remote,
            watcher=watcher,
            tasks=tasks,
        )

    @property
    def running(self) -> int:
        """How many turns this process makes."""
        return len(self._roster)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have `listener` told of each session that is free for its next turn, since one ended that was made here or
        given up elsewhere; not while this process ends. It returns at once."""
        self._roster.listen(listener)

    async def start(self, request: TurnRequest, allowance: Allowance = FREE) -> LiveTurn:
        """Store the user's message and start the answer, within what its user's limits allow.

        Raises SessionNotFound, MessageNotFound, ValidationError, TurnInProgress, ShuttingDown, StoreUnavailable,
        StoreConflict, RateLimited, BudgetSpent. A failure of the model is an event of the turn. Goes on when
        the caller leaves.
        """
        return await asyncio.shield(self._tasks.spawn(self._start(request, allowance)))

    async def open(self, user_id: str, turn_id: str) -> LiveTurn:
        """A turn to follow: made here, elsewhere, or long ago. TurnNotFound, EventsGone."""
        return await self._finder.open(user_id, turn_id)

    async def open_linked(self, turn_id: str) -> LiveTurn:
        """The same for whoever has a link to it. NotFound when the session was deleted; EventsGone."""
        return await self._finder.open_linked(turn_id)

    async def look(self, user_id: str, turn_id: str) -> Turn:
        """How a turn stands. One whose maker may be dead is looked after. TurnNotFound."""
        return await self._finder.look(user_id, turn_id)

    async def so_far(self, user_id: str, turn_id: str) -> tuple[Turn, list[NumberedEvent]]:
        """A turn, and what is known of its events: all that were stored, or none any more. TurnNotFound."""
        return await self._finder.so_far(user_id, turn_id)

    async def text_so_far(self, user_id: str, turn_id: str) -> str:
        """What the assistant said in a turn that may still run. TurnNotFound."""
        return await self._finder.text_so_far(user_id, turn_id)

    async def cancel(self, user_id: str, turn_id: str) -> Turn:
        """Stop a turn, wherever it runs, and keep what was said. The turn as it stands then; one that ended
        before is left alone."""
        return await self._stopper.cancel(user_id, turn_id)

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """Stop what runs in a session, or wait for the lease it runs under, then remove it. SessionNotFound;
        TurnInProgress when its turn does not end."""
        await self._stopper.delete_session(user_id, session_id)

    def watch_others(self) -> None:
        """A socket is there, which follows no turn by itself: look for a while whether processes died, and end their
        turns. While turns are made here that is done anyway. Returns at once."""
        self._patrol.used()

    async def be_missed(self) -> str:
        """Have the watcher of another process hear that this one died, should it do so while its own watcher is
        `telling`. The id by which it hears. StoreUnavailable."""
        return await self._lease.ensure()

    async def sweep(self, *, events_ttl: timedelta) -> None:
        """Do what is left to do for processes that died, and remove what is old. StoreError."""
        await self.sweeper.sweep(events_ttl=events_ttl)

    async def drain(self) -> None:
        """Take no new turns and end those that run here as interrupted. For a shutdown."""
        self._roster.close()
        deadline = self._clock.monotonic() + STOPPING
        while self._roster.making and self._clock.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await self._remote.close()
        await self._lease.close(give_back=not (self._roster.making or self._roster.unsure))
        await self._tasks.close()

    async def _start(self, request: TurnRequest, allowance: Allowance) -> LiveTurn:
        began = self._clock.monotonic()
        with self._roster.starting():
            self._patrol.walk()
            new = await self._create(request, allowance)
        if isinstance(new, Turn):
            return await self._repeated(new, allowance)
        if new.stored.turn.id in self._roster:  # the same request, twice at the same moment
            await new.production.stop()
            return await self._repeated(new.stored.turn, allowance)
        return self._executor.execute(new, request, began)

    async def _repeated(self, turn: Turn, allowance: Allowance) -> LiveTurn:
        """The turn that the same request made before: it costs no second one."""
        allowance.release(repeated=True)
        return await self._finder.live(turn)

    async def _create(self, request: TurnRequest, allowance: Allowance) -> NewTurn | Turn:
        """A session whose turn is known to be dead is freed first."""
        try:
            return await self._creator.create(request, allowance)
        except TurnInProgress as error:
            if not await self._finder.is_over(request.user_id, error.turn_id):
                raise
        return await self._creator.create(request, allowance)
