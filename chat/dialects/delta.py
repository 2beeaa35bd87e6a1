"""Dialect `delta`: small typed objects, and `[DONE]` (docs/protocol.md, section 2).

A turn that was stopped ends without an error: the caller asked for it, and `[DONE]` says that no more comes.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import FailFast, Field

from chat.calls import CallReader
from chat.conversation import Turn
from chat.dialects.base import Asked, Asker, Dialect, Door, Reply, read_arguments
from chat.dialects.conversations import read_conversation
from chat.dialects.framing import sse
from chat.dialects.shapes import failure_headers, show_failure
from chat.events import (
    TERMINAL_NUMBER,
    ApprovalRequested,
    JSONObject,
    NumberedEvent,
    StageFinished,
    TextDelta,
    ToolOutput,
    TurnFailed,
)
from chat.requests import TurnRequest
from chat.schemas.fields import Body, Id, examples


class TextDeltaEncoder:
    """Keeps the arguments of the open tool call, since `tool.call` shows them whole."""

    def __init__(self) -> None:
        self._calls = CallReader()

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        seq = numbered.number
        match numbered.event:
            case TextDelta(_, text):
                return ({"type": "text.delta", "delta": text, "seq": seq},)
            case StageFinished(_, _, text) if text:
                return ({"type": "text.delta", "delta": text, "seq": seq},)
            case ToolOutput(call_id, name, output, _, denied):
                said: JSONObject = {"name": name, "output": output, "id": call_id}
                return ({"type": "tool.output", **said, **({"denied": True} if denied else {}), "seq": seq},)
            case ApprovalRequested(call_id, name):
                return ({"type": "tool.approval", "name": name, "id": call_id, "seq": seq},)
            case TurnFailed(code, message, retryable):
                error: JSONObject = {"message": message, "code": code, "retryable": retryable}
                return ({"type": "error", **error, **({"seq": seq} if seq else {})},)
            case event:
                if (call := self._calls.take(event)) is not None:
                    called: JSONObject = {"name": call.name, **_arguments(call.arguments), "id": call.id}
                    return ({"type": "tool.call", **called, "seq": seq},)
        return ()


def _arguments(text: str) -> JSONObject:
    """`args` is always an object; what a model wrote that is none is shown beside it."""
    try:
        arguments = read_arguments(text)
    except ValueError:
        return {"args": {}, "arguments_text": text}
    return {"args": arguments} if isinstance(arguments, dict) else {"args": {}, "arguments_text": text}


class HistoryMessage(Body):
    """One message of those that the caller has on the screen. One that did nothing but call tools has no content."""

    role: Literal["user", "assistant", "system"]
    content: str = ""
    timestamp: Any = None


class StreamBody(Body):
    """`POST /api/chat/stream`"""

    model_config = examples(
        {"messages": [{"role": "user", "content": "What is our total revenue?"}]},
    )

    messages: Annotated[list[HistoryMessage], FailFast(), Field(min_length=1)]
    session_id: Id | None = None


def _read(body: StreamBody, asker: Asker) -> Asked:
    """In a known session the stored history counts, and only the last message is new. Clients send again what is on
    their screen: an empty answer in it, of a turn that failed, is passed over."""
    content, history = read_conversation(body.messages, asker, is_known=bool(body.session_id))
    request = TurnRequest(
        asker.user_id,
        content=content,
        session_id=body.session_id or "",
        history=history,
        nonce=asker.nonce,
        dialect=DELTA.name,
    )
    return Asked(request)


def _failed(turn: Turn, failed: TurnFailed) -> Reply:
    """The status tells of it, and so does a frame, for clients that read nothing else."""
    error: JSONObject = {"type": "error", "message": failed.message, "code": failed.code}
    error |= {"retryable": failed.retryable, "seq": TERMINAL_NUMBER}
    body = BARE.frame({**error, **show_failure(failed)}, "") + BARE.done
    return Reply(failed.status, body, {**failure_headers(turn, failed), "content-type": BARE.content_type})


BARE = sse(done="[DONE]", with_ids=False)
DELTA = Dialect(
    "delta",
    lambda _: TextDeltaEncoder(),
    framing=sse(done="[DONE]"),
    door=Door(StreamBody, _read, framing=BARE, failed=_failed),
    schemas="chat.dialects.delta_schemas",
)
