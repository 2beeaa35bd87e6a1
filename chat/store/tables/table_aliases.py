"""Aliases of sessions: keys of a user's own that stand for a session that may not be there yet."""

from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256

from chat.clock import Clock
from chat.errors import SessionNotFound, StoreConflict
from chat.store.drafts import milliseconds_of
from chat.store.tables.table_client import Row, Table, key_range, quoted
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_heads import Heads
from chat.store.tables.table_keys import escaped
from chat.store.tables.table_properties import Entity

ALIAS, BEYOND = "a-", "a."
ATTEMPTS = 8
MAKING = timedelta(minutes=5)  # after which a session that was claimed and is not there will not come
AGAIN = timedelta(days=30)  # until the session of an alias, which was there, is looked for once more


class Aliases:
    """On the table `directory`, in the user's partition."""

    def __init__(self, directory: Table, heads: Heads, due: DueRows, clock: Clock) -> None:
        self._directory = directory
        self._heads = heads
        self._due = due
        self._clock = clock

    async def claim(self, user_id: str, alias: str, session_id: str) -> str:
        """As `ConversationStore.claim_session`."""
        partition, key = escaped(user_id), ALIAS + escaped(alias)
        await self._note(self._clock.now(), user_id, alias, session_id)
        entity: Entity = {"PartitionKey": partition, "RowKey": key, "session_id": session_id}
        for _ in range(ATTEMPTS):
            try:
                await self._directory.create(entity)
                return session_id
            except RowExists:
                row = await self._directory.get(partition, key)
            if row is not None and not await self._is_gone(user_id, row.values["session_id"]):
                return row.values["session_id"]
            with suppress(RowChanged, RowMissing):
                if row is not None:
                    await self._directory.replace(entity, row.etag)
                    return session_id
        raise StoreConflict

    async def find(self, user_id: str, alias: str) -> str:
        """As `ConversationStore.find_claimed`."""
        row = await self._directory.get(escaped(user_id), ALIAS + escaped(alias))
        return "" if row is None else row.values["session_id"]

    async def drop(self, user_id: str, session_id: str) -> None:
        """Those of the user that stand for a session which is being deleted, where it is so new that `claim` would take
        it for one that is not there yet. Its id must never come again: links to its turns would lead to others."""
        if not self._is_old(session_id):
            mine = key_range(escaped(user_id), ALIAS, BEYOND)
            await self._directory.delete_all(f"{mine} and session_id eq {quoted(session_id)}")

    async def forget(self, before: datetime) -> int:
        """Remove those that were claimed before then and stand for no session. How many were looked at."""

        async def forget_unused(due: Row) -> bool:
            values = due.values
            partition, key = escaped(values["user_id"]), ALIAS + escaped(values["alias"])
            row = await self._directory.get(partition, key)
            if row is None or row.values["session_id"] != values["session_id"]:
                return True
            if await self._heads.row(values["session_id"]) is not None:
                await self._note(before + AGAIN, values["user_id"], values["alias"], values["session_id"])
                return True
            try:
                await self._directory.delete(partition, key, row.etag)
            except RowChanged:
                return False
            return True

        return await self._due.work_off("due-aliases", before, forget_unused)

    async def _is_gone(self, user_id: str, session_id: str) -> bool:
        """Deleted, never made, or one that the user is not in any more."""
        try:
            head = await self._heads.find(session_id)
        except SessionNotFound:
            return True
        return self._is_old(session_id) if head is None else head.session.role_of(user_id) is None

    def _is_old(self, session_id: str) -> bool:
        claimed = milliseconds_of(session_id)
        return self._clock.now().timestamp() * 1000 - claimed > MAKING.total_seconds() * 1000

    async def _note(self, when: datetime, user_id: str, alias: str, session_id: str) -> None:
        # Both can be as long as a key may be.
        name = sha256(f"{escaped(user_id)}/{alias}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        fields = {"user_id": user_id, "alias": alias, "session_id": session_id}
        await self._due.note("due-aliases", when, name, **fields)
