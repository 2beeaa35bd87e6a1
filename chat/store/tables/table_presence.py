"""The sockets of sessions on the table `sessions`: the port `PresenceStore`.

Rows of a session's partition: `c-{connection}`, `u-{user}` (when one was last seen), `w-{ticket}`. On the table
`instances`, how many sockets there are in all sessions.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from weakref import WeakValueDictionary

from chat.credentials import Credential, scopes_of, scopes_text
from chat.errors import StoreConflict
from chat.store.presence_store import Connection, Counted, Person, Presence, Ticket
from chat.store.tables.table_client import Row, Table, key_range, pauses, together
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_keys import connection_key, escaped, is_id, ticket_key, user_key
from chat.store.tables.table_properties import Entity, json_chunked, json_object, moment

COUNTS, SOCKETS = "counts", "sockets"
TRIES = 40  # changes of one user's row that may meet another process


class TablePresence:
    """Presence on tables."""

    def __init__(self, sessions: Table, instances: Table, due: DueRows) -> None:
        self._sessions = sessions
        self._instances = instances
        self._due = due
        # Who changes the same row in this process waits in line, instead of trying again and again.
        self._locks = WeakValueDictionary[tuple[str, str], asyncio.Lock]()

    async def issue(self, ticket: Ticket) -> None:
        fields = {"session_id": ticket.session_id, "ticket_id": ticket.id}
        await self._due.note("due-tickets", ticket.expires, escaped(ticket.id), **fields)
        await self._sessions.upsert(
            _keys(ticket.session_id, ticket_key(ticket.id))
            | {"user_id": ticket.user_id, "dialect": ticket.dialect, "expires": ticket.expires}
            | _credential_entity(ticket.credential)
        )

    async def take(self, session_id: str, ticket_id: str) -> Ticket | None:
        row = await self._sessions.get(session_id, ticket_key(ticket_id)) if is_id(session_id) else None
        if row is None:
            return None
        values = row.values
        expires = moment(values["expires"])
        return Ticket(ticket_id, session_id, values["user_id"], values["dialect"], expires, _credential(row))

    async def enter(self, connection: Connection) -> None:
        await self._sessions.upsert(
            _keys(connection.session_id, connection_key(connection.id))
            | {
                "connection_id": connection.id,
                "user_id": connection.user_id,
                "dialect": connection.dialect,
                "since": connection.since,
                "seen": connection.seen,
                "joined": connection.joined,
                "knows": connection.knows,
            }
        )

    async def find(self, session_id: str, connection_id: str) -> Connection | None:
        row = await self._sessions.get(session_id, connection_key(connection_id))
        return None if row is None else _connection(row)

    async def note(
        self,
        session_id: str,
        connection_id: str,
        *,
        seen: datetime | None = None,
        joined: bool | None = None,
        knows: str | None = None,
    ) -> None:
        news: Entity = {} if seen is None else {"seen": seen}
        news |= {} if joined is None else {"joined": joined}
        news |= {} if knows is None else {"knows": knows}
        with suppress(RowMissing):
            await self._sessions.merge(_keys(session_id, connection_key(connection_id)) | news)

    async def learn(self, session_id: str, connection_id: str, turn_id: str) -> bool:
        mine = secrets.token_hex(8)
        while (row := await self._sessions.get(session_id, connection_key(connection_id))) is not None:
            if row.values.get("knows", "") >= turn_id:
                return row.values.get("taught") == mine  # by an earlier try of ours
            with suppress(RowChanged, RowMissing):
                keys = _keys(session_id, connection_key(connection_id))
                await self._sessions.merge(keys | {"knows": turn_id, "taught": mine}, row.etag)
                return True
        return False

    async def leave(self, connection: Connection) -> None:
        await self._sessions.delete(connection.session_id, connection_key(connection.id))

    async def change_person(
        self, session_id: str, user_id: str, change: Callable[[Person], Person]
    ) -> tuple[Person, Person]:
        async with self._locks.setdefault((session_id, user_id), asyncio.Lock()):
            for pause in itertools.islice(pauses(), TRIES):
                with suppress(RowChanged, RowExists, RowMissing):
                    return await self._change(session_id, user_id, change)
                await asyncio.sleep(pause / 4)
        raise StoreConflict

    async def _change(
        self, session_id: str, user_id: str, change: Callable[[Person], Person]
    ) -> tuple[Person, Person]:
        key = user_key(user_id)
        row = await self._sessions.get(session_id, key)
        before = _person(row) if row is not None else Person()
        after = change(before)
        if after != before:
            entity = _keys(session_id, key) | {"user_id": user_id} | _person_entity(after)
            if row is None:
                await self._sessions.create(entity)
            else:
                await self._sessions.replace(entity, row.etag)
        return before, after

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

    async def note_end(self, connection: Connection, ends: datetime) -> None:
        await self._due.note(
            "due-sockets",
            ends,
            escaped(connection.id),
            connection_id=connection.id,
            session_id=connection.session_id,
            user_id=connection.user_id,
            dialect=connection.dialect,
        )

    async def forget_end(self, connection: Connection, ends: datetime) -> None:
        await self._due.drop("due-sockets", ends, escaped(connection.id))

    async def work_off_ends(self, before: datetime, close: Callable[[Connection], Awaitable[bool]]) -> int:
        async def close_due(due: Row) -> bool:
            names = ("connection_id", "session_id", "user_id", "dialect")
            return await close(Connection(*(due.values[name] for name in names), since=before, seen=before))

        return await self._due.work_off("due-sockets", before, close_due)

    async def note_count(self, sockets: int) -> None:
        await self._instances.upsert(_keys(COUNTS, SOCKETS) | {"count": sockets})

    async def counted(self) -> Counted | None:
        row = await self._instances.get(COUNTS, SOCKETS)
        return None if row is None else Counted(row.values["count"], row.age)


def _keys(partition: str, key: str) -> Entity:
    return {"PartitionKey": partition, "RowKey": key}


def _connection(row: Row) -> Connection:
    values = row.values
    return Connection(
        values["connection_id"],
        row.partition,
        values["user_id"],
        values["dialect"],
        moment(values["since"]),
        moment(values["seen"]),
        values.get("joined", True),
        values.get("knows", ""),
    )


def _credential_entity(credential: Credential) -> Entity:
    entity: Entity = {"scopes": scopes_text(credential.scopes), "key_id": credential.key_id}
    return entity | ({"ends": credential.expires} if credential.expires else {})


def _credential(row: Row) -> Credential:
    values = row.values
    ends = moment(values["ends"]) if "ends" in values else None
    return Credential(ends, scopes_of(values["scopes"]), values["key_id"])


def _person(row: Row) -> Person:
    values = row.values
    return Person(
        {each: bool(is_open) for each, is_open in json_object(values, "sockets").items()},
        moment(values["seen"]) if "seen" in values else None,
        moment(values["types_until"]) if "types_until" in values else None,
    )


def _person_entity(person: Person) -> Entity:
    entity: Entity = json_chunked("sockets", dict(person.sockets))
    if person.seen is not None:
        entity |= {"seen": person.seen}
    if person.types_until is not None:
        entity |= {"types_until": person.types_until}
    return entity
