"""Sessions and turns as values. How they are stored is `store/`, how they are shown is `routes/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from chat.events import JSONObject, empty_object
from chat.messages import Usage
from chat.requests import TurnRequest

type TurnState = Literal["running", "finished", "failed", "cancelled"]
type MemberRole = Literal["viewer", "editor", "owner"]
type MemberStatus = Literal["member", "invited"]

MEMBER_ROLES: tuple[MemberRole, ...] = ("viewer", "editor", "owner")
"""From the one who may do least: viewers read, editors write and ask, the owner also shares and deletes."""

HIDDEN = "hidden"
"""In `request.client` of a turn, by whatever dialect."""

INVITED_FOR = timedelta(days=30)
"""After that an invitation that was not answered is none any more."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A role in a session that somebody may take and has not taken."""

    role: MemberRole
    by: str  # who invited them
    at: datetime  # when, in whole milliseconds: by it one invitation is told from a later one

    @property
    def until(self) -> datetime:
        return self.at + INVITED_FOR


@dataclass(frozen=True, slots=True)
class Invitation:
    """What somebody who is invited may know of a session: nothing that was said in it."""

    session_id: str
    title: str
    offer: Offer


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A stored message that a later turn answers."""

    seq: int
    request: TurnRequest  # in the head of its session: who asked, and in which dialect
    parts: int = 0  # rows in which the store keeps the rest of it


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request became that may come again, or whose sender comes back for the answer."""

    key: str  # of the request; "" when it had none
    question: int  # the number of the message that is answered
    turn: int = (
        0  # the number of the turn's answer; 0 while the message waits, its own where none is asked for
    )


@dataclass(frozen=True, slots=True)
class Session:
    """The head of a conversation. `version` is opaque: it changes whenever the stored head does."""

    id: str
    user_id: str  # the owner
    title: str
    created_at: datetime
    updated_at: datetime
    llm_provider: str = ""  # "" means the first of CHAT_PROVIDERS
    llm_model: str = ""  # "" means the provider's own
    settings: JSONObject = field(default_factory=empty_object)
    summary: str = ""  # of the messages up to `summary_until`
    summary_until: int = 0
    is_active: bool = True
    listed: bool = True  # one that is not is in no list, and goes with the events of its newest turn
    message_count: int = 0
    last_seq: int = 0  # of the newest message; the next one gets last_seq + 1
    running_turn: str = ""  # id, or "" when none runs
    waiting: tuple[WaitingMessage, ...] = ()  # what came while it ran
    asked: tuple[Asked, ...] = ()  # the newest, and all that wait
    members: Mapping[str, MemberRole] = field(default_factory=dict[str, MemberRole])  # all but the owner
    invited: Mapping[str, Offer] = field(
        default_factory=dict[str, Offer]
    )  # with those that nobody answered in time
    start_nonce: str = ""  # of the newest turn, so that a repeated start can be recognised
    version: str = ""

    def asked_by(self, key: str) -> Asked | None:
        """What the request of that key became."""
        return next((each for each in self.asked if key and each.key == key), None)

    def asked_about(self, seq: int) -> Asked | None:
        """What became of a message that waited."""
        return next((each for each in reversed(self.asked) if each.question == seq), None)

    def role_of(self, user_id: str) -> MemberRole | None:
        """What this user may do here; None for a stranger."""
        return "owner" if user_id == self.user_id else self.members.get(user_id)

    def offers(self, now: datetime) -> dict[str, Offer]:
        """Who is invited, and may still accept."""
        return {user_id: each for user_id, each in self.invited.items() if each.until > now}

    def allows(self, user_id: str, need: MemberRole) -> bool:
        """Whether the user's role is that one or a higher one."""
        role = self.role_of(user_id)
        return role is not None and MEMBER_ROLES.index(role) >= MEMBER_ROLES.index(need)


@dataclass(frozen=True, slots=True)
class TurnError:
    """Why a turn failed: a code of the error tree and a sentence for people."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One user message and everything that answers it. `id` is the id of the assistant message it writes.

    `version` is opaque and stands still while the turn runs: whoever ends the turn must still hold it.
    """

    id: str
    session_id: str
    request: TurnRequest  # as it is kept: see `TurnRequest.kept`
    user_message_id: str
    state: TurnState
    instance_id: str  # the instance whose lease the turn lives by
    started_at: datetime
    listed: bool = True  # whether its session is
    ended_at: datetime | None = None
    ended_by: str = ""  # names whoever wrote the end of a turn that nobody made any more
    last_event: int = 0
    error: TurnError | None = None
    usage: Usage | None = None
    attempts: tuple[JSONObject, ...] = ()  # one a model call: provider, model, outcome, times
    nonce: str = ""
    version: str = ""

    @property
    def user_id(self) -> str:
        """Who asked."""
        return self.request.user_id

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def hidden(self) -> bool:
        """Whether its asker wants nobody to find it by its id, but for the one who follows it now."""
        return self.request.client.get(HIDDEN) is True

    @property
    def ids(self) -> dict[str, str]:
        """By which its asker finds all of it; `message_id` is that of the question."""
        return {"session_id": self.session_id, "turn_id": self.id, "message_id": self.user_message_id}
