"""The port of the audit log: what admins read of other people's, and did with it. Lines are added and never changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from chat.messages import Page


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, with what is whose, when."""

    at: datetime
    actor: str  # user id of the admin
    action: str  # the name of the route, such as `list_messages`
    user_id: str  # whose it is; "" when it is nobody's alone
    path: str  # that was asked for, without its query
    to: str = ""  # user id of whoever it is given to, where it is given away


class AuditStore(Protocol):
    """Who may ask is checked before."""

    async def note_audit(self, entry: AuditEntry) -> None:
        """Add a line. Whoever cannot add it must not do what it tells of: StoreUnavailable."""
        ...

    async def list_audit(self, *, limit: int, cursor: str | None = None) -> Page[AuditEntry]:
        """Newest first. ValidationError("cursor", ...) for a cursor not ours."""
        ...

    async def forget_audit(self, *, before: datetime) -> int:
        """Remove the lines that are older, a thousand at most in a call. How many."""
        ...
