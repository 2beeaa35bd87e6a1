"""Removes sessions: hidden at once, then row by row. What a process that ended left behind is removed by the timer."""

import secrets
from contextlib import suppress
from datetime import datetime

import orjson

from chat.clock import Clock
from chat.conversation import MemberRole, Turn
from chat.errors import Forbidden, SessionNotFound, StoreConflict, TurnInProgress
from chat.store.membership import offers_from_json
from chat.store.tables.table_aliases import Aliases
from chat.store.tables.table_client import Row, Table, quoted
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errors import RowChanged, RowMissing
from chat.store.tables.table_heads import Heads
from chat.store.tables.table_invitations import TableInvitations
from chat.store.tables.table_keys import HEAD

ATTEMPTS = 8


class Deletions:
    """For the other stores on tables."""

    def __init__(
        self,
        sessions: Table,
        heads: Heads,
        invitations: TableInvitations,
        aliases: Aliases,
        due: DueRows,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._heads = heads
        self._invitations = invitations
        self._aliases = aliases
        self._due = due
        self._clock = clock

    async def delete(self, user_id: str, session_id: str) -> None:
        """As `ConversationStore.delete_session`."""
        row = _owned(user_id, await self._heads.row(session_id))
        ours = False
        if not row.values.get("deleted"):
            await self._due.note("due-deletions", self._clock.now(), session_id, session_id=session_id)
            ours = await self._bury(user_id, row)
        await self._remove(session_id)
        if not ours:
            raise SessionNotFound

    async def delete_unlisted(self, turn: Turn) -> None:
        """The session of a turn, where no other came after it."""
        row = await self._heads.row(turn.session_id)
        if row is None or row.values.get("last_turn") != turn.id:
            return
        with suppress(SessionNotFound, TurnInProgress):  # gone, or there is a newer turn after all
            await self.delete(row.values["user_id"], turn.session_id)

    async def go_on(self, before: datetime) -> int:
        """With the removals that were asked for before then and are not done. How many were looked at."""

        async def go_on_with(due: Row) -> bool:
            row = await self._heads.row(due.values["session_id"])
            if row is not None and row.values.get("deleted"):
                await self._remove(row.partition)
            return True

        return await self._due.work_off("due-deletions", before, go_on_with)

    async def _bury(self, user_id: str, row: Row) -> bool:
        """Leave a tombstone in place of the head. False when somebody else did. TurnInProgress while a turn runs: it
        would go on writing."""
        mine = secrets.token_hex(8)
        for _ in range(ATTEMPTS):
            if row.values.get("deleted"):
                return row.values.get("buried_by") == mine  # by an earlier try, whose reply did not come
            if row.values["running_turn"]:
                raise TurnInProgress(row.values["running_turn"])
            kept = {name: row.values.get(name, "") for name in ("user_id", "members", "invited")}
            tombstone = {"PartitionKey": row.partition, "RowKey": HEAD, "buried_by": mine, **kept}
            try:
                await self._sessions.replace({**tombstone, "deleted": True}, row.etag)
                return True
            except (RowChanged, RowMissing):
                row = _owned(user_id, await self._heads.row(row.partition))
        raise StoreConflict

    async def _remove(self, session_id: str) -> None:
        """Remove all rows; the tombstone last, and only when nothing was written beside it meanwhile."""
        for _ in range(ATTEMPTS):
            row = await self._heads.row(session_id)
            if row is None:
                return None
            await self._sessions.delete_all(
                f"PartitionKey eq {quoted(session_id)} and RowKey ne {quoted(HEAD)}"
            )
            await self._strike(row)
            try:
                return await self._sessions.delete(session_id, HEAD, row.etag)
            except RowChanged:
                continue
        raise StoreConflict

    async def _strike(self, head: Row) -> None:
        """From the lists of all who are in it, or invited, and their aliases."""
        for user_id in (head.values["user_id"], *_members(head)):
            await self._heads.strike(user_id, head.partition)
            await self._aliases.drop(user_id, head.partition)
        for user_id, offer in offers_from_json(orjson.loads(head.values.get("invited") or "{}")).items():
            await self._invitations.withdraw(user_id, head.partition, offer)


def _owned(user_id: str, row: Row | None) -> Row:
    """A head, or what is left of one. SessionNotFound, Forbidden."""
    if row is None or (row.values["user_id"] != user_id and user_id not in _members(row)):
        raise SessionNotFound
    if row.values["user_id"] != user_id:
        raise Forbidden
    return row


def _members(row: Row) -> dict[str, MemberRole]:
    return orjson.loads(row.values.get("members") or "{}")
