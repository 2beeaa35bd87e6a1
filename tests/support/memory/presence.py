"""Tickets, sockets and people of sessions, in memory."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime

from chat.store.presence_store import Connection, Counted, Person, Presence, Ticket
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows


class MemoryPresence(MemoryPort):
    """A `PresenceStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._tickets: dict[str, Ticket] = {}
        self._connections: dict[str, Connection] = {}
        self._people: dict[tuple[str, str], Person] = {}
        self._ends: dict[str, tuple[Connection, datetime]] = {}  # of sockets
        self._counted: tuple[int, float] | None = None  # sockets, and when that was noted
        self.rows_read = 0  # of sockets and of people in sessions

    @port
    async def issue(self, ticket: Ticket) -> None:
        self._tickets[ticket.id] = ticket

    @port
    async def take(self, session_id: str, ticket_id: str) -> Ticket | None:
        ticket = self._tickets.get(ticket_id)
        return ticket if ticket and ticket.session_id == session_id else None

    @port
    async def note_end(self, connection: Connection, ends: datetime) -> None:
        self._ends[connection.id] = connection, ends

    @port
    async def forget_end(self, connection: Connection, ends: datetime) -> None:
        self._ends.pop(connection.id, None)

    @port
    async def work_off_ends(self, before: datetime, close: Callable[[Connection], Awaitable[bool]]) -> int:
        due = [each for each, ends in self._ends.values() if ends < before]
        done = [each for each in due if await close(each)]
        for each in done:
            self._ends.pop(each.id, None)
        return len(done)

    @port
    async def enter(self, connection: Connection) -> None:
        self._connections[connection.id] = connection

    @port
    async def find(self, session_id: str, connection_id: str) -> Connection | None:
        return self._connections.get(connection_id)

    @port
    async def note(
        self,
        session_id: str,
        connection_id: str,
        *,
        seen: datetime | None = None,
        joined: bool | None = None,
        knows: str | None = None,
    ) -> None:
        stored = self._connections.get(connection_id)
        if stored is not None:
            self._connections[connection_id] = replace(
                stored,
                seen=stored.seen if seen is None else seen,
                joined=stored.joined if joined is None else joined,
                knows=stored.knows if knows is None else knows,
            )

    @port
    async def learn(self, session_id: str, connection_id: str, turn_id: str) -> bool:
        stored = self._connections.get(connection_id)
        if stored is None or stored.knows >= turn_id:
            return False
        self._connections[connection_id] = replace(stored, knows=turn_id)
        return True

    @port
    async def leave(self, connection: Connection) -> None:
        self._connections.pop(connection.id, None)

    @port
    async def change_person(
        self, session_id: str, user_id: str, change: Callable[[Person], Person]
    ) -> tuple[Person, Person]:
        before = self._people.get((session_id, user_id), Person())
        after = self._people[session_id, user_id] = change(before)
        return before, after

    @port
    async def connections(self, session_id: str) -> tuple[Connection, ...]:
        return self._live(session_id)

    @port
    async def present(self, session_id: str) -> Presence:
        people = {user: each for (of, user), each in self._people.items() if of == session_id}
        self.rows_read += len(people)
        return Presence(
            self._live(session_id), {user: each.seen for user, each in people.items() if each.seen}
        )

    @port
    async def forget_tickets(self, session_id: str, *, expired_before: datetime) -> None:
        old = [each.id for each in self._tickets.values() if each.expires < expired_before]
        for each in old:
            if self._tickets[each].session_id == session_id:
                del self._tickets[each]

    @port
    async def purge_tickets(self, *, expired_before: datetime) -> int:
        old = [each.id for each in self._tickets.values() if each.expires < expired_before]
        for each in old:
            del self._tickets[each]
        return len(old)

    @port
    async def note_count(self, sockets: int) -> None:
        self._counted = sockets, self.clock.monotonic()

    @port
    async def counted(self) -> Counted | None:
        if self._counted is None:
            return None
        sockets, when = self._counted
        return Counted(sockets, self.clock.monotonic() - when)

    def forget_session(self, session_id: str) -> None:
        gone = [each.id for each in self._connections.values() if each.session_id == session_id]
        for each in gone:
            del self._connections[each]
        super().forget_session(session_id)

    def _live(self, session_id: str) -> tuple[Connection, ...]:
        found = tuple(each for each in self._connections.values() if each.session_id == session_id)
        self.rows_read += len(found)
        return found
