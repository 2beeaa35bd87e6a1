"""Turns under this process's own lease that it does not make: they are just being started, or nobody makes them, and
the lease would keep them alive for ever."""

import asyncio

from chat.errors import NotFound
from chat.telemetry import record_error
from chat.turns.lease import LeaseKeeper
from chat.turns.ports import TurnPorts
from chat.turns.roster import TurnRoster
from chat.turns.running import Stop
from chat.turns.sweep import TurnSweeper
from chat.turns.tasks import TaskSet

HEALING = 20  # half seconds that a start may take before its turn counts as nobody's


class Orphans:
    """Looks after such turns until they run, or are ended."""

    def __init__(
        self,
        ports: TurnPorts,
        *,
        roster: TurnRoster,
        lease: LeaseKeeper,
        sweeper: TurnSweeper,
        tasks: TaskSet,
    ) -> None:
        self._turns = ports.turns
        self._roster, self._lease, self._sweeper, self._tasks = roster, lease, sweeper, tasks
        self._healing: set[str] = set()

    def heal(self, turn_id: str, *, cancelled: bool = False) -> None:
        """Somebody has to do with such a turn."""
        if turn_id not in self._healing:
            self._healing.add(turn_id)
            self._tasks.spawn(self._healed(turn_id, cancelled))

    async def _healed(self, turn_id: str, cancelled: bool) -> None:
        try:
            for _ in range(HEALING):
                await asyncio.sleep(0.5)
                run = self._roster.get(turn_id)
                if run is not None and cancelled:
                    run.stop(Stop.CANCELLED)
                if run is not None:
                    return
            while not await self._ended(turn_id):  # noqa: ASYNC110
                await asyncio.sleep(5)
        finally:
            self._healing.discard(turn_id)

    async def _ended(self, turn_id: str) -> bool:
        try:
            turn = await self._turns.load_turn(turn_id)
            ours = turn.instance_id == self._lease.instance_id
            if turn.running and ours and turn_id not in self._roster:
                await self._sweeper.end(turn)
        except NotFound:
            return True
        except Exception as error:
            record_error("orphan_not_ended", error, turn_id=turn_id)
            return False
        return True
