"""What the ports share: the sessions with all that is in them. A port keeps the rest of its rows itself."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chat.clock import Clock
from chat.conversation import MemberRole, Session, Turn
from chat.errors import Forbidden, MessageNotFound, SessionNotFound
from chat.events import NumberedEvent
from chat.messages import Message, MessageDraft, split_message_id
from chat.requests import TurnRequest
from chat.store.drafts import appended, messages_from
from tests.support.faults import Faults


@dataclass
class StoredSession:
    """One session with everything in it."""

    head: Session
    messages: dict[int, Message] = field(default_factory=dict[int, Message])
    turns: dict[str, Turn] = field(default_factory=dict[str, Turn])
    events: dict[str, dict[int, NumberedEvent]] = field(
        default_factory=lambda: defaultdict[str, dict[int, NumberedEvent]](dict)
    )
    last_started: str = ""
    requests: dict[int, TurnRequest] = field(default_factory=dict[int, TurnRequest])  # of what waits


class Rows:
    """The sessions of one store."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.sessions: dict[str, StoredSession] = {}
        self._version = 0

    def next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def known(self, session_id: str) -> StoredSession:
        stored = self.sessions.get(session_id)
        if stored is None:
            raise SessionNotFound
        return stored

    def owned(self, user_id: str, session_id: str, need: MemberRole = "viewer") -> StoredSession:
        stored = self.known(session_id)
        if not stored.head.role_of(user_id):
            raise SessionNotFound
        if not stored.head.allows(user_id, need):
            raise Forbidden
        return stored

    def set_head(self, stored: StoredSession, head: Session) -> None:
        stored.head = replace(head, version=self.next_version())

    def append(self, stored: StoredSession, drafts: Sequence[MessageDraft], now: datetime) -> list[Message]:
        messages = messages_from(drafts, stored.head.id, stored.head.last_seq, now)
        stored.messages |= {each.seq: each for each in messages}
        self.set_head(stored, appended(stored.head, messages, now))
        return messages

    def message(self, user_id: str, message_id: str) -> Message:
        place = split_message_id(message_id)
        if place is None:
            raise MessageNotFound
        message = self.owned(user_id, place[0]).messages.get(place[1])
        if message is None:
            raise MessageNotFound
        return message


class MemoryPort(Faults):
    """What each port inherits, so that one object can be several of them over the same rows."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows = rows
        self.clock = rows.clock

    def forget_session(self, session_id: str) -> None:
        """The session is deleted: a port that keeps rows for it elsewhere removes them, and calls the next one."""
