"""One's own invitations over HTTP (docs/protocol.md, section 7)."""

from functools import partial

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.dialects.shapes import show_invitation, show_session
from chat.routes.members import tell_members
from chat.routes.pages import read_page, show_page
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.schemas import PageQuery


async def list_invitations(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/invitations`, newest first."""
    query, user_id = read_query(request, PageQuery), principal.user_id
    page = await read_page(
        query,
        lambda cursor: app.members.list_invitations(user_id, limit=query.page_size, cursor=cursor),
    )
    about = await show_page(query, page, partial(app.members.count_invitations, user_id))
    return json_reply({"invitations": [show_invitation(each) for each in page.items], **about})


async def accept_invitation(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`POST /api/v1/chat/invitations/{session_id}/accept`"""
    session_id = request.path_params["session_id"]
    session = await app.members.accept_invitation(principal.user_id, session_id)
    await tell_members(app, session)
    return json_reply(show_session(session, default_provider=app.settings.providers[0]))


async def decline_invitation(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`POST /api/v1/chat/invitations/{session_id}/decline`"""
    session_id = request.path_params["session_id"]
    await tell_members(app, await app.members.decline_invitation(principal.user_id, session_id))
    return json_reply({"message": "Invitation declined", "session_id": session_id})
