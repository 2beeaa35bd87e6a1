"""Turns that are to end before their source does: cancelled, or deleted with their session."""

import asyncio
import contextlib

from chat.conversation import Turn
from chat.errors import TurnInProgress, TurnNotFound
from chat.turns.find import TurnFinder
from chat.turns.ports import TurnPorts
from chat.turns.roster import TurnRoster
from chat.turns.running import Stop

DELETING = 20.0  # seconds to wait for the turn of a session that is to be deleted: longer than a lease
STOPPING = 2.5  # seconds to wait for a turn to stop, before saying how it stands


class TurnStopper:
    """Stops turns, wherever they run."""

    def __init__(self, ports: TurnPorts, roster: TurnRoster, finder: TurnFinder) -> None:
        self._ports, self._roster, self._finder = ports, roster, finder

    async def cancel(self, user_id: str, turn_id: str) -> Turn:
        """As `TurnRunner.cancel`."""
        turns, clock = self._ports.turns, self._ports.clock
        run = self._roster.get(turn_id)
        if run is not None and run.turn.user_id == user_id:
            run.stop(Stop.CANCELLED)  # also while the store is away
        turn = await turns.get_turn(user_id, turn_id, need="editor")
        if run is not None:
            run.stop(Stop.CANCELLED)
        elif turn.running:
            await self._ports.instances.post_cancel(turn.instance_id, turn_id)
            self._finder.look_after(turn)
        deadline = clock.monotonic() + STOPPING
        while turn.running and clock.monotonic() < deadline:
            await asyncio.sleep(0.05)
            turn = await turns.get_turn(user_id, turn_id)
        return turn

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """As `TurnRunner.delete_session`."""
        clock = self._ports.clock
        deadline = clock.monotonic() + DELETING
        while True:
            try:
                return await self._ports.conversations.delete_session(user_id, session_id)
            except TurnInProgress as error:
                with contextlib.suppress(TurnNotFound):  # somebody else deleted it meanwhile
                    turn = await self.cancel(user_id, error.turn_id)
                    if turn.running and clock.monotonic() > deadline:
                        raise error from None
