"""The way back to conversations and turns, for dialects whose clients have one of their own."""

from dataclasses import replace

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import ask_again
from chat.asking.chats import find_chat
from chat.auth.base import Principal
from chat.conversation import Session, Turn
from chat.dialects.base import Dialect, Encoder, Past, ReturnFace, Spoken
from chat.dialects.framing import Cursor
from chat.errors import MessageNotFound, SessionNotFound, ValidationError
from chat.messages import Message, split_message_id
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.schemas import ReturnQuery
from chat.routes.streams import find_cursor, stream_turn, whole_stream
from chat.turns.branches import current, in_order
from chat.turns.feed import LiveTurn
from chat.turns.tool_history import stored_calls

MOST = 200  # messages that one who comes back is shown at once


async def come_back(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`GET /api/ag-ui`: Joins the run of `runId`, or of the turn of that id, from its first event on, after what was
    said before it. `threadId` alone reads a thread as JSON; with `offset` it joins what runs there, and where nothing
    does, what was said comes as a run of its own."""
    query = read_query(request, ReturnQuery)
    spoken = app.dialects[dialect]
    face = spoken.returns
    assert face is not None, dialect
    if query.runId:
        live = await _find_run(app, principal.user_id, query.runId)
        return await _joined(app, principal, request, live, spoken, face)
    if not query.threadId:
        raise ValidationError("threadId", "Give a threadId or a runId")
    session = await find_chat(app, principal.user_id, query.threadId)
    if not query.offset:
        past = await _past(app, principal.user_id, query, session)
        return json_reply(face.show(past))
    if session is None:
        raise SessionNotFound
    if session.running_turn:
        live = await app.runner.open(principal.user_id, session.running_turn)
        return await _joined(app, principal, request, live, spoken, face)
    assert spoken.framing is not None
    return whole_stream(face.idle(await _past(app, principal.user_id, query, session)), spoken.framing)


async def _find_run(app: ChatApp, user_id: str, name: str) -> LiveTurn:
    """What the request of that name has become, or the turn of that id. TurnNotFound, EventsGone."""
    made = await app.requests.find_made(user_id, name)
    if "turn_id" in made or "message_id" in made:
        return await ask_again(app, user_id, name, made)
    return await app.runner.open(user_id, name)


async def _joined(
    app: ChatApp, principal: Principal, request: Request, live: LiveTurn, dialect: Dialect, face: ReturnFace
) -> Response:
    after, before = find_cursor(request, ""), list[Spoken]()
    if after.number <= 1:  # who is further on has it
        before = await _before(app, principal.user_id, live.turn)

    def encoder(turn: Turn) -> Encoder:
        return face.join(turn, before)

    return stream_turn(app, principal, live, replace(dialect, encoder=encoder), after=after or Cursor())


async def _past(app: ChatApp, user_id: str, query: ReturnQuery, session: Session | None) -> Past:
    """A conversation that nobody has heard of is an empty one: clients ask before they say anything."""
    name = query.threadId or ""
    if session is None:
        return Past(user_id, name, "")
    limit = query.limit
    messages = await app.conversations.list_messages(
        user_id, session.id, limit=limit + 1, before=_seq(query.before, session), newest=True
    )
    older = messages[-limit].id if len(messages) > limit else ""
    messages, running = messages[-limit:], None
    if session.running_turn:
        running = await app.runner.look(user_id, session.running_turn)
        running = running if running.running else None
    said = _without(running, messages) if running else [_spoken(each) for each in current(in_order(messages))]
    return Past(user_id, name, session.id, said, running, older, query.runId or "")


def _seq(cursor: str | None, session: Session) -> int | None:
    place = split_message_id(cursor) if cursor else None
    if cursor and (place is None or place[0] != session.id):
        raise ValidationError("before", "Not the id of a message in this thread")
    return place[1] if place else None


async def _before(app: ChatApp, user_id: str, turn: Turn) -> list[Spoken]:
    """What was said before a turn."""
    place = split_message_id(turn.id)
    if place is None:
        raise MessageNotFound
    messages = await app.conversations.list_messages(
        user_id, turn.session_id, limit=MOST, before=place[1] + 1, newest=True
    )
    return _without(turn, messages)


def _without(turn: Turn, messages: list[Message]) -> list[Spoken]:
    """The messages without what the turn says. An answer that it goes on from has the outputs that it was given; other
    answers to its question are those that it takes the place of."""
    own = next((each for each in messages if each.id == turn.id), None)
    given = {call["id"]: call for call in stored_calls(own.metadata)} if own else {}
    continued = own.metadata.get("continues") if own else None
    said: list[Spoken] = []
    for each in current(in_order([one for one in messages if one.id != turn.id])):
        spoken = _spoken(each)
        if each.role == "assistant" and each.parent_message_id == turn.user_message_id:
            if each.id != continued:
                continue
            spoken = replace(spoken, calls=[given.get(call["id"], call) for call in spoken.calls])
        said.append(spoken)
    return said


def _spoken(message: Message) -> Spoken:
    return Spoken(message, stored_calls(message.metadata) if message.role == "assistant" else ())
