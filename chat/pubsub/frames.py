"""What clients may say on a socket, one reader for each dialect (docs/protocol.md, sections 3 to 5)."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

from pydantic import Field

from chat.errors import InvalidBody, ValidationError
from chat.events import TERMINAL_NUMBER, JSONObject
from chat.pubsub.socket_events import SocketEvent
from chat.requests import Action, Cancel, Echo, Ping, Resume, Say, Typing
from chat.schemas.fields import Body, Content, Id, read_json, validate
from chat.schemas.plan_body import PlanBody


class _Resume(Body):
    turn_id: Annotated[Id, Field(min_length=1)]
    after: Annotated[int, Field(ge=0, le=TERMINAL_NUMBER)] = 0


class _Cancel(Body):
    turn_id: Id = ""


class _SendMessage(Body):
    content: Content
    request_id: Id = ""
    reply: bool = True
    parent_message_id: Id = ""


def read_chat(event: SocketEvent) -> Action:
    """Dialect `chat`. Whatever is JSON and no message of it is echoed; InvalidBody for what is no JSON."""
    frame = read_frame(event)
    if not isinstance(frame, dict):
        return Echo(event.data)
    payload = frame.get("payload")
    payload = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    match frame.get("type"):
        case "chat":
            text = payload.get("text")
            if not isinstance(text, str) or not text.strip():
                raise ValidationError("text", "Message content cannot be empty")
            return Say(text)
        case "chat_cancel":
            return Cancel(validate(_Cancel, payload).turn_id)
        case "chat_resume":
            return _resume(payload)
        case _:
            return Echo(event.data)


def read_plan(event: SocketEvent) -> Action:
    """Dialect `plan`."""
    frame = _object(event)
    if frame.get("message") is None:
        match frame.get("type"):
            case "cancel":
                return Cancel(validate(_Cancel, frame).turn_id)
            case "resume":
                return _resume(frame)
            case "ping":
                return Ping()
            case _:
                raise ValidationError("message", "The field message must be given")
    body = validate(PlanBody, frame)
    given = cast("JSONObject", body.model_dump(include={"pois", "requirements", "plan"}))
    return Say(body.message, planned=True, given=given)


def read_session(event: SocketEvent) -> Action:
    """Dialect `session`."""
    frame = _object(event)
    match frame.get("type"):
        case "send_message":
            body = validate(_SendMessage, frame)
            return Say(body.content, body.request_id, body.reply, body.parent_message_id)
        case "typing_start":
            return Typing(is_typing=True)
        case "typing_stop":
            return Typing(is_typing=False)
        case "cancel":
            return Cancel(validate(_Cancel, frame).turn_id)
        case "resume":
            return _resume(frame)
        case "ping":
            return Ping()
        case other:
            raise ValidationError("type", f"There is no frame of type {str(other)[:100]}")


READERS: Mapping[str, Callable[[SocketEvent], Action]] = {
    "chat": read_chat,
    "plan": read_plan,
    "session": read_session,
}
"""By dialect: the ones that sockets speak. A further one is a row here, beside its `Dialect`."""


def read_frame(event: SocketEvent) -> Any:
    """The JSON of an event. The data of a named event is the frame without its type, or its payload. InvalidBody."""
    data = event.data or ("null" if event.name != "message" else "")
    value = read_json(data, refusal="Invalid JSON")
    if event.name == "message":
        return value
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    return {"payload": value, **fields, "type": event.name}


def _object(event: SocketEvent) -> dict[str, Any]:
    frame = read_frame(event)
    if not isinstance(frame, dict):
        raise InvalidBody("A frame must be a JSON object")
    return cast("dict[str, Any]", frame)


def _resume(fields: Mapping[str, Any]) -> Resume:
    body = validate(_Resume, fields)
    return Resume(body.turn_id, body.after)
