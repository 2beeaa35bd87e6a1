"""The port of who is in a session: its live sockets, and the tickets that let them in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to connect: it stands for one user in one session, in one dialect, for a few minutes."""

    id: str
    session_id: str
    user_id: str
    dialect: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Connection:
    """A live socket in a session."""

    id: str
    session_id: str
    user_id: str
    dialect: str
    since: datetime
    seen: datetime  # when we last knew that it lives


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is in a session: its sockets, and when each user's last one was seen."""

    connections: tuple[Connection, ...] = ()
    last_seen: Mapping[str, datetime] = field(default_factory=dict[str, datetime])


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

    async def leave(self, connection: Connection, seen: datetime) -> bool:
        """A socket is gone. False when it was gone before."""
        ...

    async def connections(self, session_id: str) -> tuple[Connection, ...]:
        """The live sockets alone, which costs half as much."""
        ...

    async def present(self, session_id: str) -> Presence: ...

    async def forget_tickets(self, session_id: str, *, expired_before: datetime) -> None: ...

    async def purge_tickets(self, *, expired_before: datetime) -> int:
        """Remove the tickets of all sessions that nobody used in time. How many."""
        ...
