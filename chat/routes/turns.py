"""Turns over HTTP: start, follow, look at, stop."""

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.chats import going_on
from chat.auth.base import Principal
from chat.dialects.shapes import show_turn
from chat.errors import ValidationError
from chat.requests import TRIP, TurnRequest
from chat.routes.replies import json_reply
from chat.routes.requests import nonce_of, read_query
from chat.routes.schemas import FollowQuery, RegenerateBody, StreamQuery, TurnBody, TurnQuery
from chat.routes.streams import find_cursor, find_dialect, start_and_stream, stream_turn
from chat.routes.tool_schemas import read_answers, read_tools
from chat.schemas.fields import check_size


async def start_turn(app: ChatApp, principal: Principal, request: Request, body: TurnBody) -> Response:
    """`POST /api/v1/chat/sessions/{id}/turns`"""
    body.check_question()
    check_size("content", body.content or "", limit=app.settings.max_message_bytes)
    query = read_query(request, TurnQuery)
    pipeline = _pipeline(query.pipeline or body.pipeline or "")
    turn = TurnRequest(
        principal.user_id,
        content=body.content or "",
        message_id=body.message_id or "",
        session_id=request.path_params["session_id"],
        dialect=find_dialect(app, query.dialect, body.dialect, pipeline=pipeline),
        pipeline=pipeline,
        input=body.input_of(pipeline),
        nonce=nonce_of(request),
        settings=body.settings,
        tools=read_tools(body.tools, app.tools.definitions),
    )
    if answers := read_answers(body.tool_outputs, body.approvals):
        turn = await going_on(app, turn, answers)
    return await start_and_stream(app, principal, turn, body.on_busy)


def _pipeline(name: str) -> str:
    if name not in ("", TRIP):
        raise ValidationError("pipeline", f"Not one of {TRIP}")
    return name


async def regenerate(app: ChatApp, principal: Principal, request: Request, body: RegenerateBody) -> Response:
    """`POST /api/v1/chat/messages/{id}/regenerate`: the question behind a message is answered anew. The answer that
    was there stays in the list; what the model is shown from now on is the new one."""
    message = await app.conversations.get_message(principal.user_id, request.path_params["message_id"])
    question = message.id
    if message.role == "assistant":
        question = (await app.runner.look(principal.user_id, message.id)).user_message_id
    return await start_and_stream(
        app,
        principal,
        TurnRequest(
            principal.user_id,
            message_id=question,
            session_id=message.session_id,
            dialect=find_dialect(app, read_query(request, StreamQuery).dialect, body.dialect),
            nonce=nonce_of(request),
        ),
    )


async def get_turn(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/turns/{id}`"""
    turn = await app.runner.look(principal.user_id, request.path_params["turn_id"])
    return json_reply(show_turn(turn))


async def follow_turn(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/turns/{id}/events`"""
    query = read_query(request, FollowQuery)
    dialect = find_dialect(app, query.dialect)
    cursor = find_cursor(request, query.after)
    live = await app.runner.open(principal.user_id, request.path_params["turn_id"])
    return stream_turn(app, principal, live, app.dialects[dialect], after=cursor)


async def cancel_turn(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`POST /api/v1/chat/turns/{id}/cancel`"""
    turn = await app.runner.cancel(principal.user_id, request.path_params["turn_id"])
    return json_reply(show_turn(turn))
