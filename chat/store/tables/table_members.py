"""Members and invitations on tables: the port `MemberStore`.

Both stand in the head of the session, where a change is one guarded write. What users find their sessions by stands in
their own partition: it is written before the head, and removed after it.
"""

from chat.clock import Clock
from chat.conversation import Invitation, MemberRole, Offer, Session
from chat.errors import ChatError, InvitationNotFound, NotFound, SessionNotFound, StoreError
from chat.messages import Page
from chat.store.membership import (
    HeadChanges,
    accepted_after,
    declined_after,
    invited_after,
    is_new_to,
    offer_of,
    owner_after,
    removed_after,
)
from chat.store.tables.table_client import Row
from chat.store.tables.table_heads import Heads, allowed
from chat.store.tables.table_invitations import TableInvitations


class TableMembers:
    """Who may be in the sessions of the table `sessions`."""

    def __init__(self, heads: Heads, invitations: TableInvitations, clock: Clock) -> None:
        self._heads = heads
        self._invitations = invitations
        self._clock = clock

    async def set_member(self, user_id: str, session_id: str, member_id: str, role: MemberRole) -> Session:
        offer, announced = offer_of(role, user_id, self._clock.now()), False

        async def change(session: Session) -> HeadChanges | None:
            nonlocal announced
            given = invited_after(session, member_id, offer)
            if given and not announced and is_new_to(session, member_id, offer.at):
                await self._invitations.announce(member_id, session_id, offer)
                announced = True
            return given

        def permit(session: Session) -> None:
            allowed(user_id, session, "owner")

        try:
            session = await self._heads.change(session_id, change, permit)
        except ChatError as error:
            if announced and not isinstance(error, StoreError):  # else it may stand in the head
                await self._invitations.withdraw(member_id, session_id, offer)
            raise
        if announced and not _stands(session, member_id, offer):  # somebody else invited them
            await self._invitations.withdraw(member_id, session_id, offer)
        return session

    async def remove_member(self, user_id: str, session_id: str, member_id: str) -> Session:
        line: Row | None = None
        offer: Offer | None = None

        async def change(session: Session) -> HeadChanges | None:
            nonlocal line, offer
            given = removed_after(session, member_id)
            offer = session.invited.get(member_id, offer)
            if given and member_id in session.members:
                line = await self._heads.line(member_id, session_id)
            return given

        def permit(session: Session) -> None:
            allowed(user_id, session, "viewer" if user_id == member_id else "owner")

        session = await self._heads.change(session_id, change, permit)
        if line is not None:
            await self._heads.strike(member_id, session_id, line.etag)
        await self._forget(member_id, session_id, offer)
        return session

    async def set_owner(
        self, user_id: str, session_id: str, owner_id: str, *, as_admin: bool = False
    ) -> Session:
        async def change(session: Session) -> HeadChanges | None:
            return owner_after(session, owner_id)

        def permit(session: Session) -> None:
            if not as_admin:
                allowed(user_id, session, "owner")

        return await self._heads.change(session_id, change, permit)

    async def list_invitations(
        self, user_id: str, *, limit: int, cursor: str | None = None
    ) -> Page[Invitation]:
        return await self._invitations.page(user_id, limit=limit, cursor=cursor)

    async def count_invitations(self, user_id: str) -> int:
        return await self._invitations.count(user_id)

    async def accept_invitation(self, user_id: str, session_id: str) -> Session:
        offer: Offer | None = None
        listed = ""

        async def change(session: Session) -> HeadChanges | None:
            nonlocal offer, listed
            given = accepted_after(session, user_id, self._clock.now())
            offer = session.invited.get(user_id, offer)
            if given is not None:
                listed = await self._heads.list_up(user_id, session_id)
            return given

        try:
            session = await self._heads.change(session_id, change)
        except NotFound:
            if listed:  # it was taken back in this moment
                await self._heads.strike(user_id, session_id, listed)
            raise InvitationNotFound from None
        await self._forget(user_id, session_id, offer)
        return session

    async def decline_invitation(self, user_id: str, session_id: str) -> Session:
        offer: Offer | None = None

        async def change(session: Session) -> HeadChanges | None:
            nonlocal offer
            offer = session.invited.get(user_id, offer)
            return declined_after(session, user_id)

        def permit(session: Session) -> None:
            if user_id not in session.offers(self._clock.now()):
                raise InvitationNotFound

        try:
            session = await self._heads.change(session_id, change, permit)
        except SessionNotFound:
            raise InvitationNotFound from None
        await self._forget(user_id, session_id, offer)
        return session

    async def _forget(self, user_id: str, session_id: str, offer: Offer | None) -> None:
        """The row of an invitation that stands in the head no more."""
        if offer is not None:
            await self._invitations.withdraw(user_id, session_id, offer)


def _stands(session: Session, user_id: str, offer: Offer) -> bool:
    found = session.invited.get(user_id)
    return found is not None and found.at == offer.at
