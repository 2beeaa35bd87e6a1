"""Chats whose turns are followed and stopped by the chat's name, beside a dialect's door (docs/protocols.md)."""

from dataclasses import replace
from functools import partial

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.conversation import Turn
from chat.dialects.base import Dialect, Earlier, Encoder
from chat.dialects.framing import Counted
from chat.errors import EventsGone, NotFound
from chat.messages import split_message_id
from chat.routes.chats import find_running
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.streams import OPENING, stream_turn
from chat.routes.ui_stream_schemas import UIResumeQuery, UIStopBody
from chat.turns.feed import LiveTurn
from chat.turns.tool_history import stored_calls

EARLIER = 16  # turns that one message is made of, as far back as it is shown again
TAIL = "x-workflow-stream-tail-index"


async def resume_ui_stream(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`GET /api/chat/{chat_id}/stream`: the turn that runs in a chat, by the chat's name, a session's id or the turn's
    own; 204 where none does. From its beginning, with what its message had before; with `startIndex` what follows so
    many chunks, also of a turn that has ended."""
    start = read_query(request, UIResumeQuery).startIndex
    name = request.path_params["chat_id"]
    live = await _find(app, principal.user_id, name, ended=start is not None)
    if live is None:
        return Response(status_code=204)
    spoken = app.dialects[dialect]
    if start is None or name != live.turn.id:  # who counts the chunks of a turn has its message
        spoken = await _joined(app, principal.user_id, live.turn, spoken)
    headers: dict[str, str] = {}
    if start is not None and start < 0:
        known = await _count(live, spoken.encoder(live.turn))
        headers[TAIL], start = str(known - 1), max(known + start, 0)
    framing = spoken.door.framing if spoken.door else None
    reply = stream_turn(app, principal, live, spoken, after=Counted(start or 0), framing=framing)
    reply.headers.update(headers)
    return reply


async def _joined(app: ChatApp, user_id: str, turn: Turn, dialect: Dialect) -> Dialect:
    """What shows the turn with those that it goes on from."""
    if dialect.joined is None or not (earlier := await _earlier(app, user_id, turn)):
        return dialect
    return replace(dialect, encoder=partial(dialect.joined, earlier=earlier))


async def stop_ui_stream(app: ChatApp, principal: Principal, request: Request, body: UIStopBody) -> Response:
    """`POST /api/chat/{chat_id}/stop`: nothing where none runs, or another one than is named."""
    live = await _find(app, principal.user_id, request.path_params["chat_id"], ended=False)
    if live is not None and body.activeStreamId in ("", live.turn.id):
        await app.runner.cancel(principal.user_id, live.turn.id)
    return json_reply({"success": True})


async def _find(app: ChatApp, user_id: str, name: str, *, ended: bool) -> LiveTurn | None:
    """The turn of that id, or the one that runs in the chat of that name. EventsGone."""
    if split_message_id(name):
        try:
            live = await app.runner.open(user_id, name)
            return live if ended or live.turn.running else None
        except NotFound:
            pass
    try:
        return await find_running(app, user_id, name)
    except (NotFound, EventsGone):
        return None


async def _count(live: LiveTurn, encoder: Encoder) -> int:
    """How many chunks there are so far."""
    await live.feed.opening(OPENING)
    return sum(len(list(encoder.encode(each))) for each in live.feed.events)


async def _earlier(app: ChatApp, user_id: str, turn: Turn) -> list[Earlier]:
    """The turns that one goes on from, the oldest first, as far as they are still there."""
    found: list[Earlier] = []
    message = await app.conversations.get_message(user_id, turn.id)
    while len(found) < EARLIER and (continued := str(message.metadata.get("continues", ""))):
        try:
            live = await app.runner.open(user_id, continued)
            found.insert(0, Earlier(live.turn, live.feed.events, stored_calls(message.metadata)))
            message = await app.conversations.get_message(user_id, continued)
        except (NotFound, EventsGone):
            break
    return found
