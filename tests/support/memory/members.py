"""Members and invitations, in memory."""

from dataclasses import replace

from chat.conversation import Invitation, MemberRole, Session
from chat.errors import InvitationNotFound, SessionNotFound, TooManyInvitations, ValidationError
from chat.messages import Page
from chat.store.member_store import INVITATIONS, INVITATIONS_EACH
from chat.store.membership import (
    HeadChanges,
    accepted_after,
    declined_after,
    invitation_of,
    invited_after,
    is_new_to,
    offer_of,
    owner_after,
    removed_after,
)
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, StoredSession


class MemoryMembers(MemoryPort):
    """A `MemberStore`."""

    @port
    async def set_member(self, user_id: str, session_id: str, member_id: str, role: MemberRole) -> Session:
        stored, offer = (
            self.rows.owned(user_id, session_id, "owner"),
            offer_of(role, user_id, self.clock.now()),
        )
        given = invited_after(stored.head, member_id, offer)
        if is_new_to(stored.head, member_id, offer.at):
            found = self._invitations(member_id)
            if len(found) >= INVITATIONS or sum(e.offer.by == user_id for e in found) >= INVITATIONS_EACH:
                raise TooManyInvitations
        return self._changed(stored, given)

    @port
    async def remove_member(self, user_id: str, session_id: str, member_id: str) -> Session:
        stored = self.rows.owned(user_id, session_id, "viewer" if user_id == member_id else "owner")
        return self._changed(stored, removed_after(stored.head, member_id))

    @port
    async def set_owner(
        self, user_id: str, session_id: str, owner_id: str, *, as_admin: bool = False
    ) -> Session:
        stored = self.rows.known(session_id) if as_admin else self.rows.owned(user_id, session_id, "owner")
        return self._changed(stored, owner_after(stored.head, owner_id))

    @port
    async def list_invitations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Invitation]:
        if cursor is not None and not cursor.startswith("before:"):
            raise ValidationError("cursor", "This is not a cursor of this list")
        found = sorted(self._invitations(user_id), key=_place, reverse=True)
        if cursor is not None:
            found = [each for each in found if f"before:{_place(each)}" < cursor]
        more = f"before:{_place(found[limit - 1])}" if len(found) > limit else None
        return Page(tuple(found[:limit]), more)

    @port
    async def count_invitations(self, user_id: str) -> int:
        return len(self._invitations(user_id))

    @port
    async def accept_invitation(self, user_id: str, session_id: str) -> Session:
        stored = self._invited_to(session_id)
        return self._changed(stored, accepted_after(stored.head, user_id, self.clock.now()))

    @port
    async def decline_invitation(self, user_id: str, session_id: str) -> Session:
        stored = self._invited_to(session_id)
        if user_id not in stored.head.offers(self.clock.now()):
            raise InvitationNotFound
        return self._changed(stored, declined_after(stored.head, user_id))

    def _invited_to(self, session_id: str) -> StoredSession:
        try:
            return self.rows.known(session_id)
        except SessionNotFound:
            raise InvitationNotFound from None

    def _invitations(self, user_id: str) -> list[Invitation]:
        now = self.clock.now()
        found = (invitation_of(stored.head, user_id, now) for stored in self.rows.sessions.values())
        return [each for each in found if each is not None]

    def _changed(self, stored: StoredSession, given: HeadChanges | None) -> Session:
        if given is not None:
            now = max(self.clock.now(), stored.head.updated_at)
            self.rows.set_head(stored, replace(stored.head, **given, updated_at=now))
        return stored.head


def _place(invitation: Invitation) -> str:
    return f"{invitation.offer.at.isoformat()} {invitation.session_id}"
