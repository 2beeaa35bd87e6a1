"""Runs turns and opens them to followers. A turn belongs to this runner and to no socket."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import replace

from chat.clock import Clock, Ids
from chat.conversation import Turn
from chat.errors import (
    Interrupted,
    NotFound,
    ShuttingDown,
    StoreError,
    StoreUnavailable,
    TurnInProgress,
    TurnNotFound,
)
from chat.requests import TurnRequest
from chat.store.conversation_store import ConversationStore, Waits
from chat.store.errand_store import ErrandStore
from chat.store.instance_store import InstanceStore, Mail
from chat.store.turn_store import TurnStore
from chat.telemetry import record, record_error
from chat.turns.base import NoWatcher, TurnSource, TurnWatcher
from chat.turns.feed import LiveTurn
from chat.turns.follow import RemoteTurns
from chat.turns.lease import LeaseKeeper, LeaseObserver
from chat.turns.orphans import Orphans
from chat.turns.records import Records
from chat.turns.running import RunningTurn, Stop
from chat.turns.start import NewTurn, TurnStarter
from chat.turns.sweep import TurnSweeper
from chat.turns.tasks import TaskSet
from chat.turns.transcript import transcribe
from chat.turns.waiting import OnBusy, WaitingMessages

DELETING = 20.0  # seconds to wait for the turn of a session that is to be deleted: longer than a lease
STOPPING = 2.5  # seconds to wait for a turn to stop, before saying how it stands


class TurnRunner:
    """Starts, follows and stops turns, in this process and through the store in all others."""

    def __init__(
        self,
        *,
        sources: Mapping[str, TurnSource],
        conversations: ConversationStore,
        turns: TurnStore,
        instances: InstanceStore,
        errands: ErrandStore,
        clock: Clock,
        ids: Ids,
        window: float,
        turn_limit: float,
        history: int,
        watcher: TurnWatcher | None = None,
        records: Records | None = None,
    ) -> None:
        self._records = records or Records()
        self.waiting = WaitingMessages(conversations, errands, self.start, self.cancel, clock)
        self._watcher = watcher or NoWatcher()
        self._conversations, self._turns, self._instances = conversations, turns, instances
        self._clock, self._window, self._turn_limit = clock, window, turn_limit
        self._running: dict[str, RunningTurn] = {}
        self._starting = 0
        self._draining = False
        self._tasks = TaskSet()
        self._lease = LeaseKeeper(
            instances,
            ids=ids,
            clock=clock,
            busy=lambda: bool(self._running or self._starting or self._watcher.telling),
            turns=lambda: (*self._running, *self._starter.unsure),
            on_mail=self._read_mail,
            on_lost=self._drop_turns,
        )
        observer = LeaseObserver(instances, clock)
        self.sweeper = TurnSweeper(
            conversations=conversations,
            turns=turns,
            instances=instances,
            observer=observer,
            clock=clock,
            on_ended=self._abandoned,
            on_death=self._watcher.died,
        )
        self._orphans = Orphans(self._running, turns, self.sweeper, lambda: self._lease, self._tasks)
        self._starter = TurnStarter(
            sources=sources,
            conversations=conversations,
            turns=turns,
            lease=self._lease,
            clock=clock,
            ids=ids,
            history=history,
            tasks=self._tasks,
            abandon=lambda turn: self.sweeper.end(turn, StoreUnavailable()),
        )
        self._remote = RemoteTurns(
            turns=turns, instances=instances, observer=observer, sweeper=self.sweeper, clock=clock
        )

    @property
    def running(self) -> int:
        """How many turns this process makes."""
        return len(self._running)

    async def start(self, request: TurnRequest) -> LiveTurn:
        """Store the user's message and start the answer.

        Raises SessionNotFound, MessageNotFound, ValidationError, TurnInProgress, ShuttingDown, StoreUnavailable,
        StoreConflict. A failure of the model is an event of the turn. Goes on when the caller leaves.
        """
        return await asyncio.shield(self._tasks.spawn(self._start(request)))

    async def ask(self, request: TurnRequest, on_busy: OnBusy) -> LiveTurn | Waits:
        """The same where another turn may run: the message that waits for its end, or else as `on_busy` says.
        Raises QueueFull, too."""
        return await self.waiting.ask(request, on_busy)

    async def open(self, user_id: str, turn_id: str) -> LiveTurn:
        """A turn to follow: made here, elsewhere, or long ago. TurnNotFound, EventsGone."""
        return await self._opened(await self._turns.get_turn(user_id, turn_id))

    async def look(self, user_id: str, turn_id: str) -> Turn:
        """How a turn stands. One whose maker may be dead is looked after. TurnNotFound."""
        turn = await self._turns.get_turn(user_id, turn_id)
        run = self._running.get(turn_id)
        if run is not None:
            return replace(turn, last_event=run.feed.last_number)
        if turn.running:
            self._look_after(turn)
        return turn

    async def text_so_far(self, user_id: str, turn_id: str) -> str:
        """What the assistant said in a turn that may still run. TurnNotFound."""
        turn = await self.look(user_id, turn_id)
        run = self._running.get(turn_id)
        events = run.feed.events if run is not None else await self._turns.read_events(turn)
        return transcribe(events).text

    async def cancel(self, user_id: str, turn_id: str) -> Turn:
        """Stop a turn, wherever it runs, and keep what was said. The turn as it stands then; one that ended
        before is left alone."""
        run = self._running.get(turn_id)
        if run is not None and run.turn.user_id == user_id:
            run.stop(Stop.CANCELLED)  # also while the store is away
        turn = await self._turns.get_turn(user_id, turn_id, need="editor")
        if run is not None:
            run.stop(Stop.CANCELLED)
        elif turn.running:
            await self._instances.post_cancel(turn.instance_id, turn_id)
            self._look_after(turn)
        deadline = self._clock.monotonic() + STOPPING
        while turn.running and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.05)
            turn = await self._turns.get_turn(user_id, turn_id)
        return turn

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """Stop what runs in a session, or wait for the lease it runs under, then remove it. SessionNotFound;
        TurnInProgress when its turn does not end."""
        deadline = self._clock.monotonic() + DELETING
        while True:
            try:
                return await self._conversations.delete_session(user_id, session_id)
            except TurnInProgress as error:
                with contextlib.suppress(TurnNotFound):  # somebody else deleted it meanwhile
                    turn = await self.cancel(user_id, error.turn_id)
                    if turn.running and self._clock.monotonic() > deadline:
                        raise error from None

    async def drain(self) -> None:
        """Take no new turns and end those that run here as interrupted. For a shutdown."""
        self._draining = True
        for run in self._running.values():
            run.stop(Interrupted())
        deadline = self._clock.monotonic() + STOPPING
        while (self._running or self._starting) and self._clock.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await self._remote.close()
        left = bool(self._running or self._starting or self._starter.unsure)
        await self._lease.close(give_back=not left)
        await self._tasks.close()

    async def _start(self, request: TurnRequest) -> LiveTurn:
        if self._draining:
            raise ShuttingDown
        began = self._clock.monotonic()
        self._starting += 1
        try:
            start = await self._started(request)
        finally:
            self._starting -= 1
        if isinstance(start, Turn):
            return await self._opened(start)
        if start.started.turn.id in self._running:  # the same request, twice at the same moment
            await start.production.stop()
            return await self._opened(start.started.turn)
        return self._run(request, start, began)

    async def _started(self, request: TurnRequest) -> NewTurn | Turn:
        """A session whose turn is known to be dead is freed first."""
        try:
            return await self._starter.start(request)
        except TurnInProgress as error:
            if not await self._is_over(request.user_id, error.turn_id):
                raise
        return await self._starter.start(request)

    async def _is_over(self, user_id: str, turn_id: str) -> bool:
        """Whether the turn that is in the way is there no more; else somebody looks after it."""
        try:
            turn = await self.look(user_id, turn_id)
            if not turn.running or turn_id in self._running:
                return not turn.running
            return await self._remote.is_dead(turn)
        except (NotFound, StoreError):
            return False

    def _run(self, request: TurnRequest, start: NewTurn, began: float) -> LiveTurn:
        turn = start.started.turn
        run = RunningTurn(
            start.started,
            start.production,
            began=began,
            store=self._turns,
            lease=self._lease,
            clock=self._clock,
            running=lambda: len(self._running),
            window=self._window,
            limit=self._turn_limit,
        )
        self._running[turn.id] = run
        self._tasks.spawn(self._finish(run))
        if not request.session_id:
            self._records.session_created(start.started.session)
        self._records.turn_started(start.started, start.messages)
        new, asked = not request.session_id, not request.message_id
        self._watcher.started(start.started, run.feed, new=new, asked=asked, pace=run.pace)
        if self._draining:
            run.stop(Interrupted())
        return LiveTurn(turn, run.feed, owner=start.started.session.user_id)

    async def _finish(self, run: RunningTurn) -> None:
        """Run a turn to its end. What goes wrong here is a bug, and nobody must wait for ever because of it."""
        self._lease.note()
        try:
            turn = await run.run()
        except asyncio.CancelledError:
            run.feed.fail(ShuttingDown())
            raise
        except Exception as error:
            record_error("turn_lost", error, turn_id=run.turn.id)
            run.feed.fail(Interrupted())
            self._orphans.heal(run.turn.id)
            return
        finally:
            del self._running[run.turn.id]
            self._watcher.ended(run.turn, lost=run.lost)
        if run.lost:
            self._remote.adopt(turn, run.feed)
        else:
            _record_end(turn)
            if not self._draining:  # else the timer finds what waits: it is noted
                await self.waiting.answer(turn.session_id)

    async def _opened(self, turn: Turn) -> LiveTurn:
        run = self._running.get(turn.id)
        return LiveTurn(turn, run.feed if run is not None else await self._remote.feed(turn))

    def _look_after(self, turn: Turn) -> None:
        """Make sure that somebody makes a turn that is not made here."""
        if turn.instance_id == self._lease.instance_id:
            self._orphans.heal(turn.id)
        else:
            self._remote.suspect(turn)

    def _abandoned(self, turn: Turn) -> None:
        self._watcher.abandoned(turn)
        if not self._draining:
            self._tasks.spawn(self.waiting.answer(turn.session_id))

    def _read_mail(self, mail: Mail) -> None:
        for turn_id in mail.cancels | mail.watches:
            self._read_about(turn_id, cancelled=turn_id in mail.cancels)
        for join in mail.joins:
            try:
                self._watcher.joined(join)
            except Exception as error:  # one bad piece costs that piece
                record_error("join_failed", error, turn_id=join.turn_id)

    def _read_about(self, turn_id: str, *, cancelled: bool) -> None:
        run = self._running.get(turn_id)
        if run is None:
            self._orphans.heal(turn_id, cancelled=cancelled)
        elif cancelled:
            run.stop(Stop.CANCELLED)
        else:
            run.watch()

    def _drop_turns(self, instance_id: str) -> None:
        for run in self._running.values():
            if run.turn.instance_id == instance_id:
                run.stop(Stop.LOST)


def _record_end(turn: Turn) -> None:
    elapsed = (turn.ended_at - turn.started_at).total_seconds() if turn.ended_at else None
    record(
        "turn_ended",
        turn_id=turn.id,
        state=turn.state,
        code=turn.error.code if turn.error else None,
        seconds=elapsed,
        tokens=turn.usage.total_tokens if turn.usage else None,
        attempts=len(turn.attempts),
    )
