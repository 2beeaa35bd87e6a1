"""The port of sessions and their messages.

Who asks comes first in the calls; to a stranger a session is `SessionNotFound`, as if it did not exist, and to a member
whose role is too low what they ask for is `Forbidden`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Protocol

from chat.conversation import Session, WaitingMessage
from chat.events import JSONObject, empty_object
from chat.messages import Message, MessageDraft, Page
from chat.quotas import Standing
from chat.requests import TurnRequest

WAITING = 5
"""Messages that may wait for a running turn."""

WAITING_SIZE = 1_400_000
"""Bytes that what one of them asks for may have, as JSON: more than a body may have."""

ASKED = 64
"""Requests of a session that are remembered, beside those that wait."""

COUNTED = 10_000
"""Sessions of a user up to which they are counted: a thousand take one request (docs/decisions/0022)."""


@dataclass(frozen=True, slots=True)
class SessionDraft:
    """A session before it is stored."""

    id: str  # a ULID made by the caller, so that a repeated create can be recognised
    title: str = ""
    llm_provider: str = ""
    llm_model: str = ""
    settings: JSONObject = field(default_factory=empty_object)
    created_at: datetime | None = None  # when its id was given away; None is now
    listed: bool = True


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
    standing: Standing | None = None  # how the limits of who sent it stand, where there are any


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that is stored and nobody answers. One that is not `new` came before, under the same key."""

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
        """The session id that this user's alias stands for: the given one when the alias is new, or when the session
        that it stood for is gone. The session itself need not exist yet: it has a few minutes, by the time in its id.
        An alias is any text of at most 255 characters."""
        ...

    async def find_claimed(self, user_id: str, alias: str) -> str:
        """What this user's alias stands for; "" where it was never claimed."""
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

    async def list_sessions(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Session]:
        """The sessions that one is a member of, newest first by creation. ValidationError("cursor", ...) for a cursor
        not ours."""
        ...

    async def count_sessions(self, user_id: str) -> int | None:
        """How many that list has; None for more than COUNTED."""
        ...

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """Hide the session at once, then remove its rows. TurnInProgress while a turn runs in it. SessionNotFound the
        second time; a removal that was cut off goes on when it is asked for again."""
        ...

    async def tidy(self, *, before: datetime) -> None:
        """Remove what was begun before then and came to nothing: aliases that stand for no session, what is left of
        sessions whose removal was cut off, and invitations that ended before then."""
        ...

    async def append_messages(
        self, user_id: str, session_id: str, drafts: Sequence[MessageDraft]
    ) -> list[Message]:
        """Store messages with consecutive numbers; concurrent appends lose nothing and leave no gap. Editors may."""
        ...

    async def post_message(self, request: TurnRequest, draft: MessageDraft | None = None) -> Posted:
        """Store the question of a request that is not to be answered, or the draft in its place; what came under the
        same `key` is stored once. Editors may. TooLarge."""
        ...

    async def append_waiting(self, request: TurnRequest) -> Waits | None:
        """Store the message of a request, and all else that it asks for, for a turn after the running one. None, and
        nothing stored, when no turn runs; what came under the same `key` is stored once.
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

    async def load_messages(self, session: Session, *, limit: int, before: int) -> list[Message]:
        """The newest `limit` messages with `seq < before` of a session as it was read, oldest first. Asks nobody."""
        ...

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
        """Messages with `after < seq < before`, oldest first: the first `limit` of them, or with `newest` the
        last `limit`. A time as `before` stands for the first message that was made then or later; where the clocks of
        instances differ, near by. The placeholder of a running turn is among them, with what the store knows (status
        `streaming`, empty content)."""
        ...
