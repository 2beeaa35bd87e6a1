"""Members of a session over HTTP (docs/protocol.md, section 7)."""

from collections.abc import Iterable

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.conversation import Session
from chat.dialects.shapes import show_members
from chat.errors import Forbidden, NotFound
from chat.events import JSONObject
from chat.news import Member, MembersChanged, Notice
from chat.rooms.attendance import members_of
from chat.routes.replies import json_reply
from chat.routes.schemas import MemberBody
from chat.user_ids import user_of_path


async def list_members(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/sessions/{id}/members`"""
    session = await app.conversations.get_session(principal.user_id, request.path_params["session_id"])
    return json_reply(_shown(session, await _members(app, session)))


async def put_member(app: ChatApp, principal: Principal, request: Request, body: MemberBody) -> Response:
    """`PUT /api/v1/chat/sessions/{id}/members/{user_id}`: let somebody in, or change what they may do."""
    session_id, user_id = request.path_params["session_id"], user_of_path(request.path_params["user_id"])
    session = await app.conversations.set_member(principal.user_id, session_id, user_id, body.role)
    notice = Notice("info", f"You are now {body.role} of this session.")
    app.tasks.spawn(app.sockets.tell_user(session_id, user_id, notice))
    return json_reply(await _changed(app, session))


async def delete_member(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`DELETE` the same: take somebody out, or leave."""
    session_id, user_id = request.path_params["session_id"], user_of_path(request.path_params["user_id"])
    session = await app.conversations.get_session(principal.user_id, session_id)
    if session.role_of(user_id) is None:
        raise NotFound("There is no such member.")
    if user_id != principal.user_id and not session.allows(principal.user_id, "owner"):
        raise Forbidden
    session = await app.evictions.during(
        session_id,
        user_id,
        lambda: app.conversations.set_member(principal.user_id, session_id, user_id, None),
    )
    await _changed(app, session)
    return json_reply({"message": "Member removed", "session_id": session_id, "user_id": user_id})


async def _changed(app: ChatApp, session: Session) -> JSONObject:
    members = await _members(app, session)
    app.tell(session.id, MembersChanged(members))
    return _shown(session, members)


async def _members(app: ChatApp, session: Session) -> tuple[Member, ...]:
    present = await app.sockets.present(session.id)
    return members_of(session, present)


def _shown(session: Session, members: Iterable[Member]) -> JSONObject:
    return {"session_id": session.id, "members": show_members(members)}
