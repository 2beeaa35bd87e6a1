"""What a room is told beside its turns. Every dialect of a room shows these values in its own words."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from chat.conversation import MemberRole, MemberStatus, Session, Turn
from chat.messages import Message

type MessageAction = Literal["new_message", "updated", "deleted"]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who may be in a session, or may accept to be, and whether they are there."""

    user_id: str
    role: MemberRole
    online: bool
    last_seen: datetime | None  # None for one who never was
    status: MemberStatus = "member"


@dataclass(frozen=True, slots=True)
class Running:
    """The turn that runs when somebody comes, with what it said so far."""

    turn: Turn
    text: str


@dataclass(frozen=True, slots=True)
class Welcome:
    """To a socket that has just opened: where it is, who is there, and what runs."""

    session_id: str
    user_id: str
    connection_id: str
    members: tuple[Member, ...]
    running: Running | None = None


@dataclass(frozen=True, slots=True)
class MessageShown:
    """A message that was stored or changed beside any turn."""

    message: Message
    action: MessageAction = "new_message"


@dataclass(frozen=True, slots=True)
class PersonCame:
    user_id: str
    connection_count: int  # of the session


@dataclass(frozen=True, slots=True)
class PersonLeft:
    user_id: str
    connection_count: int


@dataclass(frozen=True, slots=True)
class PersonTypes:
    user_id: str
    is_typing: bool


@dataclass(frozen=True, slots=True)
class SessionChanged:
    session: Session
    default_provider: str  # of a session that names none


@dataclass(frozen=True, slots=True)
class MembersChanged:
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A word to one user, or to everybody who is about to be sent away."""

    level: Literal["info", "warning"]
    text: str


type News = MessageShown | PersonCame | PersonLeft | PersonTypes | SessionChanged | MembersChanged | Notice
