"""The port of leases and mailboxes: the processes that run turns, and what they tell each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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
    """A socket wants to see a running turn: what was said so far, or what came after the event `after`, of which it
    has the first payload and so many `further` ones."""

    turn_id: str
    connection_id: str
    dialect: str
    after: int | None = None
    further: int = 0


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
