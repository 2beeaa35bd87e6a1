"""A turn on a socket that the application itself owns: `from chat import handle_chat_message`."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from chat.app import current_app
from chat.errors import ChatError, ValidationError
from chat.events import JSONObject
from chat.turns.base import TurnRequest

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
    session_id = session_id or _sessions.get(websocket, "")
    try:
        if not text.strip():
            raise ValidationError("text", "Message content cannot be empty")
        request = TurnRequest(user_id, content=text, session_id=session_id, dialect="chat")
        live = await app.runner.start(request)
    except ChatError as error:
        await send({"type": "chat_error", "payload": {"error": error.message, "code": error.code}})
        return session_id
    _sessions[websocket] = live.turn.session_id
    encoder = app.dialects["chat"].encoder(live.turn)
    async with aclosing(live.feed.follow()) as batches:
        async for batch in batches:
            for numbered in batch:
                for payload in encoder.encode(numbered):
                    await send(payload)
    return live.turn.session_id


def _sender(websocket: Any) -> Send:
    if hasattr(websocket, "send_json"):
        return websocket.send_json

    async def send_text(payload: JSONObject) -> None:
        await websocket.send_text(orjson.dumps(payload).decode())

    return send_text
