"""Who is in a session after somebody was invited, accepted, left or took over: the rules that every store shares.

Each function gives the fields of the head that become something else, or None when all is as it is wanted.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from chat.conversation import Invitation, MemberRole, Offer, Session
from chat.errors import Conflict, InvitationNotFound, ValidationError
from chat.events import JSONObject
from chat.store.member_store import MEMBERS_SIZE

type HeadChanges = Mapping[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def offer_of(role: MemberRole, by: str, now: datetime) -> Offer:
    """As it comes back from the store."""
    return Offer(role, by, at=_moment(milliseconds(now)))


def is_new_to(session: Session, user_id: str, now: datetime) -> bool:
    """Whether they are neither a member nor invited: then `invited_after` invites them."""
    return session.role_of(user_id) is None and user_id not in session.offers(now)


def invited_after(session: Session, user_id: str, offer: Offer) -> HeadChanges | None:
    """One who is no member is invited; one who is, or is invited already, gets another role. ValidationError, Conflict
    where the session is not kept."""
    if not session.listed:
        raise Conflict("This conversation is not kept: nobody can be invited to it.")
    if user_id == session.user_id:
        raise ValidationError("user_id", "The owner's role cannot be changed: hand the session over")
    members, offers = dict(session.members), session.offers(offer.at)
    if user_id in members:
        members[user_id] = offer.role
        return None if members == session.members else {"members": members}
    known = offers.get(user_id)
    if known is not None and known.role == offer.role:
        return None
    offers[user_id] = Offer(offer.role, known.by, known.at) if known else offer
    if known is None and len(orjson.dumps([members, offers_to_json(offers)])) > MEMBERS_SIZE:
        raise ValidationError("user_id", "The session has as many members as it can have")
    return {"invited": offers}


def removed_after(session: Session, user_id: str) -> HeadChanges | None:
    """They are neither a member nor invited. ValidationError."""
    if user_id == session.user_id:
        raise ValidationError("user_id", "The owner cannot leave: hand the session over, or delete it")
    changes: dict[str, Any] = {}
    if user_id in session.members:
        changes["members"] = _without(session.members, user_id)
    if user_id in session.invited:
        changes["invited"] = _without(session.invited, user_id)
    return changes or None


def accepted_after(session: Session, user_id: str, now: datetime) -> HeadChanges | None:
    """They are a member, as was offered. InvitationNotFound."""
    if session.role_of(user_id) is not None:
        return None
    offers = session.offers(now)
    if user_id not in offers:
        raise InvitationNotFound
    members = {**session.members, user_id: offers[user_id].role}
    return {"members": members, "invited": _without(offers, user_id)}


def declined_after(session: Session, user_id: str) -> HeadChanges | None:
    """They are not invited any more. InvitationNotFound for one who has accepted."""
    if session.role_of(user_id) is not None:
        raise InvitationNotFound
    return {"invited": _without(session.invited, user_id)} if user_id in session.invited else None


def owner_after(session: Session, owner_id: str) -> HeadChanges | None:
    """A member owns it, and whoever did is an editor. ValidationError."""
    if owner_id == session.user_id:
        return None
    if owner_id not in session.members:
        raise ValidationError("user_id", "Only a member can become the owner")
    members = _without(session.members, owner_id)
    return {"user_id": owner_id, "members": {**members, session.user_id: "editor"}}


def invitation_of(session: Session, user_id: str, now: datetime) -> Invitation | None:
    """What they may know of the session, as long as they may accept."""
    offer = session.offers(now).get(user_id)
    return offer and Invitation(session.id, session.title, offer)


def offers_to_json(offers: Mapping[str, Offer]) -> JSONObject:
    return {user_id: [each.role, each.by, milliseconds(each.at)] for user_id, each in offers.items()}


def offers_from_json(value: JSONObject) -> dict[str, Offer]:
    stored = cast("dict[str, tuple[MemberRole, str, int]]", value)
    return {user_id: Offer(role, by, _moment(at)) for user_id, (role, by, at) in stored.items()}


def milliseconds(when: datetime) -> int:
    """Since 1970, whole ones."""
    return (when - EPOCH) // MILLISECOND


def _moment(number: int) -> datetime:
    return EPOCH + number * MILLISECOND


def _without[T](users: Mapping[str, T], user_id: str) -> dict[str, T]:
    return {name: each for name, each in users.items() if name != user_id}
