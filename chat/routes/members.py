"""Members of a session over HTTP (docs/protocol.md, section 7)."""

from collections.abc import Iterable

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.conversation import Session
from chat.dialects.shapes import show_members
from chat.errors import Forbidden, NotFound
from chat.events import JSONObject
from chat.news import Member, MembersChanged, Notice, SessionChanged
from chat.rooms.attendance import members_of
from chat.routes.admission import note_act
from chat.routes.replies import json_reply
from chat.routes.schemas import MemberBody, OwnerBody
from chat.user_ids import user_of_path


async def list_members(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/sessions/{id}/members`"""
    session = await app.conversations.get_session(principal.user_id, request.path_params["session_id"])
    return json_reply(_shown(session, await _members(app, session)))


async def put_member(app: ChatApp, principal: Principal, request: Request, body: MemberBody) -> Response:
    """`PUT /api/v1/chat/sessions/{id}/members/{user_id}`: invite somebody, or change what they may do."""
    session_id, user_id = request.path_params["session_id"], user_of_path(request.path_params["user_id"])
    session = await app.members.set_member(principal.user_id, session_id, user_id, body.role)
    if session.role_of(user_id) is not None:
        _notice(app, session, user_id, f"You are now {body.role} of this session.")
    return json_reply(await tell_members(app, session))


async def delete_member(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`DELETE` the same: take somebody out, or leave, or take an invitation back."""
    session_id, user_id = request.path_params["session_id"], user_of_path(request.path_params["user_id"])
    session = await app.conversations.get_session(principal.user_id, session_id)
    invited = user_id in session.offers(app.clock.now())
    if session.role_of(user_id) is None and not invited:
        raise NotFound("There is no such member.")
    if user_id != principal.user_id and not session.allows(principal.user_id, "owner"):
        raise Forbidden
    session = await app.evictions.during(  # of one who is invited, too: they may accept in this moment
        session_id,
        user_id,
        lambda: app.members.remove_member(principal.user_id, session_id, user_id),
    )
    await tell_members(app, session)
    message = "Invitation taken back" if invited else "Member removed"
    return json_reply({"message": message, "session_id": session_id, "user_id": user_id})


async def put_owner(app: ChatApp, principal: Principal, request: Request, body: OwnerBody) -> Response:
    """`PUT /api/v1/chat/sessions/{id}/owner`: hand it over to a member. What is another's an admin may hand over."""
    session_id, as_admin = request.path_params["session_id"], False
    if principal.is_admin:
        session = await app.conversations.load_session(session_id)
        as_admin = session.user_id != principal.user_id
        if as_admin:
            await note_act(app, principal, request, "put_owner", session.user_id, to=body.user_id)
    session = await app.members.set_owner(principal.user_id, session_id, body.user_id, as_admin=as_admin)
    _notice(app, session, body.user_id, "You are now owner of this session.")
    app.tell(session.id, SessionChanged(session, app.settings.providers[0]))
    return json_reply(await tell_members(app, session))


async def tell_members(app: ChatApp, session: Session) -> JSONObject:
    """Show the room who is in it now; the same as a reply."""
    members = await _members(app, session)
    app.tell(session.id, MembersChanged(members))
    return _shown(session, members)


def _notice(app: ChatApp, session: Session, user_id: str, text: str) -> None:
    app.tasks.spawn(app.sockets.tell_user(session.id, user_id, Notice("info", text)))


async def _members(app: ChatApp, session: Session) -> tuple[Member, ...]:
    """Those who are in it, and those who may accept."""
    present = await app.sockets.present(session.id)
    offers = session.offers(app.clock.now()).items()
    invited = (Member(user_id, offer.role, False, None, "invited") for user_id, offer in offers)
    return (*members_of(session, present), *invited)


def _shown(session: Session, members: Iterable[Member]) -> JSONObject:
    return {"session_id": session.id, "members": show_members(members)}
