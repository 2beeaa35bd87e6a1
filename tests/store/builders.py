"""Short builders for the tests of the stores."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chat.clock import SystemClock, UlidIds
from chat.conversation import MemberRole, Session
from chat.events import TERMINAL_NUMBER, NumberedEvent, TextDelta, TurnFinished
from chat.messages import MessageDraft, Usage
from chat.requests import TurnRequest
from chat.store.audit_store import AuditStore
from chat.store.conversation_store import ConversationStore, SessionDraft
from chat.store.errand_store import ErrandStore
from chat.store.instance_store import InstanceStore
from chat.store.member_store import MemberStore
from chat.store.presence_store import PresenceStore
from chat.store.request_store import RequestStore
from chat.store.tables.table_storage import TableStorage
from chat.store.turn_store import StartedTurn, TurnDraft, TurnEnding, TurnStore
from tests.support.members import let_into

IDS = UlidIds(SystemClock())
NOW = datetime(2026, 11, 20, 8, 15, 0, 123456, tzinfo=UTC)


@dataclass
class Stores:
    """The ports of one store."""

    conversations: ConversationStore
    turns: TurnStore
    instances: InstanceStore
    presence: PresenceStore
    errands: ErrandStore
    members: MemberStore
    audit: AuditStore
    requests: RequestStore


def ports_of(storage: TableStorage) -> Stores:
    return Stores(
        storage.conversations,
        storage.turns,
        storage.instances,
        storage.presence,
        storage.errands,
        storage.members,
        storage.audit,
        storage.requests,
    )


# Controls, quotes, both ends of the BMP, private letters, and a letter of each plane above.
PLANES = "\x00\x1f\t\r\n'\"\\/é\u2028\ud7ff\ue000\ufffd\uffff" + "".join(
    chr((plane << 16) + 0xF389) for plane in range(1, 17)
)


@dataclass(frozen=True)
class Moment:
    """A clock that stands still."""

    when: datetime

    def now(self) -> datetime:
        return self.when

    def monotonic(self) -> float:
        return 0.0


def said(text: str) -> MessageDraft:
    return MessageDraft("user", text, author="ann")


async def new_session(store: Stores, *texts: str, user: str = "ann", **fields: Any) -> Session:
    drafts = [said(text) for text in texts]
    return await store.conversations.create_session(user, SessionDraft(IDS.new(), **fields), drafts)


async def shared(store: Stores, **roles: MemberRole) -> Session:
    """Ann's session with one message, and members."""
    session = await new_session(store, "Hello")
    for user, role in roles.items():
        session = await let_into(store.members, session.id, user, role)
    return session


async def new_session_at(store: Stores, seconds: int) -> Session:
    """A session made so many seconds later than others."""
    ids = UlidIds(Moment(NOW + timedelta(seconds=seconds)))
    return await store.conversations.create_session("ann", SessionDraft(ids.new()))


def turn_draft(
    session: Session,
    text: str = "Hello",
    *,
    nonce: str = "n1",
    key: str = "",
    new: bool = False,
    **asked: Any,
) -> TurnDraft:
    """A start in a stored session, or with a `new` one. `key` is the caller's Idempotency-Key."""
    asked = {"user_id": session.user_id, "session_id": "" if new else session.id, "content": text} | asked
    return TurnDraft(session, TurnRequest(**asked, nonce=key), "i1", NOW, nonce)


async def new_turn(store: Stores, **fields: Any) -> StartedTurn:
    return await store.turns.start_turn(turn_draft(await new_session(store), **fields))


def ending(started: StartedTurn, text: str = "Hi", **fields: Any) -> TurnEnding:
    changes = {"state": "finished", "ended_at": NOW + timedelta(seconds=3), "usage": Usage(3, 5)} | fields
    message = replace(started.assistant_message, content=text, status="complete", tokens_used=8)
    return TurnEnding(
        started.turn, replace(started.turn, **changes), (terminal(),), TERMINAL_NUMBER - 1, message
    )


def terminal() -> NumberedEvent:
    return NumberedEvent(TERMINAL_NUMBER, TurnFinished())


def deltas(first: int, last: int, text: str = "x") -> list[NumberedEvent]:
    return [NumberedEvent(number, TextDelta("t0", text)) for number in range(first, last + 1)]
