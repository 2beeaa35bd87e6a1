"""Conversations by the names that callers have for them, and requests that go on where an answer waits, or ask for one
anew."""

from collections.abc import Sequence
from dataclasses import replace

from chat.app import ChatApp
from chat.asking.following import follow_on
from chat.calls import Approval, CallAnswer, CallOutput
from chat.conversation import Session
from chat.dialects.base import Asked
from chat.errors import SessionNotFound
from chat.messages import Message, split_message_id
from chat.requests import TurnRequest
from chat.turns.client_calls import LOOKED_BACK, find_continued
from chat.turns.feed import LiveTurn
from chat.turns.tool_history import stored_calls


async def find_place(app: ChatApp, asked: Asked) -> TurnRequest:
    """What was read at a door, as a request in its session, after the answer that it goes on from. GoneOn, where more
    was said after the one that it follows: see `find_branch`."""
    request = await follow_on(app, asked) if asked.after else asked.request
    if asked.chat and not request.session_id:
        request = await _in_chat(app, request, asked.chat)
    if asked.anew is not None and request.session_id:
        return await _anew(app, request, asked.anew)
    if not asked.answers:
        return request
    answers = [_meant(each, asked.after) for each in asked.answers]
    return await going_on(app, request, await _waited_for(app, request, answers))


def _meant(answer: CallAnswer, turn_id: str) -> CallAnswer:
    """An approval in a request that follows a turn is of a call of that turn."""
    if isinstance(answer, Approval) and not answer.turn_id:
        return replace(answer, turn_id=turn_id)
    return answer


async def _waited_for(
    app: ChatApp, request: TurnRequest, answers: Sequence[CallAnswer]
) -> Sequence[CallAnswer]:
    """The answers without outputs that the conversation has already: clients of many protocols send all that they
    show. All of them where none is left, so that the first is named that nobody waits for."""
    messages = await app.conversations.list_messages(
        request.user_id, request.session_id, limit=LOOKED_BACK, newest=True
    )
    calls = (call for each in messages if each.role == "assistant" for call in stored_calls(each.metadata))
    waiting = {str(call["id"]) for call in calls if call["output"] is None}
    new = [each for each in answers if not isinstance(each, CallOutput) or each.call_id in waiting]
    return new or answers


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


async def _anew(app: ChatApp, request: TurnRequest, name: str) -> TurnRequest:
    """The request as one for another answer to a question that was asked before."""
    messages = await app.conversations.list_messages(
        request.user_id, request.session_id, limit=LOOKED_BACK, newest=True
    )
    asked = _question(messages, name, request.content)
    return replace(request, message_id=asked, content="", history=()) if asked else request


def _question(messages: Sequence[Message], name: str, text: str) -> str:
    """The id of the question behind the message of that id, else of the last that said the same, else of the last;
    "" where nobody asked anything."""
    questions = [each for each in messages if each.role == "user"]
    named = [each.parent_message_id for each in messages if each.id == name and each.role == "assistant"]
    known = [each.id for each in questions if each.id in (name, *named)]
    same = [each.id for each in questions if each.content == text]
    return next(reversed(known or same or [each.id for each in questions]), "")


async def _in_chat(app: ChatApp, request: TurnRequest, name: str) -> TurnRequest:
    """The request in the session of that name, or with the id of the session that it makes."""
    session = await find_chat(app, request.user_id, name)
    if session is not None:
        return replace(request, session_id=session.id, history=())
    new_id = request.promised or app.ids.new()
    return replace(request, promised=await app.conversations.claim_session(request.user_id, name, new_id))
