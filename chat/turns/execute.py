"""Turns of this process on their way from the batch that stored them to the batch that ends them."""

import asyncio

from chat.conversation import Turn
from chat.errors import Interrupted, ShuttingDown
from chat.requests import TurnRequest
from chat.telemetry import record, record_error
from chat.turns.allowance import Allowance
from chat.turns.base import TurnWatcher
from chat.turns.feed import LiveTurn
from chat.turns.follow import RemoteTurns
from chat.turns.lease import LeaseKeeper
from chat.turns.orphans import Orphans
from chat.turns.ports import TurnLimits, TurnPorts
from chat.turns.production import NewTurn
from chat.turns.roster import TurnRoster
from chat.turns.running import RunningTurn
from chat.turns.tasks import TaskSet


class TurnExecutor:
    """Runs each turn in a task of its own, and tells those who have to know."""

    def __init__(
        self,
        ports: TurnPorts,
        *,
        limits: TurnLimits,
        roster: TurnRoster,
        lease: LeaseKeeper,
        orphans: Orphans,
        remote: RemoteTurns,
        watcher: TurnWatcher,
        tasks: TaskSet,
    ) -> None:
        self._ports, self._limits = ports, limits
        self._roster, self._lease, self._orphans, self._remote = roster, lease, orphans, remote
        self._watcher, self._tasks = watcher, tasks

    def execute(self, new: NewTurn, request: TurnRequest, began: float) -> LiveTurn:
        """Have it run. `began` is when the caller asked, monotonic."""
        run = RunningTurn(
            new, self._ports, began=began, limits=self._limits, lease=self._lease, roster=self._roster
        )
        self._roster.add(run)
        self._tasks.spawn(self._run(run, new.allowance))
        stored = new.stored
        is_new, asked = not request.session_id, not request.message_id
        if is_new:
            self._ports.records.session_created(stored.session)
        self._ports.records.turn_started(stored, new.messages)
        self._watcher.started(stored, run.feed, new=is_new, asked=asked, pace=run.pace)
        session = stored.session
        alone = not session.members and not session.invited
        return LiveTurn(run.turn, run.feed, alone=session.user_id if alone else "")

    async def _run(self, run: RunningTurn, allowance: Allowance) -> None:
        """Run a turn to its end. What goes wrong here is a bug, and nobody must wait for ever because of it."""
        self._lease.note()
        used: int | None = None
        try:
            turn = await run.run()
            used = turn.usage.total_tokens if turn.usage else None
        except asyncio.CancelledError:
            run.feed.fail(ShuttingDown())
            raise
        except Exception as error:
            record_error("turn_lost", error, turn_id=run.turn.id)
            run.feed.fail(Interrupted())
            self._orphans.heal(run.turn.id)
            return
        finally:
            allowance.settle(used)
            self._roster.remove(run)
            self._watcher.ended(run.turn, lost=run.lost)
        if run.lost:
            self._remote.adopt(turn, run.feed)
        else:
            _record_end(turn)
            self._roster.freed(turn.session_id)


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
