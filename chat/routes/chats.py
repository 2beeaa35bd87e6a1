"""Conversations by the names that callers have for them, and requests that go on where an answer waits."""

from collections.abc import Sequence
from dataclasses import replace

from chat.app import ChatApp
from chat.calls import CallAnswer
from chat.conversation import Session
from chat.dialects.base import Asked
from chat.errors import SessionNotFound
from chat.messages import split_message_id
from chat.requests import TurnRequest
from chat.routes.following import follow_on
from chat.turns.client_calls import find_continued
from chat.turns.feed import LiveTurn


async def find_place(app: ChatApp, asked: Asked) -> TurnRequest:
    """What was read at a door, as a request in its session, after the answer that it goes on from. GoneOn, where more
    was said after the one that it follows: see `find_branch`."""
    request = await follow_on(app, asked) if asked.after else asked.request
    if asked.chat and not request.session_id:
        request = await _in_chat(app, request, asked.chat)
    return await going_on(app, request, asked.answers) if asked.answers else request


async def find_chat(app: ChatApp, user_id: str, name: str) -> Session | None:
    """The session that one means by its id, by that of a turn or a message in it, or by an alias of one's own."""
    place = split_message_id(name)
    for session_id in filter(None, (name, place[0] if place else "")):
        try:
            return await app.conversations.get_session(user_id, session_id)
        except SessionNotFound:
            pass
    session_id = await app.conversations.find_claimed(user_id, name)
    try:
        return await app.conversations.get_session(user_id, session_id) if session_id else None
    except SessionNotFound:
        return None


async def find_running(app: ChatApp, user_id: str, name: str) -> LiveTurn | None:
    """The turn that runs in a chat. TurnNotFound, EventsGone: it has ended meanwhile."""
    session = await find_chat(app, user_id, name)
    if session is None or not session.running_turn:
        return None
    return await app.runner.open(user_id, session.running_turn)


async def going_on(app: ChatApp, turn: TurnRequest, answers: Sequence[CallAnswer]) -> TurnRequest:
    """The turn as one that goes on from the answer whose calls wait for these, to the same question."""
    return await find_continued(app.conversations, app.turns, app.tools, turn, answers)


async def _in_chat(app: ChatApp, request: TurnRequest, name: str) -> TurnRequest:
    """The request in the session of that name, or with the id of the session that it makes."""
    session = await find_chat(app, request.user_id, name)
    if session is not None:
        return replace(request, session_id=session.id, history=())
    new_id = request.promised or app.ids.new()
    return replace(request, promised=await app.conversations.claim_session(request.user_id, name, new_id))
