"""The port of who is in a session: its live sockets, and the tickets that let them in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chat.credentials import Credential


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to connect: it stands for one user in one session, in one dialect, for a few minutes, with the limits of
    what they came with."""

    id: str
    session_id: str
    user_id: str
    dialect: str
    expires: datetime
    credential: Credential = field(default_factory=Credential)


@dataclass(frozen=True, slots=True)
class Connection:
    """A live socket in a session."""

    id: str
    session_id: str
    user_id: str
    dialect: str
    since: datetime
    seen: datetime  # when we last knew that it lives
    joined: bool = False  # it is in its group, and was shown what ran when it came
    knows: str = (
        ""  # the newest turn of a dead process, or that had ended when it came, whose end it was shown
    )


@dataclass(frozen=True, slots=True)
class Person:
    """What a user does in a session: one row, which all processes change in turn."""

    sockets: Mapping[str, bool] = field(default_factory=dict[str, bool])  # by id, whether it is open yet
    seen: datetime | None = None  # when one of them was last seen to leave
    types_until: datetime | None = None

    @property
    def online(self) -> bool:
        return any(self.sockets.values())


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is in a session: its sockets, and when each user's last one was seen."""

    connections: tuple[Connection, ...] = ()
    last_seen: Mapping[str, datetime] = field(default_factory=dict[str, datetime])


@dataclass(frozen=True, slots=True)
class Counted:
    """How many sockets there were in all sessions, and how many seconds ago that was, by the service's clock."""

    sockets: int
    age: float


class PresenceStore(Protocol):
    """The sockets of sessions. Who may ask is checked before: a session is named, no user."""

    async def issue(self, ticket: Ticket) -> None: ...

    async def take(self, session_id: str, ticket_id: str) -> Ticket | None:
        """The ticket, which may be used again until it expires (a client that lost its socket does); None when there
        is none."""
        ...

    async def enter(self, connection: Connection) -> None:
        """A socket is there, or was seen again."""
        ...

    async def find(self, session_id: str, connection_id: str) -> Connection | None:
        """A live socket; None when it is gone."""
        ...

    async def note(
        self,
        session_id: str,
        connection_id: str,
        *,
        seen: datetime | None = None,
        joined: bool | None = None,
        knows: str | None = None,
    ) -> None:
        """Something new of a socket. Nothing happens when it is gone."""
        ...

    async def learn(self, session_id: str, connection_id: str, turn_id: str) -> bool:
        """Note that it knows the turn. False when it did, or is gone: of several who ask at once one is told True."""
        ...

    async def leave(self, connection: Connection) -> None:
        """A socket is gone. Safe to repeat."""
        ...

    async def change_person(
        self, session_id: str, user_id: str, change: Callable[[Person], Person]
    ) -> tuple[Person, Person]:
        """What a user did before and does after `change`, which may be called several times: nobody else's change
        comes between. Nothing is written when it changes nothing; what it raises is raised."""
        ...

    async def connections(self, session_id: str) -> tuple[Connection, ...]:
        """The live sockets alone."""
        ...

    async def present(self, session_id: str) -> Presence: ...

    async def forget_tickets(self, session_id: str, *, expired_before: datetime) -> None: ...

    async def purge_tickets(self, *, expired_before: datetime) -> int:
        """Remove the tickets of all sessions that nobody used in time. How many."""
        ...

    async def note_end(self, connection: Connection, ends: datetime) -> None:
        """Have a socket closed at that time, unless it left by then. Safe to repeat."""
        ...

    async def forget_end(self, connection: Connection, ends: datetime) -> None:
        """It left. Safe to repeat."""
        ...

    async def work_off_ends(self, before: datetime, close: Callable[[Connection], Awaitable[bool]]) -> int:
        """Have `close` see each socket that was to end before then, and forget those that it is done with. How many."""
        ...

    async def note_count(self, sockets: int) -> None:
        """Note how many sockets there are in all sessions now."""
        ...

    async def counted(self) -> Counted | None:
        """What was noted last; None when nothing was yet."""
        ...
