"""Chats whose turns are followed and stopped by the chat's name, beside a dialect's door (docs/protocols.md)."""

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.joining import find_live, joined
from chat.auth.base import Principal
from chat.dialects.base import Encoder
from chat.dialects.framing import Counted
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.streams import OPENING, stream_turn
from chat.routes.ui_stream_schemas import UIResumeQuery, UIStopBody
from chat.turns.feed import LiveTurn

TAIL = "x-workflow-stream-tail-index"


async def resume_ui_stream(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`GET /api/chat/{chat_id}/stream`: the turn that runs in a chat, by the chat's name, a session's id or the turn's
    own; 204 where none does. From its beginning, with what its message had before; with `startIndex` what follows so
    many chunks, also of a turn that has ended."""
    start = read_query(request, UIResumeQuery).startIndex
    name = request.path_params["chat_id"]
    live = await find_live(app, principal.user_id, name, ended=start is not None)
    if live is None:
        return Response(status_code=204)
    spoken = app.dialects[dialect]
    if start is None or name != live.turn.id:  # who counts the chunks of a turn has its message
        spoken = await joined(app, principal.user_id, live.turn, spoken)
    headers: dict[str, str] = {}
    if start is not None and start < 0:
        known = await _count(live, spoken.encoder(live.turn))
        headers[TAIL], start = str(known - 1), max(known + start, 0)
    framing = spoken.door.framing if spoken.door else None
    reply = stream_turn(app, principal, live, spoken, after=Counted(start or 0), framing=framing)
    reply.headers.update(headers)
    return reply


async def stop_ui_stream(app: ChatApp, principal: Principal, request: Request, body: UIStopBody) -> Response:
    """`POST /api/chat/{chat_id}/stop`: nothing where none runs, or another one than is named."""
    live = await find_live(app, principal.user_id, request.path_params["chat_id"], ended=False)
    if live is not None and body.activeStreamId in ("", live.turn.id):
        await app.runner.cancel(principal.user_id, live.turn.id)
    return json_reply({"success": True})


async def _count(live: LiveTurn, encoder: Encoder) -> int:
    """How many chunks there are so far."""
    await live.feed.opening(OPENING)
    return sum(len(list(encoder.encode(each))) for each in live.feed.events)
