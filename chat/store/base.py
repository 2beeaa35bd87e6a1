"""The ports of everything that is kept: conversations, turns, and the instances that run turns.

Who asks comes first in the calls of `ConversationStore`; to a stranger a session is `SessionNotFound`, as if it did
not exist, and to a member whose role is too low what they ask for is `Forbidden`. What begins with `load` is for the
app itself and asks nobody. The calls of `TurnStore` that the runner makes take the `Turn` itself, which only
`start_turn` and `get_turn` give out. All raise `StoreUnavailable` when the service does not answer in time,
`StoreConflict` when too many writers met, `StoreRefused` for what it will never keep, however often it is asked.
`tests/store/contract.py` holds these rules as tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Protocol

from chat.events import JSONObject, NumberedEvent, empty_object
from chat.messages import MemberRole, Message, MessageDraft, Page, Session, Turn, WaitingMessage

WAITING = 5
"""Messages that may wait for a running turn."""

WAITING_SIZE = 1_400_000
"""Bytes that what one of them asks for may have, as JSON: more than a body may have."""

ASKED = 64
"""Requests of a session that are remembered, beside those that wait."""

MEMBERS_SIZE = 30_000
"""Characters of the members of a session, as JSON: a property of the store holds 32,768."""


@dataclass(frozen=True, slots=True)
class SessionDraft:
    """A session before it is stored."""

    id: str  # a ULID made by the caller, so that a repeated create can be recognised
    title: str = ""
    llm_provider: str = ""
    llm_model: str = ""
    settings: JSONObject = field(default_factory=empty_object)


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """What of a session's head is to become something else; None leaves it as it is."""

    title: str | None = None
    is_active: bool | None = None
    llm_provider: str | None = None
    llm_model: str | None = None
    settings: JSONObject | None = None
    summary: str | None = None
    summary_until: int | None = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that are to change."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Waits:
    """A message that waits for its turn. One that is not `new` came before, under the same key."""

    message: Message
    new: bool = True


class ConversationStore(Protocol):
    """Sessions and their messages."""

    async def create_session(
        self, user_id: str, draft: SessionDraft, messages: Sequence[MessageDraft] = ()
    ) -> Session:
        """Store a new session, with its first messages. A repeated create of the same id by the same user
        gives what is stored."""
        ...

    async def claim_session(self, user_id: str, alias: str, session_id: str) -> str:
        """The session id that this user's alias stands for: the given one when the alias is new. The session itself
        need not exist. An alias is any text of at most 255 characters."""
        ...

    async def get_session(self, user_id: str, session_id: str) -> Session:
        """SessionNotFound when it does not exist, is deleted, or belongs to another."""
        ...

    async def load_session(self, session_id: str) -> Session:
        """The same without asking who: for what the app itself has to do. SessionNotFound."""
        ...

    async def update_session(self, user_id: str, session_id: str, changes: SessionChanges) -> Session:
        """Change the head, beside whatever else happens in the session: the session as it is then. Editors may.
        SessionNotFound, Forbidden, StoreConflict."""
        ...

    async def set_member(
        self, user_id: str, session_id: str, member_id: str, role: MemberRole | None
    ) -> Session:
        """Let somebody in, change what they may do, or (None) take them out; the session as it is then. The owner
        may, and everybody may leave. Safe to repeat. ValidationError for the owner as a member, or for too many."""
        ...

    async def list_sessions(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Session]:
        """The sessions that one is a member of, newest first by creation. ValidationError("cursor", ...) for a cursor
        not ours."""
        ...

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """Hide the session at once, then remove its rows. TurnInProgress while a turn runs in it. SessionNotFound the
        second time; a removal that was cut off goes on when it is asked for again."""
        ...

    async def tidy(self, *, before: datetime) -> None:
        """Remove what was begun before then and came to nothing: aliases that stand for no session, and what is left
        of sessions whose removal was cut off."""
        ...

    async def append_messages(
        self, user_id: str, session_id: str, drafts: Sequence[MessageDraft]
    ) -> list[Message]:
        """Store messages with consecutive numbers; concurrent appends lose nothing and leave no gap. Editors may."""
        ...

    async def append_waiting(
        self, session_id: str, draft: MessageDraft, waiting: WaitingMessage, *, key: str = ""
    ) -> Waits | None:
        """Store a message, and all that its request asks for, for a turn after the running one; its `seq` and `parts`
        are given here. None, and nothing stored, when no turn runs; what came under the same `key` is stored once.
        QueueFull when WAITING wait already, TooLarge. Editors may."""
        ...

    async def load_waiting(self, session: Session) -> tuple[WaitingMessage, ...]:
        """The messages that wait, with their requests. Asks nobody."""
        ...

    async def get_message(self, user_id: str, message_id: str) -> Message:
        """MessageNotFound (or SessionNotFound) when it is not there."""
        ...

    async def load_message(self, message_id: str) -> Message:
        """The same without asking who. MessageNotFound."""
        ...

    async def list_messages(
        self,
        user_id: str,
        session_id: str,
        *,
        limit: int,
        after: int = 0,
        before: int | None = None,
        newest: bool = False,
    ) -> list[Message]:
        """Messages with `after < seq < before`, oldest first: the first `limit` of them, or with `newest` the
        last `limit`. The placeholder of a running turn is among them, with what the store knows (status
        `streaming`, empty content)."""
        ...


