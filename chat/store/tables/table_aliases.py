"""Aliases of sessions: keys of a user's own that stand for a session that may not be there yet."""

from datetime import datetime, timedelta
from hashlib import sha256

from chat.clock import Clock
from chat.store.tables.table_client import Row, Table
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errors import RowChanged, RowExists
from chat.store.tables.table_heads import Heads
from chat.store.tables.table_keys import escaped

ALIAS = "a-"
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
        try:
            await self._directory.create({"PartitionKey": partition, "RowKey": key, "session_id": session_id})
        except RowExists:
            row = await self._directory.get(partition, key)
            return session_id if row is None else row.values["session_id"]
        return session_id

    async def find(self, user_id: str, alias: str) -> str:
        """As `ConversationStore.find_claimed`."""
        row = await self._directory.get(escaped(user_id), ALIAS + escaped(alias))
        return "" if row is None else row.values["session_id"]

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

    async def _note(self, when: datetime, user_id: str, alias: str, session_id: str) -> None:
        # Both can be as long as a key may be.
        name = sha256(f"{escaped(user_id)}/{alias}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
        fields = {"user_id": user_id, "alias": alias, "session_id": session_id}
        await self._due.note("due-aliases", when, name, **fields)
