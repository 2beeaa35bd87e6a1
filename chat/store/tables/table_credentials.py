"""API keys on the table `credentials`: the port `KeyStore`.

The partition is what the ids of a user's keys begin with, so that an id alone finds its row: `k-{id}`. The row `owner`
changes with each key that is added, and so one at a time is.
"""

import itertools
from contextlib import suppress
from datetime import datetime

from chat.credentials import KEY_ID, OWNER, ApiKey, owner_part, scopes_of, scopes_text
from chat.errors import KeyNotFound, StoreConflict, TooManyKeys
from chat.store.key_store import KEYS
from chat.store.tables.table_client import Row, Table, creating, deleting, key_range, replacing
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_properties import Entity, moment

ADDED = "owner"
TRIES = 40  # keys that one user adds at the same moment


class TableCredentials:
    """Keys on tables."""

    def __init__(self, credentials: Table) -> None:
        self._credentials = credentials

    async def add_key(self, key: ApiKey) -> ApiKey:
        for _ in itertools.repeat(None, TRIES):
            with suppress(RowChanged, RowExists, RowMissing):
                return await self._add(key)
        raise StoreConflict

    async def find_key(self, key_id: str) -> ApiKey | None:
        row = await self._row(key_id)
        return None if row is None else _key(row)

    async def list_keys(self, user_id: str) -> list[ApiKey]:
        found = map(_key, await self._rows(user_id))
        mine = (key for key in found if key.user_id == user_id)
        return sorted(mine, key=lambda key: (key.created_at, key.id), reverse=True)

    async def remove_key(self, user_id: str, key_id: str) -> None:
        row = await self._row(key_id)
        if row is None or row.values["user_id"] != user_id:
            raise KeyNotFound
        await self._credentials.delete(row.partition, row.key)

    async def note_used(self, key_id: str, when: datetime) -> None:
        with suppress(RowMissing):
            await self._credentials.merge(_keys(key_id) | {"used_at": when})

    async def _add(self, key: ApiKey) -> ApiKey:
        """RowChanged, RowExists, RowMissing when somebody else was at it, or an earlier try of ours."""
        partition = key.id[:OWNER]
        added = await self._credentials.get(partition, ADDED)
        rows = await self._rows(key.user_id)
        if stored := next((row for row in rows if row.key == _row_key(key.id)), None):
            return _key(stored)
        ended = [row for row in rows if moment(row.values["expires_at"]) <= key.created_at]
        if len(rows) - len(ended) >= KEYS:
            raise TooManyKeys(details={"limit": KEYS})
        mark: Entity = {"PartitionKey": partition, "RowKey": ADDED, "last": key.id}
        marking = creating(mark) if added is None else replacing(mark, added.etag)
        removing = [deleting(row.partition, row.key) for row in ended]
        await self._credentials.batch([marking, creating(_entity(key)), *removing])
        return key

    async def _row(self, key_id: str) -> Row | None:
        if not KEY_ID.fullmatch(key_id):
            return None
        return await self._credentials.get(key_id[:OWNER], _row_key(key_id))

    async def _rows(self, user_id: str) -> list[Row]:
        return await self._credentials.rows(key_range(owner_part(user_id), "k-", "k."))


def _row_key(key_id: str) -> str:
    return f"k-{key_id}"


def _keys(key_id: str) -> Entity:
    return {"PartitionKey": key_id[:OWNER], "RowKey": _row_key(key_id)}


def _entity(key: ApiKey) -> Entity:
    return _keys(key.id) | {
        "user_id": key.user_id,
        "name": key.name,
        "scopes": scopes_text(key.scopes),
        "digest": key.digest,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }


def _key(row: Row) -> ApiKey:
    values = row.values
    return ApiKey(
        row.key.removeprefix("k-"),
        values["user_id"],
        values["name"],
        scopes_of(values["scopes"]) or frozenset(),
        bytes(values["digest"]),
        moment(values["created_at"]),
        moment(values["expires_at"]),
        moment(values["used_at"]) if "used_at" in values else None,
    )
