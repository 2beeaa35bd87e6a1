"""One turn while this process makes it: from the first event to the batch that ends it."""

import asyncio
import random
from collections.abc import Sequence, Sized
from enum import Enum, auto
from functools import partial

from chat.clock import iso
from chat.conversation import Turn
from chat.errors import ChatError, NotFound, StoreError, StoreUnavailable, TurnTimedOut
from chat.events import NumberedEvent, TerminalEvent, TurnCancelled, TurnFailed, TurnFinished, TurnStarted
from chat.store.instance_store import LeaseLost
from chat.store.turn_store import TurnEnding
from chat.telemetry import record, record_error
from chat.turns.ending import end_storably, failure, make_ending
from chat.turns.feed import EventFeed
from chat.turns.flush import PATIENCE, EventFlusher
from chat.turns.lease import LeaseKeeper
from chat.turns.log import TurnLog
from chat.turns.ports import TurnLimits, TurnPorts
from chat.turns.production import NewTurn


class Stop(Enum):
    """Why a turn is stopped, where no error says it."""

    CANCELLED = auto()
    LOST = auto()  # the lease is lost: the turn belongs to whoever ended it


class RunningTurn:
    """Runs `run` once. `lost` afterwards says that the store, not this process, knows how the turn ended."""

    def __init__(
        self,
        new: NewTurn,
        ports: TurnPorts,
        *,
        began: float,  # monotonic, when the caller asked
        limits: TurnLimits,
        lease: LeaseKeeper,
        roster: Sized,
    ) -> None:
        self.turn, self.lost, self.feed = new.stored.turn, False, EventFeed()
        self._placeholder, self._production = new.stored.assistant_message, new.production
        self._store, self._clock = ports.turns, ports.clock
        self._began, self._limits, self._lease = began, limits, lease
        self._log = TurnLog(self.feed, window=limits.window)
        self._stop: asyncio.Future[Stop | ChatError] = asyncio.get_running_loop().create_future()
        self._flusher = EventFlusher(
            self.turn,
            self.feed,
            ports,
            lease=lease,
            roster=roster,
            on_hopeless=self.stop,
            on_lost=partial(self.stop, Stop.LOST),
        )
        self.feed.listen(self._flusher.poke)

    def stop(self, reason: Stop | ChatError) -> None:
        """Have the turn end now. The first reason counts."""
        if not self._stop.done():
            self._stop.set_result(reason)

    def watch(self) -> None:
        """Somebody follows the turn on another instance."""
        self._flusher.watch()

    def pace(self, window: float) -> None:
        """Merge deltas for so many seconds at least: whom the turn is shown to cannot follow faster."""
        self._log.window = max(window, self._limits.window)

    async def run(self) -> Turn:
        """Make the turn and write its end. The turn as it ended, or as it was when it got lost."""
        turn = self.turn
        self._log.append(TurnStarted(turn.id, turn.session_id, turn.user_message_id, iso(turn.started_at)))
        self._production.deliver_to(self._log)
        await asyncio.wait(
            [self._production.task, self._stop],
            timeout=self._limits.duration,
            return_when=asyncio.FIRST_COMPLETED,
        )
        reason = await self._halt()
        if reason is Stop.LOST:
            return await self._drop()
        return await self._end(_terminal(reason))

    async def _halt(self) -> Stop | BaseException | None:
        """Stop the source if it still runs. Why the turn ends: None for a natural end."""
        task = self._production.task
        if task.done() and not self._stop.done():
            return asyncio.CancelledError() if task.cancelled() else task.exception()
        await self._production.stop()
        return self._stop.result() if self._stop.done() else TurnTimedOut()

    async def _drop(self) -> Turn:
        self.lost = True
        await self._flusher.close()
        return self.turn

    async def _end(self, terminal: TerminalEvent) -> Turn:
        self._log.close_open_parts("cancelled" if isinstance(terminal, TurnCancelled) else "error")
        last = self._log.terminal(terminal)
        events = [*self.feed.events, last]
        if isinstance(terminal, TurnFailed) and terminal.code == StoreUnavailable.code:
            self.feed.publish([last])  # nobody is made to wait for a store that is away
        telling = asyncio.get_running_loop().call_later(PATIENCE, self._tell_that_it_cannot_be_stored, last)
        try:
            elapsed = self._clock.monotonic() - self._began
            flushed = await self._flusher.close()
            return await self._store_ending(self._ending(events, events[flushed:], round(elapsed * 1000)))
        finally:
            telling.cancel()

    def _tell_that_it_cannot_be_stored(self, last: NumberedEvent) -> None:
        """The answer is there, and its readers have waited for the store long enough."""
        self.feed.publish([last._replace(event=failure(StoreUnavailable()))])

    def _ending(
        self,
        events: Sequence[NumberedEvent],
        unflushed: Sequence[NumberedEvent],
        response_time_ms: int | None,
    ) -> TurnEnding:
        return make_ending(
            self.turn,
            self._placeholder,
            events=events,
            unflushed=unflushed,
            ended_at=self._clock.now(),
            response_time_ms=response_time_ms,
        )

    async def _store_ending(self, ending: TurnEnding) -> Turn:
        """Write the end, for as long as it takes: a turn that is not ended would block its session."""
        attempt = 0
        while True:
            try:
                await self._lease.confirm(self.turn.instance_id)
                ending, ended = await end_storably(self._store, ending, self._placeholder)
            except LeaseLost:
                return await self._drop()
            except NotFound:
                ended = ending.ended  # the session was deleted meanwhile
            except StoreError as error:
                ending = self._as_told(ending)
                attempt += 1
                record("end_turn_failed", turn_id=self.turn.id, code=error.code, attempt=attempt)
                await asyncio.sleep(random.uniform(0.1, min(5.0, 0.2 * 2 ** min(attempt, 6))))
                continue
            if (ended.state, ended.error) != (ending.ended.state, ending.ended.error):
                return await self._drop()
            self.feed.publish(ending.events[-1:])
            return ended

    def _as_told(self, ending: TurnEnding) -> TurnEnding:
        """The end that the readers were told meanwhile, where it is another: that one is to be stored."""
        if not self.feed.ended or self.feed.events[-1] == ending.events[-1]:
            return ending
        unflushed = [*ending.events[:-1], self.feed.events[-1]]
        return self._ending(self.feed.events, unflushed, ending.message.response_time_ms)


def _terminal(reason: Stop | BaseException | None) -> TerminalEvent:
    if reason is None:
        return TurnFinished()
    if isinstance(reason, Stop):
        return TurnCancelled()
    if not isinstance(reason, ChatError):
        record_error("turn_crashed", reason)
    return failure(reason)
