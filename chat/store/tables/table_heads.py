"""The heads of sessions: who may read them, and where they are listed. For the other stores on tables."""

from dataclasses import dataclass

from chat.conversation import MemberRole, Session
from chat.errors import Forbidden, SessionNotFound
from chat.store.drafts import directory_key
from chat.store.tables.table_client import Row, Table
from chat.store.tables.table_keys import HEAD, escaped, is_id
from chat.store.tables.table_rows import head_from_row


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
    """Reads heads, and keeps the directory of each user's sessions."""

    def __init__(self, sessions: Table, directory: Table) -> None:
        self._sessions = sessions
        self._directory = directory

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

    async def list_up(self, user_id: str, session_id: str) -> None:
        """Put the session into the user's directory. Safe to repeat."""
        keys = {"PartitionKey": escaped(user_id), "RowKey": directory_key(session_id)}
        await self._directory.upsert({**keys, "session_id": session_id})

    async def strike(self, user_id: str, session_id: str) -> None:
        """The reverse of `list_up`."""
        await self._directory.delete(escaped(user_id), directory_key(session_id))
