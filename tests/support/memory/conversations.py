"""Sessions and their messages, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chat.conversation import Session, WaitingMessage
from chat.errors import MessageNotFound, QueueFull, SessionInactive, TurnInProgress, ValidationError
from chat.messages import Message, MessageDraft, Page, split_message_id
from chat.requests import TurnRequest
from chat.store.conversation_store import COUNTED, WAITING, Posted, SessionChanges, SessionDraft, Waits
from chat.store.drafts import directory_key, session_from, with_posted, with_waiting
from chat.store.tables.table_requests import request_to_rows
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows, StoredSession


class MemoryConversations(MemoryPort):
    """A `ConversationStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._aliases: dict[tuple[str, str], tuple[str, datetime]] = {}

    @port
    async def create_session(
        self, user_id: str, draft: SessionDraft, messages: Sequence[MessageDraft] = ()
    ) -> Session:
        stored = self.rows.sessions.get(draft.id)
        if stored is not None:
            return self.rows.owned(user_id, draft.id).head
        now = self.clock.now()
        stored = StoredSession(session_from(user_id, draft, now))
        self.rows.sessions[draft.id] = stored
        self.rows.append(stored, messages, now)
        return stored.head

    @port
    async def find_claimed(self, user_id: str, alias: str) -> str:
        return self._aliases.get((user_id, alias), ("", None))[0]

    @port
    async def claim_session(self, user_id: str, alias: str, session_id: str) -> str:
        known = self.rows.sessions.get(self._aliases.get((user_id, alias), ("", None))[0])
        if known is not None and known.head.role_of(user_id) is None:
            del self._aliases[(user_id, alias)]
        claimed = self._aliases.setdefault((user_id, alias), (session_id, self.clock.now()))
        return claimed[0]

    @port
    async def get_session(self, user_id: str, session_id: str) -> Session:
        return self.rows.owned(user_id, session_id).head

    @port
    async def load_session(self, session_id: str) -> Session:
        return self.rows.known(session_id).head

    @port
    async def update_session(self, user_id: str, session_id: str, changes: SessionChanges) -> Session:
        stored = self.rows.owned(user_id, session_id, "editor")
        now = max(self.clock.now(), stored.head.updated_at)
        self.rows.set_head(stored, replace(stored.head, **changes.given, updated_at=now))
        return stored.head

    @port
    async def list_sessions(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Session]:
        if cursor is not None and not cursor.startswith("after:"):
            raise ValidationError("cursor", "This is not a cursor of this list")
        after = "" if cursor is None else cursor.removeprefix("after:")
        heads = {
            directory_key(each.head.id): each.head
            for each in self.rows.sessions.values()
            if each.head.role_of(user_id) and each.head.listed
        }
        keys = sorted(key for key in heads if key > after)
        more = f"after:{keys[limit - 1]}" if len(keys) > limit else None
        return Page(tuple(heads[key] for key in keys[:limit]), more)

    @port
    async def count_sessions(self, user_id: str) -> int | None:
        heads = [each.head for each in self.rows.sessions.values()]
        count = sum(head.listed and head.role_of(user_id) is not None for head in heads)
        return count if count <= COUNTED else None

    @port
    async def delete_session(self, user_id: str, session_id: str) -> None:
        stored = self.rows.owned(user_id, session_id, "owner")
        if stored.head.running_turn:
            raise TurnInProgress(stored.head.running_turn)
        del self.rows.sessions[session_id]
        self._aliases = {key: each for key, each in self._aliases.items() if each[0] != session_id}
        self.forget_session(session_id)

    @port
    async def tidy(self, *, before: datetime) -> None:
        for key, (session_id, claimed) in list(self._aliases.items()):
            if claimed < before and session_id not in self.rows.sessions:
                del self._aliases[key]
        for stored in self.rows.sessions.values():
            invited = stored.head.offers(before)
            self.rows.set_head(stored, replace(stored.head, invited=invited))

    @port
    async def append_messages(
        self, user_id: str, session_id: str, drafts: Sequence[MessageDraft]
    ) -> list[Message]:
        return self.rows.append(self.rows.owned(user_id, session_id, "editor"), drafts, self.clock.now())

    @port
    async def post_message(self, request: TurnRequest, draft: MessageDraft | None = None) -> Posted:
        stored = self.rows.owned(request.user_id, request.session_id, "editor")
        asked = stored.head.asked_by(request.key)
        if asked is not None:
            return Posted(stored.messages[asked.question], new=False)
        [message] = self.rows.append(stored, [draft or request.question], self.clock.now())
        self.rows.set_head(stored, with_posted(stored.head, request.key, message))
        return Posted(message)

    @port
    async def append_waiting(self, request: TurnRequest) -> Waits | None:
        stored = self.rows.owned(request.user_id, request.session_id, "editor")
        head = stored.head
        asked = head.asked_by(request.key)
        if asked is not None and not asked.turn:
            return Waits(stored.messages[asked.question], new=False)
        if asked is not None or not head.running_turn:
            return None
        if not head.is_active:
            raise SessionInactive
        if len(head.waiting) >= WAITING:
            raise QueueFull(head.running_turn)
        parts = len(request_to_rows(head.id, 1, request))
        [message] = self.rows.append(stored, [request.question], self.clock.now())
        # As it comes back from rows: what has a place of its own is not kept twice.
        kept = replace(request.kept, tools=request.tools, settings=request.settings, options=request.options)
        stored.requests[message.seq] = kept
        self.rows.set_head(stored, with_waiting(stored.head, WaitingMessage(message.seq, request, parts)))
        return Waits(message)

    @port
    async def load_waiting(self, session: Session) -> tuple[WaitingMessage, ...]:
        requests = self.rows.known(session.id).requests
        return tuple(replace(each, request=requests.get(each.seq, each.request)) for each in session.waiting)

    @port
    async def get_message(self, user_id: str, message_id: str) -> Message:
        return self.rows.message(user_id, message_id)

    @port
    async def load_message(self, message_id: str) -> Message:
        place = split_message_id(message_id)
        stored = self.rows.sessions.get(place[0]) if place else None
        message = stored.messages.get(place[1]) if stored and place else None
        if message is None:
            raise MessageNotFound
        return message

    @port
    async def load_messages(self, session: Session, *, limit: int, before: int) -> list[Message]:
        stored = self.rows.sessions[session.id].messages
        found = [stored[seq] for seq in sorted(stored) if seq < min(before, session.last_seq + 1)]
        return found[max(0, len(found) - limit) :]

    @port
    async def list_messages(
        self,
        user_id: str,
        session_id: str,
        *,
        limit: int,
        after: int = 0,
        before: int | datetime | None = None,
        newest: bool = False,
    ) -> list[Message]:
        stored = self.rows.owned(user_id, session_id)
        if isinstance(before, datetime):
            later = [seq for seq, each in stored.messages.items() if each.created_at >= before]
            before = min(later, default=None)
        found = [
            stored.messages[seq]
            for seq in sorted(stored.messages)
            if seq > after and (before is None or seq < before)
        ]
        return found[max(0, len(found) - limit) :] if newest else found[:limit]
