"""The heads of sessions: who may read and change them, and where they are listed. For the other stores on tables."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from chat.clock import Clock
from chat.conversation import MemberRole, Session
from chat.errors import Forbidden, SessionNotFound, StoreConflict
from chat.store.drafts import directory_key, with_version
from chat.store.membership import HeadChanges
from chat.store.tables.table_client import Row, Table
from chat.store.tables.table_errors import RowChanged, RowMissing
from chat.store.tables.table_keys import HEAD, escaped, is_id
from chat.store.tables.table_rows import head_changes_to_row, head_from_row

ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Head:
    """A session as it is stored, and what only the store knows of it. Without a version it is not stored yet."""

    session: Session
    last_turn: str = ""  # the turn that `session.start_nonce` belongs to


def allowed(user_id: str, session: Session, need: MemberRole = "viewer") -> Session:
    """The session, when this user may do so much in it. SessionNotFound for strangers, Forbidden."""
    if session.role_of(user_id) is None:
        raise SessionNotFound
    if not session.allows(user_id, need):
        raise Forbidden
    return session


class Heads:
    """Reads and changes heads, and keeps the directory of each user's sessions."""

    def __init__(self, sessions: Table, directory: Table, clock: Clock) -> None:
        self._sessions = sessions
        self._directory = directory
        self._clock = clock

    async def row(self, session_id: str) -> Row | None:
        """The head's row, be it of a deleted session; None when there is none."""
        return await self._sessions.get(session_id, HEAD) if is_id(session_id) else None

    async def find(self, session_id: str) -> Head | None:
        """None when there is none. SessionNotFound when it is deleted."""
        row = await self.row(session_id)
        if row is None:
            return None
        if row.values.get("deleted"):
            raise SessionNotFound
        return Head(head_from_row(row.values, row.etag), row.values["last_turn"])

    async def load(self, session_id: str) -> Session:
        """SessionNotFound."""
        head = await self.find(session_id)
        if head is None:
            raise SessionNotFound
        return head.session

    async def read(self, user_id: str, session_id: str, need: MemberRole = "viewer") -> Session:
        """SessionNotFound, Forbidden."""
        return allowed(user_id, await self.load(session_id), need)

    async def change(
        self,
        session_id: str,
        change: Callable[[Session], Awaitable[HeadChanges | None]],
        permit: Callable[[Session], object] = lambda _: None,
    ) -> Session:
        """Merge what `change` makes of the head, again when somebody else was quicker; None when it is as it is wanted.
        `permit` raises where the caller may not. From the second try on it is asked only when there is something to
        change: what is there then may be our own doing, after which the caller may no longer.
        SessionNotFound, StoreConflict."""
        for attempt in range(ATTEMPTS):
            session = await self.load(session_id)
            if attempt == 0:
                permit(session)
            given = await change(session)
            if given is None:
                return session
            if attempt > 0:
                permit(session)
            now = max(self._clock.now(), session.updated_at)
            row = head_changes_to_row(session_id, given, now)
            try:
                etag = await self._sessions.merge(row, session.version)
            except RowChanged:
                await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
                continue
            except RowMissing:
                raise SessionNotFound from None
            return with_version(replace(session, **given, updated_at=now), etag)
        raise StoreConflict

    async def list_up(self, user_id: str, session_id: str) -> str:
        """Put the session into the user's directory; the line's new etag. Safe to repeat."""
        keys = {"PartitionKey": escaped(user_id), "RowKey": directory_key(session_id)}
        return await self._directory.upsert({**keys, "session_id": session_id})

    async def list_new(self, session: Session) -> None:
        """The same for its owner, where it is to be in lists at all."""
        if session.listed:
            await self.list_up(session.user_id, session.id)

    async def line(self, user_id: str, session_id: str) -> Row | None:
        """The session in the user's directory, to be struck by `strike`."""
        return await self._directory.get(escaped(user_id), directory_key(session_id))

    async def strike(self, user_id: str, session_id: str, etag: str = "") -> None:
        """The reverse of `list_up`. With `etag`, unless it was listed up again since."""
        with suppress(RowChanged):
            await self._directory.delete(escaped(user_id), directory_key(session_id), etag)
