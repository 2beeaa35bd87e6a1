"""Rows of those who are invited, in their partition of the table `directory`: what stands in the head of the session is
what counts, and a row is there before it does.

A process that ends in between leaves a row that leads nowhere: it is not shown, and removed by whoever comes upon it
after a day, or by the timer when the invitation would have ended.
"""

from contextlib import suppress
from datetime import datetime
from hashlib import sha256

from chat.clock import Clock
from chat.conversation import INVITED_FOR, Invitation, Offer, Session
from chat.errors import SessionNotFound, TooManyInvitations
from chat.messages import Page
from chat.store.drafts import LAST_MILLISECOND
from chat.store.member_store import INVITATIONS, INVITATIONS_EACH
from chat.store.membership import HeadChanges, declined_after, invitation_of, milliseconds
from chat.store.tables import table_lists
from chat.store.tables.table_client import Row, Table
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_heads import Heads
from chat.store.tables.table_keys import escaped
from chat.store.tables.table_lists import UserLists
from chat.store.tables.table_properties import Entity, integer

LIST = table_lists.INVITATIONS


class TableInvitations:
    """The lists of invitations. For the other stores on tables."""

    def __init__(self, directory: Table, heads: Heads, lists: UserLists, due: DueRows, clock: Clock) -> None:
        self._directory = directory
        self._heads = heads
        self._lists = lists
        self._due = due
        self._clock = clock

    async def announce(self, user_id: str, session_id: str, offer: Offer) -> None:
        """Put it into the user's list, where it is shown once it stands in the head. TooManyInvitations.

        Of those who come at the same moment each counts the others, since its row is written: so there are never more
        than there may be."""
        await self._check_room(user_id, offer, beside=1)
        fields: Entity = {
            "session_id": session_id,
            "at": (milliseconds(offer.at), "Edm.Int64"),
            "invited_by": offer.by,
        }
        name = _name(user_id, session_id)
        await self._due.note("due-invitations", offer.until, name, user_id=user_id, **fields)
        keys = {"PartitionKey": escaped(user_id), "RowKey": _key(session_id, milliseconds(offer.at))}
        await self._directory.upsert({**keys, **fields})
        try:
            await self._check_room(user_id, offer, beside=0)
        except TooManyInvitations:
            await self.withdraw(user_id, session_id, offer)
            raise

    async def withdraw(self, user_id: str, session_id: str, offer: Offer) -> None:
        """The reverse of `announce`. Safe to repeat."""
        await self._directory.delete(escaped(user_id), _key(session_id, milliseconds(offer.at)))
        await self._due.drop("due-invitations", offer.until, _name(user_id, session_id))

    async def page(self, user_id: str, *, limit: int, cursor: str | None) -> Page[Invitation]:
        async def show(row: Row) -> Invitation | None:
            try:
                session = await self._heads.load(row.values["session_id"])
            except SessionNotFound:
                return None
            found = invitation_of(session, user_id, self._clock.now())
            return found if found and _is_of(row, found.offer) else None

        return await self._lists.page(LIST, user_id, show, limit=limit, cursor=cursor)

    async def forget(self, before: datetime) -> int:
        """Remove those that ended before then, and what came to nothing. How many were looked at."""

        async def forget_ended(due: Row) -> bool:
            user_id, session_id = due.values["user_id"], due.values["session_id"]

            async def change(session: Session) -> HeadChanges | None:
                offer = session.invited.get(user_id)
                return declined_after(session, user_id) if offer and _is_of(due, offer) else None

            with suppress(SessionNotFound):
                await self._heads.change(session_id, change)
            await self._directory.delete(escaped(user_id), _key(session_id, integer(due.values["at"])))
            return True

        return await self._due.work_off("due-invitations", before, forget_ended)

    async def count(self, user_id: str) -> int:
        """The open ones, and what came to nothing and is not removed yet."""
        return len(await self._open(user_id))

    async def _check_room(self, user_id: str, offer: Offer, *, beside: int) -> None:
        """TooManyInvitations, when there are too many with so many more."""
        rows = await self._open(user_id)
        from_the_same = sum(row.values["invited_by"] == offer.by for row in rows)
        if from_the_same + beside > INVITATIONS_EACH:
            raise TooManyInvitations(f"They have not answered {INVITATIONS_EACH} invitations of yours")
        if len(rows) + beside > INVITATIONS:
            raise TooManyInvitations("They have more invitations than they answer")

    async def _open(self, user_id: str) -> list[Row]:
        ended = milliseconds(self._clock.now() - INVITED_FOR)
        rows = await self._lists.lines(LIST, user_id, select=("RowKey", "at", "invited_by"))
        return [row for row in rows if integer(row.values["at"]) > ended]


def _key(session_id: str, at: int) -> str:
    return f"{LIST}{LAST_MILLISECOND - at:013d}-{session_id}"


def _name(user_id: str, session_id: str) -> str:
    """Both can be as long as a key may be."""
    return sha256(f"{escaped(user_id)}/{session_id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _is_of(row: Row, offer: Offer) -> bool:
    """Whether it is this one, and not an earlier or later one to the same session."""
    return integer(row.values["at"]) == milliseconds(offer.at)