@dataclass(frozen=True, slots=True)
class TurnDraft:
    """What a turn needs before it is stored. The user message is a draft to append or the id of a stored one."""

    session: Session  # as read; its `last_seq` is what the model's window was made from
    user_id: str
    instance_id: str
    started_at: datetime
    nonce: str
    key: str = ""  # of the caller's, by which the same request is known for longer than the newest turn
    waited: bool = False  # the stored message must be one of those that wait
    message: MessageDraft | None = None
    message_id: str = ""  # of the stored message that is answered, when `message` is None
    new_session: SessionDraft | None = None  # create the session in the same batch
    history: tuple[MessageDraft, ...] = ()  # its first messages, before `message`
    dialect: str = "delta"
    pipeline: str = ""
    wire: JSONObject = field(default_factory=empty_object)
    llm_provider: str = ""
    llm_model: str = ""
    metadata: JSONObject = field(default_factory=empty_object)  # what the answer's message begins with


@dataclass(frozen=True, slots=True)
class StartedTurn:
    """What one start wrote, in one batch: all of it or nothing."""

    turn: Turn
    session: Session
    user_message: Message
    assistant_message: Message  # the placeholder: status `streaming`


@dataclass(frozen=True, slots=True)
class TurnEnding:
    """The last batch of a turn: what is left of its events, the assistant message, the heads."""

    turn: Turn  # as started, with its `version`; `ended` holds the new values
    ended: Turn
    events: tuple[NumberedEvent, ...]  # the terminal event is the last of them
    follows: int  # the number of the event before the first of `events`: what else has a higher one is void
    message: Message  # the assistant message, with its text and status


