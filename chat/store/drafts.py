"""From drafts to the values that are stored: the rules that every store shares, without I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from chat.clock import ALPHABET
from chat.conversation import Asked, Session, Turn, WaitingMessage
from chat.errors import SessionInactive, TurnInProgress, VersionConflict
from chat.messages import Message, MessageDraft, message_id
from chat.requests import TurnRequest
from chat.store.conversation_store import ASKED, SessionDraft
from chat.store.instance_store import InstanceLease
from chat.store.turn_store import TurnDraft

TITLE_LENGTH = 80
LAST_MILLISECOND = 10**13 - 1


def session_from(user_id: str, draft: SessionDraft, now: datetime) -> Session:
    """The head of a session that has no messages yet."""
    return Session(
        id=draft.id,
        user_id=user_id,
        title=draft.title,
        created_at=draft.created_at or now,
        updated_at=now,
        llm_provider=draft.llm_provider,
        llm_model=draft.llm_model,
        settings=draft.settings,
        listed=draft.listed,
    )


def messages_from(
    drafts: Sequence[MessageDraft], session_id: str, last_seq: int, now: datetime
) -> list[Message]:
    """The messages that follow `last_seq`, in order."""
    return [
        Message(
            id=message_id(session_id, seq),
            session_id=session_id,
            seq=seq,
            role=draft.role,
            content=draft.content,
            created_at=now,
            updated_at=now,
            status=draft.status,
            author=draft.author,
            metadata=draft.metadata,
            parent_message_id=draft.parent_message_id,
        )
        for seq, draft in enumerate(drafts, last_seq + 1)
    ]


def placeholder_from(draft: TurnDraft, session_id: str, seq: int) -> Message:
    """The assistant message of a turn before anything was said."""
    return Message(
        id=message_id(session_id, seq),
        session_id=session_id,
        seq=seq,
        role="assistant",
        content="",
        created_at=draft.started_at,
        updated_at=draft.started_at,
        status="streaming",
        llm_provider=draft.session.llm_provider,
        llm_model=draft.session.llm_model,
        parent_message_id=draft.request.message_id or message_id(session_id, seq - 1),
        metadata=draft.metadata,
    )


def turn_from(draft: TurnDraft, user_message: Message, answer: Message) -> Turn:
    """The turn that fills the placeholder `answer`."""
    return Turn(
        id=answer.id,
        session_id=answer.session_id,
        request=draft.request.kept,
        user_message_id=user_message.id,
        state="running",
        instance_id=draft.instance_id,
        started_at=draft.started_at,
        listed=draft.session.listed,
        nonce=draft.nonce,
    )


def with_waiting(session: Session, waiting: WaitingMessage) -> Session:
    """The head with one more message that waits."""
    asked = (*session.asked, Asked(waiting.request.key, waiting.seq))
    head = TurnRequest(waiting.request.user_id, dialect=waiting.request.dialect)
    return replace(session, waiting=(*session.waiting, replace(waiting, request=head)), asked=asked)


def with_posted(session: Session, key: str, message: Message) -> Session:
    """The head with one more message that nobody answers; without a key nothing is remembered of it."""
    if not key:
        return session
    return replace(session, asked=_remembered((*session.asked, Asked(key, message.seq, message.seq))))


def with_turn(session: Session, draft: TurnDraft, question: int, answer: Message) -> Session:
    """The head with a turn that runs. It answers what waits up to its question; what is newer goes on waiting."""
    taken = {each.seq for each in session.waiting if each.seq <= question}
    asked = [
        replace(each, turn=answer.seq) if each.turn == 0 and each.question in taken else each
        for each in session.asked
    ]
    key = draft.request.key
    if key and not draft.request.waited:
        asked = [*(each for each in asked if each.key != key), Asked(key, question, answer.seq)]
    return replace(
        session,
        running_turn=answer.id,
        start_nonce=draft.nonce,
        waiting=tuple(each for each in session.waiting if each.seq > question),
        asked=_remembered(asked),
    )


def _remembered(asked: Iterable[Asked]) -> tuple[Asked, ...]:
    """The newest, and all that wait."""
    kept = list(asked)
    done = [each for each in kept if each.turn]
    for each in done[: max(len(done) - ASKED, 0)]:
        kept.remove(each)
    return tuple(kept)


def check_start(session: Session, draft: TurnDraft, question: int) -> None:
    """SessionInactive, TurnInProgress; VersionConflict for what has been answered meanwhile."""
    if not session.is_active:
        raise SessionInactive
    if session.running_turn:
        raise TurnInProgress(session.running_turn)
    if draft.request.waited and all(each.seq != question for each in session.waiting):
        raise VersionConflict
    asked = None if draft.request.waited else session.asked_by(draft.request.key)
    if asked is not None and asked.turn:
        raise VersionConflict


def appended(session: Session, messages: Sequence[Message], now: datetime) -> Session:
    """The head after these messages."""
    return replace(
        session,
        title=session.title or title_from(messages),
        last_seq=session.last_seq + len(messages),
        message_count=session.message_count + len(messages),
        updated_at=max(now, session.updated_at),
    )


def title_from(messages: Iterable[Message]) -> str:
    """The first line that the first user message has, cut to what a list can show."""
    first = next((each.content for each in messages if each.role == "user"), "")
    line = first.strip().partition("\n")[0].strip()
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"


def directory_key(session_id: str) -> str:
    """Sorts the sessions of a user newest first. The time is the one in the ULID, so a repeated create makes the
    same key."""
    return f"{LAST_MILLISECOND - milliseconds_of(session_id):013d}-{session_id}"


def milliseconds_of(ulid: str) -> int:
    """The time in a ULID; 0 when it is none."""
    number = 0
    for letter in ulid[:10]:
        digit = ALPHABET.find(letter)
        if digit < 0:
            return 0
        number = number * 32 + digit
    return min(number, LAST_MILLISECOND)


def with_version[T: (Session, Turn, InstanceLease)](value: T, version: str) -> T:
    """The same value, as it is stored now."""
    return replace(value, version=version)
