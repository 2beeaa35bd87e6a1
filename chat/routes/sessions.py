"""Sessions over HTTP."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import note_made
from chat.auth.base import Principal
from chat.conversation import Session
from chat.dialects.shapes import show_session
from chat.errors import Forbidden, NotFound, ValidationError
from chat.events import JSONObject
from chat.news import SessionChanged
from chat.routes.once import promised_id
from chat.routes.pages import read_page, show_page
from chat.routes.replies import json_reply
from chat.routes.requests import nonce_of, read_query
from chat.routes.schemas import NewSessionBody, PageQuery, SessionBody
from chat.store.conversation_store import SessionChanges, SessionDraft


async def create_session(
    app: ChatApp, principal: Principal, request: Request, body: NewSessionBody
) -> Response:
    """`POST /api/v1/chat/sessions`"""
    _check_provider(app, body.llm_provider)
    session_id = promised_id(request) or app.ids.new()
    draft = SessionDraft(
        session_id, body.title, body.llm_provider or "", body.llm_model, settings=body.settings
    )
    session = await app.conversations.create_session(principal.user_id, draft)
    app.records.session_created(session)
    await note_made(app, principal.user_id, nonce_of(request), {"session_id": session.id})
    return json_reply(_show(app, session), status=201)


async def create_again(
    app: ChatApp, principal: Principal, _request: Request, made: Mapping[str, str]
) -> Response:
    """The session that is there, as it is now."""
    session = await app.conversations.get_session(principal.user_id, made["session_id"])
    return json_reply(_show(app, session), status=201)


async def list_sessions(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/sessions`, newest first. `cursor` is quicker than a late `page`."""
    query = read_query(request, PageQuery)
    user_id = principal.user_id
    page = await read_page(
        query,
        lambda cursor: app.conversations.list_sessions(user_id, limit=query.page_size, cursor=cursor),
    )
    about = await show_page(query, page, partial(app.conversations.count_sessions, user_id))
    return json_reply({"sessions": [_show(app, session) for session in page.items], **about})


async def get_session(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/sessions/{id}`"""
    session = await app.conversations.get_session(principal.user_id, request.path_params["session_id"])
    app.answer_left(session)
    if session.running_turn:
        turn = await app.runner.look(principal.user_id, session.running_turn)
        session = session if turn.running else replace(session, running_turn="")
    return json_reply(_show(app, session))


async def update_session(app: ChatApp, principal: Principal, request: Request, body: SessionBody) -> Response:
    """`PUT /api/v1/chat/sessions/{id}`. What it says counts from the next turn on."""
    _check_provider(app, body.llm_provider)
    changes = SessionChanges(
        title=body.title,
        is_active=body.is_active,
        llm_provider=body.llm_provider,
        llm_model=body.llm_model,
        settings=body.settings,
    )
    session = await app.conversations.update_session(
        principal.user_id, request.path_params["session_id"], changes
    )
    app.tell(session.id, SessionChanged(session, app.settings.providers[0]))
    return json_reply(_show(app, session))


async def delete_session(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`DELETE /api/v1/chat/sessions/{id}`"""
    session_id = request.path_params["session_id"]
    delete = partial(app.runner.delete_session, principal.user_id, session_id)
    try:
        session = await app.conversations.get_session(principal.user_id, session_id)
    except NotFound:
        await delete()  # a removal that was cut off goes on
        raise
    if not session.allows(principal.user_id, "owner"):
        raise Forbidden
    await app.evictions.during(session_id, "", delete)
    return json_reply({"message": "Session deleted", "id": session_id})


def _check_provider(app: ChatApp, name: str | None) -> None:
    if name and name not in app.settings.providers:
        raise ValidationError("llm_provider", f"Not one of {', '.join(app.settings.providers)}")


def _show(app: ChatApp, session: Session) -> JSONObject:
    return show_session(session, default_provider=app.settings.providers[0])
