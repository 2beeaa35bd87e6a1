"""What `WebSocketChatTransport` of the AI SDK 7 says and hears on a socket: requests of many chats, each by its id.

https://ai-sdk.dev/docs/reference/ai-sdk-ui/websocket-chat-transport, of `ai` 7.0.173. Its `headers` are no handshake's:
what they say is not looked at.
"""

from typing import Annotated, Any

from pydantic import Field

from chat.dialects.ai_sdk.body_schemas import UIChatBody
from chat.dialects.base import RequestFace, SocketFace
from chat.dialects.frames import read_object
from chat.errors import ChatError, InvalidBody, ValidationError
from chat.events import JSONObject
from chat.requests import Abort, Action, Ask, Watch
from chat.schemas.fields import Body, Id, validate

NAMED = ("id", "messages", "trigger", "messageId")
"""What a frame says itself, and its `body` cannot."""

type RequestId = Annotated[str, Field(min_length=1, max_length=128)]


class RequestFrame(Body):
    """The beginning of every frame of a client."""

    requestId: RequestId


class SendFrame(RequestFrame):
    """`send`: as the body of `POST /api/chat`, whose further fields are in `body`."""

    id: Annotated[Id, Field(min_length=1)]
    body: dict[str, Any] = Field(default_factory=dict[str, Any])


class ResumeFrame(RequestFrame):
    """`resume`: the turn that runs in the chat, from its beginning."""

    id: Annotated[Id, Field(min_length=1)]
    lastSequence: int | None = None


def _read(name: str, data: str) -> Action:
    frame = read_object(name, data)
    match frame.get("type"):
        case "send":
            said = validate(SendFrame, frame)
            named = {name: frame[name] for name in NAMED if frame.get(name) is not None}
            return Ask(said.requestId, validate(UIChatBody, said.body | named))
        case "resume":
            asked = validate(ResumeFrame, frame)
            if asked.lastSequence is not None:
                raise ValidationError("lastSequence", "Leave it out: a stream is shown from its beginning")
            return Watch(asked.requestId, asked.id)
        case "abort":
            return Abort(validate(RequestFrame, frame).requestId)
        case _:
            raise ValidationError("type", "Not one of send, resume, abort")


def _id_of(data: str) -> str:
    try:
        return validate(RequestFrame, read_object("message", data)).requestId
    except (InvalidBody, ValidationError):
        return ""


def _frame(kind: str, request_id: str, **more: Any) -> JSONObject:
    return {"type": kind, "requestId": request_id, **more}


def _failed(request_id: str, error: ChatError) -> JSONObject:
    """A sentence, as over HTTP. One that is about no request is passed over by clients."""
    field = error.details.get("field")
    text = f"{field}: {error.message}" if field else error.message
    return _frame("error", request_id, errorText=text)


REQUESTS = RequestFace(
    _id_of,
    began=lambda request_id: _frame("start", request_id),
    shown=lambda request_id, number, chunk: _frame("chunk", request_id, sequence=number, chunk=chunk),
    ended=lambda request_id: _frame("end", request_id),
    idle=lambda request_id: _frame("no-active", request_id),
    failed=_failed,
)
SOCKET = SocketFace(_read, requests=REQUESTS, error=lambda error: _failed("", error))
