"""What `WebSocketChatTransport` of the AI SDK 7 says and hears on a socket: requests of many chats, each by its id.

https://ai-sdk.dev/docs/reference/ai-sdk-ui/websocket-chat-transport, of `ai` 7.0.173. Its `headers` are no handshake's:
what they say is not looked at.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from chat.dialects.ai_sdk.body_schemas import UIChatBody
from chat.dialects.base import RequestFace, SocketFace
from chat.dialects.frames import read_object
from chat.errors import ChatError, ValidationError
from chat.events import JSONObject, empty_object
from chat.requests import Abort, Action, Ask, Watch
from chat.schemas.fields import Body, Id, examples, validate

type Unread = Annotated[Any, Field(description="Not looked at.")]


class RequestFrame(Body):
    """What a frame of a client is about."""

    requestId: Annotated[str, Field(min_length=1, max_length=128)]


class SendFrame(RequestFrame, UIChatBody):
    """As the body of `POST /api/chat`, what is not the SDK's own of it in `body`."""

    model_config = examples(
        {
            "type": "send",
            "requestId": "r1",
            "id": "chat-1",
            "trigger": "submit-message",
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}],
            "headers": {},
            "body": {"uiMessageStream": "v7"},
        }
    )

    type: Literal["send"]
    id: Annotated[Id, Field(min_length=1, description="The page's own name of the chat, or a session's id.")]
    body: JSONObject = Field(default_factory=empty_object)
    headers: Unread = None
    metadata: Unread = None


class ResumeFrame(RequestFrame):
    """Show me the turn that runs in the chat, from its beginning."""

    type: Literal["resume"]
    id: Annotated[Id, Field(min_length=1)]
    lastSequence: None = None
    body: Unread = None
    headers: Unread = None
    metadata: Unread = None


class AbortFrame(RequestFrame):
    """Stop the turn that a `send` began; what a `resume` shows goes on unseen."""

    type: Literal["abort"]


def _read(name: str, data: str) -> Action:
    frame = read_object(name, data)
    match frame.get("type"):
        case "send":
            body = frame.get("body")
            said = validate(SendFrame, {**(body if isinstance(body, dict) else {}), **frame})
            return Ask(said.requestId, said)
        case "resume":
            if frame.get("lastSequence") is not None:
                raise ValidationError("lastSequence", "Leave it out: a stream is shown from its beginning")
            asked = validate(ResumeFrame, frame)
            return Watch(asked.requestId, asked.id)
        case "abort":
            return Abort(validate(AbortFrame, frame).requestId)
        case _:
            raise ValidationError("type", "Not one of send, resume, abort")


def _id_of(data: str) -> str:
    """Also of what is refused as a whole: a client waits for ever for what names no request."""
    try:
        frame: Any = json.loads(data)
        return validate(RequestFrame, {"requestId": frame["requestId"]}).requestId
    except (ValueError, LookupError, TypeError, RecursionError, ValidationError):
        return ""


def _frame(kind: str, request_id: str, **more: Any) -> JSONObject:
    return {"type": kind, "requestId": request_id, **more}


def _failed(request_id: str, error: ChatError) -> JSONObject:
    """A sentence, as over HTTP. One that is about no request is passed over by clients."""
    field, text = str(error.details.get("field") or ""), error.message
    if not text.startswith(field):
        text = f"{field}: {text}"
    return _frame("error", request_id, errorText=text)


REQUESTS = RequestFace(
    _id_of,
    began=lambda request_id: _frame("start", request_id),
    shown=lambda request_id, number, chunk: _frame("chunk", request_id, sequence=number, chunk=chunk),
    ended=lambda request_id: _frame("end", request_id),
    idle=lambda request_id: _frame("no-active", request_id),
    failed=_failed,
)
SOCKET = SocketFace(
    _read, requests=REQUESTS, error=lambda error: _failed("", error), names=("send", "resume", "abort")
)
