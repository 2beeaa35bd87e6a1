"""Socket events as the Functions extension hands them to Python, and what it takes back.

A function gets the JSON of `request` and must return a dict: a text would be lost (azure-sdk-for-net,
WebPubSubTriggerDispatcher, read November 2026).
"""

from collections.abc import Mapping
from typing import Any

import orjson

from chat.errors import ChatError
from chat.pubsub.connect_body import ConnectBody
from chat.pubsub.socket_events import SYSTEM, Accepted, Reply, SocketEvent
from chat.schemas.fields import validate
from chat.user_ids import of_token, to_token

type Returned = dict[str, Any]


def read_trigger(request: str) -> SocketEvent:
    """The argument `request` of a trigger function. ValidationError."""
    said: Mapping[str, Any] = orjson.loads(request)
    context: Mapping[str, Any] = said["connectionContext"]
    name = str(context["eventName"])
    system = str(context["eventType"]).lower() == "system"
    handshake = validate(ConnectBody, said)
    return SocketEvent(
        kind=SYSTEM[name.lower()] if system else "user",
        name=name,
        connection_id=str(context["connectionId"]),
        user_id=of_token(str(context.get("userId") or "")),
        id=_event_id(context),
        data=str(said.get("data") or ""),
        states={key: _text(value) for key, value in (context.get("states") or {}).items()},
        query=handshake.query,
        subprotocols=handshake.subprotocols,
        headers=handshake.headers,
    )


def _event_id(context: Mapping[str, Any]) -> str:
    """From the headers of the event, which stand in its context."""
    headers: Mapping[str, list[str]] = context.get("headers") or {}
    return next((values[0] for name, values in headers.items() if name.lower() == "ce-id" and values), "")


def _text(value: object) -> str:
    """A state is a text; some versions of the extension show it as JSON."""
    text = str(value)
    return str(orjson.loads(text)) if text.startswith('"') else text


def show_return(reply: Reply) -> Returned | None:
    """What a trigger function returns; None for nothing."""
    if isinstance(reply, Accepted):
        returned: Returned = {
            "userId": to_token(reply.user_id),
            "groups": list(reply.groups),
            "roles": [],
            "states": dict(reply.states),
        }
        return returned | ({"subprotocol": reply.subprotocol} if reply.subprotocol else {})
    if reply.frame is None:
        return None
    if isinstance(reply.frame, str):
        return {"data": reply.frame, "dataType": "text"}
    return {"data": orjson.dumps(reply.frame).decode(), "dataType": "json"}


def show_refusal(error: ChatError) -> Returned:
    """An error that the service passes on. It knows three kinds only."""
    code = "unauthorized" if error.status == 401 else "userError" if error.status < 500 else "serverError"
    return {"code": code, "errorMessage": error.message}
