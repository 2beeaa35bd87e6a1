"""What can be appended to a session: messages, or a turn with its message. Pure: a head in, a change out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from uuid import uuid4

from chat.conversation import Turn, WaitingMessage
from chat.errors import QueueFull, SessionInactive, TooLarge, VersionConflict
from chat.messages import Message, MessageDraft
from chat.requests import TurnRequest
from chat.store.conversation_store import WAITING
from chat.store.drafts import (
    appended,
    check_start,
    messages_from,
    placeholder_from,
    title_from,
    turn_from,
    with_posted,
    with_turn,
    with_waiting,
)
from chat.store.tables.table_heads import Head, allowed
from chat.store.tables.table_keys import request_key
from chat.store.tables.table_properties import Entity, weight
from chat.store.tables.table_requests import request_to_rows
from chat.store.tables.table_rows import message_to_rows, turn_to_row
from chat.store.turn_store import TurnDraft

# An append leaves room in its batch for the head, the owner and the turn.
APPEND_ROWS = 90
APPEND_BYTES = 3_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """What an append makes of a head."""

    head: Head
    messages: tuple[Message, ...]
    turn: Turn | None = None
    waiting: WaitingMessage | None = None  # the one that is new
    answered: tuple[WaitingMessage, ...] = ()  # those that wait no more

    def rows(self, marker: str) -> list[Entity]:
        """The rows to create."""
        rows = [row for each in self.messages for row in message_to_rows(each, marker)]
        if self.waiting is not None:
            rows += request_to_rows(self.head.session.id, self.waiting.seq, self.waiting.request)
        return rows if self.turn is None else [*rows, turn_to_row(self.turn, self.messages[-1].seq)]

    def gone(self) -> list[tuple[str, str]]:
        """The keys of the rows to delete."""
        session_id = self.head.session.id
        return [
            (session_id, request_key(each.seq, part)) for each in self.answered for part in range(each.parts)
        ]


class Append(Protocol):
    """One entry of a session's queue. `marker` is kept in its rows: by it a write whose reply got lost is known."""

    @property
    def marker(self) -> str: ...

    def apply(self, head: Head) -> Change | None:
        """What is to be written; None when it is stored already. Raises what the caller shall see."""
        ...


@dataclass(frozen=True, slots=True)
class AppendMessages:
    """Messages for the end of a session; with `creates` the first ones, which make it."""

    user_id: str
    drafts: Sequence[MessageDraft]
    now: datetime
    creates: bool = False
    marker: str = field(default_factory=lambda: uuid4().hex)

    def apply(self, head: Head) -> Change | None:
        session = allowed(self.user_id, head.session, "editor")
        if self.creates and session.version:
            return None
        messages = messages_from(self.drafts, session.id, session.last_seq, self.now)
        return Change(replace(head, session=appended(session, messages, self.now)), tuple(messages))


@dataclass(frozen=True, slots=True)
class PostMessage:
    """A message that nobody answers. Nothing is written when it is there, by its key."""

    request: TurnRequest
    draft: MessageDraft
    now: datetime
    marker: str = field(default_factory=lambda: uuid4().hex)

    def apply(self, head: Head) -> Change | None:
        session = allowed(self.request.user_id, head.session, "editor")
        if session.asked_by(self.request.key):
            return None
        messages = messages_from([self.draft], session.id, session.last_seq, self.now)
        after = with_posted(appended(session, messages, self.now), self.request.key, messages[0])
        return Change(replace(head, session=after), tuple(messages))


@dataclass(frozen=True, slots=True)
class AppendWaiting:
    """A message for the turn after the one that runs. Nothing is written when none does."""

    request: TurnRequest
    now: datetime
    marker: str = field(default_factory=lambda: uuid4().hex)

    def apply(self, head: Head) -> Change | None:
        session = allowed(self.request.user_id, head.session, "editor")
        if not session.running_turn or session.asked_by(self.request.key):
            return None
        if not session.is_active:
            raise SessionInactive
        if len(session.waiting) >= WAITING:
            raise QueueFull(session.running_turn)
        messages = messages_from([self.request.question], session.id, session.last_seq, self.now)
        seq = messages[0].seq
        waiting = WaitingMessage(seq, self.request, len(request_to_rows(session.id, seq, self.request)))
        after = with_waiting(appended(session, messages, self.now), waiting)
        return Change(replace(head, session=after), tuple(messages), waiting=waiting)


@dataclass(frozen=True, slots=True)
class StartTurn:
    """A turn with its user message and its placeholder. `answered` is the stored message that it answers."""

    draft: TurnDraft
    answered: Message | None = None

    @property
    def marker(self) -> str:
        return self.draft.nonce

    def apply(self, head: Head) -> Change | None:
        draft, session = self.draft, allowed(self.draft.request.user_id, head.session, "editor")
        if draft.nonce and session.start_nonce == draft.nonce:
            return None
        check_start(session, draft, self.answered.seq if self.answered else 0)
        drafts = [*self._history(head), *([draft.message] if draft.message else [])]
        messages = messages_from(drafts, session.id, session.last_seq, draft.started_at)
        asked = self.answered or messages[-1]
        answer = placeholder_from(draft, session.id, session.last_seq + len(messages) + 1)
        turn = turn_from(draft, asked, answer)
        session = replace(session, title=session.title or title_from([*messages, asked]))
        session = appended(session, [*messages, answer], draft.started_at)
        after = with_turn(session, draft, asked.seq, answer)
        answered = tuple(each for each in session.waiting if each not in after.waiting)
        return Change(Head(after, turn.id), (*messages, answer), turn, answered=answered)

    def _history(self, head: Head) -> Sequence[MessageDraft]:
        """What is not stored yet of the messages before the turn's own. VersionConflict when others were."""
        draft, session, history = self.draft, head.session, self.draft.request.history
        if draft.new_session is None:
            if session.last_seq != draft.session.last_seq:
                raise VersionConflict
            return ()
        if session.start_nonce or session.last_seq > len(history):
            raise VersionConflict
        return history[session.last_seq :]


def grouped(drafts: Sequence[MessageDraft]) -> Iterator[list[MessageDraft]]:
    """The drafts in groups that fit into a batch each. TooLarge for one that fits into none."""
    group: list[MessageDraft] = []
    rows = size = 0
    for draft in drafts:
        more_rows, more_size = _measured(draft)
        if group and (rows + more_rows > APPEND_ROWS or size + more_size > APPEND_BYTES):
            yield group
            group, rows, size = [], 0, 0
        group.append(draft)
        rows, size = rows + more_rows, size + more_size
    if group:
        yield group


def _measured(draft: MessageDraft) -> tuple[int, int]:
    """The rows that a message takes, and about how many bytes of a request."""
    message = messages_from([draft], "", 0, datetime.min)[0]
    rows = message_to_rows(message, "")
    size = sum(weight(row) for row in rows)
    if size > APPEND_BYTES:
        raise TooLarge("The message is larger than the store can keep")
    return len(rows), size
