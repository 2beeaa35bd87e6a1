"""Removes the events of turns that ended long ago. Whoever writes the first event of a turn writes first, by the time
of the turn's start, the row by which the purge finds them: so no events are stored that nothing leads to. A session
that is not listed goes with the events of its newest turn."""

from collections.abc import Sequence
from datetime import datetime

from chat.conversation import Turn
from chat.events import TERMINAL_NUMBER, NumberedEvent
from chat.messages import split_message_id
from chat.store.tables.table_client import Row, Table, key_range
from chat.store.tables.table_deletion import Deletions
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_keys import events_range, turn_key
from chat.store.tables.table_rows import turn_from_row


class EventPurge:
    """The events of all turns, by age."""

    def __init__(self, sessions: Table, due: DueRows, deletions: Deletions) -> None:
        self._sessions = sessions
        self._due = due
        self._deletions = deletions

    async def note(self, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        """Before these events of a turn are stored. Safe to repeat."""
        # An end that stands alone may be all that there is of its turn.
        if events and events[0].number in (1, TERMINAL_NUMBER):
            await self._due.note("due-events", turn.started_at, turn.id, turn_id=turn.id)

    async def purge(self, ended_before: datetime) -> int:
        """Remove the events of turns that ended before then. How many turns are done with. Rows tell when a turn began:
        one that is met too early is looked at again the next time."""

        async def purge_turn(row: Row) -> bool:
            place = split_message_id(row.values["turn_id"])
            if place is None:
                return True
            session_id, seq = place
            found = await self._sessions.get(session_id, turn_key(seq))
            turn = turn_from_row(found.values, found.etag) if found else None
            if turn and (turn.ended_at is None or turn.ended_at >= ended_before):
                return False
            await self._sessions.delete_all(key_range(*events_range(session_id, seq)))
            if turn and not turn.listed:
                await self._deletions.delete_unlisted(turn)
            return True

        return await self._due.work_off("due-events", ended_before, purge_turn)
