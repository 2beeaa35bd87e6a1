"""How a turn stands and what it said, wherever it is made: here, by another process, or long ago."""

from dataclasses import replace

from chat.conversation import Turn
from chat.errors import NotFound, StoreError
from chat.events import NumberedEvent
from chat.turns.feed import LiveTurn
from chat.turns.follow import RemoteTurns
from chat.turns.lease import LeaseKeeper
from chat.turns.orphans import Orphans
from chat.turns.ports import TurnPorts
from chat.turns.roster import TurnRoster
from chat.turns.transcript import transcribe


class TurnFinder:
    """Finds turns, and has somebody look after those whose maker may be dead."""

    def __init__(
        self,
        ports: TurnPorts,
        *,
        roster: TurnRoster,
        lease: LeaseKeeper,
        orphans: Orphans,
        remote: RemoteTurns,
    ) -> None:
        self._turns, self._conversations = ports.turns, ports.conversations
        self._roster, self._lease, self._orphans, self._remote = roster, lease, orphans, remote

    async def open(self, user_id: str, turn_id: str) -> LiveTurn:
        """As `TurnRunner.open`."""
        return await self.live(await self._turns.get_turn(user_id, turn_id))

    async def open_linked(self, turn_id: str) -> LiveTurn:
        """As `TurnRunner.open_linked`."""
        turn = await self._turns.load_turn(turn_id)
        await self._conversations.load_session(turn.session_id)
        return await self.live(turn)

    async def live(self, turn: Turn) -> LiveTurn:
        """The turn with its events. EventsGone."""
        run = self._roster.get(turn.id)
        return LiveTurn(turn, run.feed if run is not None else await self._remote.feed(turn))

    async def look(self, user_id: str, turn_id: str) -> Turn:
        """As `TurnRunner.look`."""
        turn = await self._turns.get_turn(user_id, turn_id)
        run = self._roster.get(turn_id)
        if run is not None:
            return replace(turn, last_event=run.feed.last_number)
        if turn.running:
            self.look_after(turn)
        return turn

    async def so_far(self, user_id: str, turn_id: str) -> tuple[Turn, list[NumberedEvent]]:
        """As `TurnRunner.so_far`."""
        turn = await self.look(user_id, turn_id)
        run = self._roster.get(turn_id)
        return turn, run.feed.events if run is not None else await self._turns.read_events(turn)

    async def text_so_far(self, user_id: str, turn_id: str) -> str:
        """As `TurnRunner.text_so_far`."""
        _, events = await self.so_far(user_id, turn_id)
        return transcribe(events).text

    async def is_over(self, user_id: str, turn_id: str) -> bool:
        """Whether a turn that is in the way is there no more; else somebody looks after it."""
        try:
            turn = await self.look(user_id, turn_id)
            if not turn.running or turn_id in self._roster:
                return not turn.running
            return await self._remote.is_dead(turn)
        except (NotFound, StoreError):
            return False

    def look_after(self, turn: Turn) -> None:
        """Make sure that somebody makes a turn that is not made here."""
        if turn.instance_id == self._lease.instance_id:
            self._orphans.heal(turn.id)
        else:
            self._remote.suspect(turn)
