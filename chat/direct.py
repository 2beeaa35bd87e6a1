"""A turn on a socket that the application itself owns: `from chat import handle_chat_message`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from chat.app import current_app
from chat.auth.base import Principal
from chat.dialects.chat import CHAT
from chat.errors import ChatError, ValidationError
from chat.events import JSONObject, NumberedEvent
from chat.requests import TurnRequest
from chat.schemas.fields import check_id, check_size, check_writable
from chat.turns.feed import LiveTurn
from chat.user_ids import read_user_id

type Send = Callable[[JSONObject], Awaitable[None]]

_sessions: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


async def handle_chat_message(
    text: str, websocket: Any, *, user_id: str = "local", session_id: str = ""
) -> str:
    """Answer a message on a socket, in frames of dialect `chat`. The id of the session.

    `websocket` is anything with an async `send_json(object)` or `send_text(str)`. Messages on the same socket are one
    conversation, unless `session_id` names another. Failures are `chat_error` frames; what the socket raises goes to
    the caller, and the turn goes on without it.
    """
    send = _sender(websocket)
    app = await current_app()
    session_id = session_id or _remembered(websocket)
    try:
        request = _request(text, read_user_id(user_id), session_id, limit=app.settings.max_message_bytes)
        live = await app.ask(request, "reject", usual="reject")
        assert isinstance(live, LiveTurn)  # what is rejected does not wait
    except ChatError as error:
        await send(CHAT.face.error(error))
        return session_id
    with suppress(TypeError):  # a socket that cannot be a key is not remembered
        _sessions[websocket] = live.turn.session_id
    try:
        await _send_turn(app.readers.follow(live, Principal(request.user_id)), live, send)
    except ChatError as error:
        await send(CHAT.face.error(error))
    return live.turn.session_id


def _request(text: str, user_id: str, session_id: str, *, limit: int) -> TurnRequest:
    """ValidationError, TooLarge: here no schema stands before it."""
    if not text.strip():
        raise ValidationError("text", "Message content cannot be empty")
    check_writable("text", text)
    check_size("text", text, limit=limit)
    check_id("session_id", session_id)
    return TurnRequest(user_id, content=text, session_id=session_id, dialect=CHAT.name)


async def _send_turn(batches: AsyncGenerator[Sequence[NumberedEvent]], live: LiveTurn, send: Send) -> None:
    encoder = CHAT.encoder(live.turn)
    async with aclosing(batches):
        async for batch in batches:
            for numbered in batch:
                for payload in encoder.encode(numbered):
                    await send(payload)


def _remembered(websocket: Any) -> str:
    try:
        return _sessions.get(websocket, "")
    except TypeError:
        return ""


def _sender(websocket: Any) -> Send:
    if hasattr(websocket, "send_json"):
        return websocket.send_json

    async def send_text(payload: JSONObject) -> None:
        await websocket.send_text(orjson.dumps(payload).decode())

    return send_text
