"""The sockets of sessions on the table `sessions`: the port `PresenceStore`.

Rows of a session's partition: `c-{connection}`, `u-{user}` (when one was last seen), `w-{ticket}`.
"""

from datetime import datetime

from chat.store.presence_base import Connection, Presence, Ticket
from chat.store.table_client import Row, Table, key_range, together
from chat.store.table_due import DueRows
from chat.store.table_keys import connection_key, escaped, is_id, ticket_key, user_key
from chat.store.table_properties import Entity, moment


class TablePresence:
    """Presence on tables."""

    def __init__(self, sessions: Table, due: DueRows) -> None:
        self._sessions = sessions
        self._due = due

    async def issue(self, ticket: Ticket) -> None:
        fields = {"session_id": ticket.session_id, "ticket_id": ticket.id}
        await self._due.note("due-tickets", ticket.expires, escaped(ticket.id), **fields)
        await self._sessions.upsert(
            _keys(ticket.session_id, ticket_key(ticket.id))
            | {"user_id": ticket.user_id, "dialect": ticket.dialect, "expires": ticket.expires}
        )

    async def take(self, session_id: str, ticket_id: str) -> Ticket | None:
        row = await self._sessions.get(session_id, ticket_key(ticket_id)) if is_id(session_id) else None
        if row is None:
            return None
        values = row.values
        return Ticket(ticket_id, session_id, values["user_id"], values["dialect"], moment(values["expires"]))

    async def enter(self, connection: Connection) -> None:
        await self._sessions.upsert(
            _keys(connection.session_id, connection_key(connection.id))
            | {
                "connection_id": connection.id,
                "user_id": connection.user_id,
                "dialect": connection.dialect,
                "since": connection.since,
                "seen": connection.seen,
            }
        )

    async def leave(self, connection: Connection, seen: datetime) -> bool:
        keys = _keys(connection.session_id, user_key(connection.user_id))
        key = connection_key(connection.id)
        if await self._sessions.get(connection.session_id, key) is None:
            return False
        await self._sessions.delete(connection.session_id, key)
        await self._sessions.upsert(keys | {"user_id": connection.user_id, "seen": seen})
        return True

    async def connections(self, session_id: str) -> tuple[Connection, ...]:
        rows = await self._sessions.rows(key_range(session_id, "c-", "c."))
        return tuple(_connection(row) for row in rows)

    async def present(self, session_id: str) -> Presence:
        live, seen = await together(
            self.connections(session_id), self._sessions.rows(key_range(session_id, "u-", "u."))
        )
        last_seen = {
            row.values["user_id"]: moment(row.values["seen"]) for row in seen if "seen" in row.values
        }
        return Presence(live, last_seen)

    async def forget_tickets(self, session_id: str, *, expired_before: datetime) -> None:
        rows = await self._sessions.rows(key_range(session_id, "w-", "w."))
        for row in rows:
            if moment(row.values["expires"]) < expired_before:
                await self._sessions.delete(row.partition, row.key)

    async def purge_tickets(self, *, expired_before: datetime) -> int:
        async def remove(due: Row) -> bool:
            await self._sessions.delete(due.values["session_id"], ticket_key(due.values["ticket_id"]))
            return True

        return await self._due.work_off("due-tickets", expired_before, remove)


def _keys(session_id: str, key: str) -> Entity:
    return {"PartitionKey": session_id, "RowKey": key}


def _connection(row: Row) -> Connection:
    values = row.values
    return Connection(
        values["connection_id"],
        row.partition,
        values["user_id"],
        values["dialect"],
        moment(values["since"]),
        moment(values["seen"]),
    )
