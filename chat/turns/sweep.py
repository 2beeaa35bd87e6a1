"""Ends the turns of processes that died, and purges events that nobody will replay.

Called by a follower or a start that finds a dead turn, and by a timer for those that nobody looks at.
"""

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta

from chat.clock import iso
from chat.conversation import Turn
from chat.errors import ChatError, Interrupted, NotFound
from chat.events import TERMINAL_NUMBER, NumberedEvent, TurnFailed, TurnStarted
from chat.store.instance_store import InstanceLease
from chat.telemetry import record, record_error
from chat.turns.base import TurnWatcher
from chat.turns.ending import end_storably, failure, make_ending
from chat.turns.grammar import Grammar, IllegalEvent
from chat.turns.lease import BEAT, LEASE, LeaseObserver
from chat.turns.ports import TurnPorts
from chat.turns.roster import TurnRoster

UNUSED = timedelta(days=1)  # for which a repeated request finds the session that the first one was to make


class TurnSweeper:
    """What is left to do for the dead."""

    def __init__(
        self, ports: TurnPorts, *, observer: LeaseObserver, roster: TurnRoster, watcher: TurnWatcher
    ) -> None:
        self._conversations, self._turns, self._instances = ports.conversations, ports.turns, ports.instances
        self._clock = ports.clock
        self._observer, self._roster, self._watcher = observer, roster, watcher

    async def interrupt(self, turn: Turn) -> bool:
        """End a turn whose instance was found expired. False when the instance turned out to live."""
        if not await self._fence(turn.instance_id):
            return False
        await self.end(turn)
        return True

    async def end(self, turn: Turn, error: ChatError | None = None) -> None:
        """Write the end of a turn that nobody makes any more: interrupted, or failed by `error`."""
        try:
            events = await self._turns.read_events(turn)
            if events and events[-1].number == TERMINAL_NUMBER:
                return  # it had ended when it was taken for dead
            marked = replace(turn, ended_by=secrets.token_hex(8))
            placeholder = await self._conversations.load_message(turn.id)
            tail = _tail(turn, events, failure(error or Interrupted()))
            ending = make_ending(
                marked,
                placeholder,
                events=[*events, *tail],
                unflushed=tail,
                ended_at=self._clock.now(),
                response_time_ms=None,
            )
            ending, ended = await end_storably(self._turns, ending, placeholder)
        except NotFound:
            return  # deleted meanwhile
        if ended.ended_by != marked.ended_by:
            return  # somebody else wrote its end, and tells whoever has to know
        record("turn_abandoned", turn_id=turn.id, instance_id=turn.instance_id, state=ended.state)
        self._watcher.abandoned(ended)
        self._roster.freed(ended.session_id)

    async def sweep(self, *, events_ttl: timedelta) -> None:
        """One round: end the turns of dead instances, forget those instances, remove what is due."""
        await self._observer.dead()
        await asyncio.sleep(BEAT)
        for lease in await self._observer.dead():
            await self.bury(lease)
        await self._instances.forget_strays()
        now = self._clock.now()
        purged = await self._turns.purge_events(ended_before=now - events_ttl)
        if purged:
            record("events_purged", turns=purged)
        await self._conversations.tidy(before=now - UNUSED)

    async def bury(self, lease: InstanceLease) -> None:
        """End the turns of a dead instance and forget it. When something goes wrong the rest goes on, and the lease
        stays as the trail to what is left."""
        try:
            if not await self._fence(lease.instance_id):
                return
            ended = [await self._interrupt_by_id(turn_id) for turn_id in lease.turns]
            if all(ended):
                await self._instances.retire(lease.instance_id)
        except Exception as error:
            record_error("sweep_failed", error, instance_id=lease.instance_id)

    async def _interrupt_by_id(self, turn_id: str) -> bool:
        """Whether nothing is left to do for the turn."""
        try:
            turn = await self._turns.load_turn(turn_id)
            return not turn.running or await self.interrupt(turn)
        except NotFound:
            return True
        except Exception as error:
            record_error("interrupt_failed", error, turn_id=turn_id)
            return False

    async def _fence(self, instance_id: str) -> bool:
        """Make sure that the instance cannot write any more under its lease. False when it lives."""
        lease = await self._instances.read_lease(instance_id)
        if lease is None or lease.fenced:
            return True
        fenced = lease.age > LEASE and await self._instances.fence(lease)
        if fenced:
            self._watcher.died(instance_id)
        return fenced


def _grammar_after(events: list[NumberedEvent]) -> Grammar:
    """Where the events leave the turn; at its start again when they cannot be right, so that an end can follow."""
    grammar = Grammar()
    try:
        for _, event in events:
            grammar.accept(event)
    except IllegalEvent as error:
        record_error("events_out_of_order", error)
        return Grammar()
    return grammar


def _tail(turn: Turn, events: list[NumberedEvent], failed: TurnFailed) -> list[NumberedEvent]:
    """What has to follow the stored events of a dead turn: the end of what was open, and of the turn."""
    tail: list[NumberedEvent] = []
    grammar = _grammar_after(events)
    number = events[-1].number if events else 0
    if not events:
        started = TurnStarted(turn.id, turn.session_id, turn.user_message_id, iso(turn.started_at))
        tail.append(NumberedEvent(1, started))
        number = 1
    for event in grammar.closing_events():
        number += 1
        tail.append(NumberedEvent(number, event))
    tail.append(NumberedEvent(TERMINAL_NUMBER, failed))
    return tail
