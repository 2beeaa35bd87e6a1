"""The port of who may be in a session: members, those who are invited, and the owner.

To a stranger a session is `SessionNotFound`, and to a member whose role is too low what they ask for is `Forbidden`.
Nobody becomes a member without having accepted.
"""

from typing import Protocol

from chat.conversation import Invitation, MemberRole, Session
from chat.messages import Page

MEMBERS_SIZE = 30_000
"""Bytes of the members of a session and of those who are invited, as JSON: a property of the store holds 32,768."""

INVITATIONS = 100
"""Open invitations that one user may have, whoever sent them."""

INVITATIONS_EACH = 10
"""Of those, what one user may have sent: so it takes many to fill somebody's list."""


class MemberStore(Protocol):
    """Members and invitations. Each call has one outcome, whatever others do at the same time."""

    async def set_member(self, user_id: str, session_id: str, member_id: str, role: MemberRole) -> Session:
        """Invite somebody; change what is offered to one who is invited, or what a member may do. The session as it is
        then. The owner may. Safe to repeat.
        ValidationError for the owner as a member, or for too many; TooManyInvitations; Conflict where the session is
        not listed."""
        ...

    async def remove_member(self, user_id: str, session_id: str, member_id: str) -> Session:
        """Take a member out, or an invitation back: afterwards they are neither, even when they accept at the same
        moment. The owner may, and members may leave. Nothing happens to one who is neither.
        ValidationError for the owner, who hands the session over first."""
        ...

    async def set_owner(
        self, user_id: str, session_id: str, owner_id: str, *, as_admin: bool = False
    ) -> Session:
        """Make a member the owner, and the owner an editor, in one step. The owner may, and an admin who need not be
        a member. ValidationError when `owner_id` is no member. Nothing happens to one who is the owner."""
        ...

    async def list_invitations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Invitation]:
        """One's own that are open, newest first. ValidationError("cursor", ...) for a cursor not ours."""
        ...

    async def count_invitations(self, user_id: str) -> int:
        """How many that list has."""
        ...

    async def accept_invitation(self, user_id: str, session_id: str) -> Session:
        """Become a member, with the role that is offered. Nothing happens to one who is a member.
        InvitationNotFound."""
        ...

    async def decline_invitation(self, user_id: str, session_id: str) -> Session:
        """End one's invitation; the session that it was to, for those who are in it. InvitationNotFound."""
        ...
