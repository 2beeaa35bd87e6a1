"""The port of turns and their events. The calls that the runner makes take the `Turn` itself, which only `start_turn`
and `get_turn` give out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chat.conversation import MemberRole, Session, Turn
from chat.events import JSONObject, NumberedEvent, empty_object
from chat.messages import Message, MessageDraft
from chat.requests import TurnRequest
from chat.store.conversation_store import SessionDraft


@dataclass(frozen=True, slots=True)
class TurnDraft:
    """What a turn needs before it is stored."""

    session: Session  # as read; its `last_seq` is what the model's window was made from
    request: TurnRequest
    instance_id: str
    started_at: datetime
    nonce: str
    metadata: JSONObject = field(default_factory=empty_object)  # what the answer's message begins with

    @property
    def message(self) -> MessageDraft | None:
        """The user's message, to be appended; None where a stored one is answered."""
        return None if self.request.message_id else self.request.question

    @property
    def new_session(self) -> SessionDraft | None:
        """The session, where it is made in the same batch."""
        session = self.session
        if self.request.session_id:
            return None
        return SessionDraft(
            session.id,
            session.title,
            session.llm_provider,
            session.llm_model,
            session.settings,
            listed=session.listed,
        )


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

    async def note_client(self, turn: Turn, client: JSONObject) -> None:
        """Keep this as `request.client` of a turn that has ended. TurnNotFound when the session was deleted."""
        ...

    async def purge_events(self, *, ended_before: datetime) -> int:
        """Remove the events of turns that ended before then, and with those of its newest turn a session that is not
        listed. The number of turns that were purged."""
        ...