class TurnStore(Protocol):
    """Turns, their events, and the one batch that starts or ends them."""

    async def start_turn(self, draft: TurnDraft) -> StartedTurn:
        """Append the user message, the placeholder and the turn, and mark the session as busy, in one batch.

        What waits and is not newer than the message that is answered waits no more. TurnInProgress when another turn
        runs, SessionInactive. VersionConflict when messages were appended since `session` was read, when the message
        waits no more, or when the key has become a turn meanwhile. A repeat with the same nonce, after a
        reply that got lost, gives what landed.
        """
        ...

    async def get_turn(self, user_id: str, turn_id: str, *, need: MemberRole = "viewer") -> Turn:
        """TurnNotFound when there is none, or it is in another's session; Forbidden for a role below `need`."""
        ...

    async def load_turn(self, turn_id: str) -> Turn:
        """The same without asking who: for the lease and the sweeper. TurnNotFound when there is none."""
        ...

    async def append_events(self, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        """Store events as rows that are never changed. A repeat of the same events is success. What lands after the
        turn was ended is never read: the end counts."""
        ...

    async def read_events(self, turn: Turn, *, after: int = 0) -> list[NumberedEvent]:
        """Events with a number above `after`, in order; [] when there are none (yet, or any more)."""
        ...

    async def end_turn(self, ending: TurnEnding) -> Turn:
        """Write the ending in one batch and free the session. When somebody ended the turn already, nothing is
        written and the turn as it ended is returned: compare `state` and `error`. A repeat is success. TurnNotFound
        when the session was deleted; then nothing of the turn is left."""
        ...

    async def purge_events(self, *, ended_before: datetime) -> int:
        """Remove the events of turns that ended before then. The number of turns that were purged."""
        ...


@dataclass(frozen=True, slots=True)
class InstanceLease:
    """The row by which a process says that it lives. All its turns live by this one lease.

    `age` is by the service's own clock (its `Date` header less the row's `Timestamp`), never by ours.
    """

    instance_id: str
    beat: int
    age: float  # seconds since the last beat, when this was read
    fenced: bool = False  # somebody found it expired: its owner must drop its turns
    turns: tuple[str, ...] = ()  # ids of the turns that the instance ran at this beat
    version: str = ""


@dataclass(frozen=True, slots=True)
class Join:
    """A socket wants to see a running turn: what was said so far, or what came after the event `after`."""

    turn_id: str
    connection_id: str
    dialect: str
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """What others left for an instance: turns to stop, turns that are followed elsewhere, sockets that came."""

    cancels: frozenset[str] = frozenset()
    watches: frozenset[str] = frozenset()
    joins: tuple[Join, ...] = ()
    lease: InstanceLease | None = None  # read by the same query; None when the row is gone


class InstanceStore(Protocol):
    """Leases and mailboxes of the processes that run turns."""

    async def register(self, instance_id: str) -> InstanceLease:
        """Make the lease of a new instance."""
        ...

    async def renew(self, lease: InstanceLease, turns: Sequence[str] = ()) -> InstanceLease:
        """Beat, and say which turns the instance runs, so that a sweeper finds them. LeaseLost when the row is gone
        or fenced. A beat whose reply got lost is no loss."""
        ...

    async def read_lease(self, instance_id: str) -> InstanceLease | None:
        """None when it has none: it ended cleanly, or was swept."""
        ...

    async def fence(self, lease: InstanceLease) -> bool:
        """Mark the lease as lost, unless it beat since it was read (then False)."""
        ...

    async def retire(self, instance_id: str) -> None:
        """Remove all rows of an instance. Safe to repeat."""
        ...

    async def list_leases(self) -> list[InstanceLease]:
        """Every instance that has a row."""
        ...

    async def forget_strays(self) -> None:
        """Remove mail that came after its instance had ended, once it is an hour old."""
        ...

    async def post_cancel(self, instance_id: str, turn_id: str) -> None: ...

    async def post_watch(self, instance_id: str, turn_id: str) -> None:
        """Say that somebody elsewhere follows the turn, so that its events are flushed more often."""
        ...

    async def post_join(self, instance_id: str, join: Join) -> None:
        """Say that a socket wants to see a turn."""
        ...

    async def take_mail(self, instance_id: str) -> Mail:
        """Read and remove what others left, in one query when there is nothing."""
        ...


class LeaseLost(Exception):
    """The lease is gone or fenced: another process may have ended this instance's turns."""


def with_version[T: (Session, Turn, InstanceLease)](value: T, version: str) -> T:
    """The same value, as it is stored now."""
    return replace(value, version=version)
