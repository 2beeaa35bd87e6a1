"""Dialect `chat`: `chat_start`, `chat_chunk`, and `done` or `chat_error` (docs/protocol.md, section 3)."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from chat.conversation import Turn
from chat.dialects.base import Dialect, SocketFace, when_again, wrong_field
from chat.dialects.frames import read_cancel, read_frame, read_resume
from chat.dialects.framing import sse
from chat.dialects.merging import merged
from chat.errors import ChatError, ValidationError
from chat.events import (
    JSONObject,
    NumberedEvent,
    StageFinished,
    TextDelta,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from chat.requests import Action, Answered, Say
from chat.schemas.fields import EMPTY

SHOWN = (TurnStarted, TextDelta, StageFinished, TurnFinished, TurnCancelled, TurnFailed)
"""Events that have a frame."""


class ChatChunkEncoder:
    """Every frame names its turn and the number of its event, by which a client resumes; the first one its session, for
    who came without."""

    def __init__(self, turn_id: str, session_id: str) -> None:
        self._turn_id, self._session_id = turn_id, session_id

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case TextDelta(_, text):
                return (self._frame(numbered, "chat_chunk", {"text": text, "done": False}),)
            case StageFinished(_, _, text) if text:
                return (self._frame(numbered, "chat_chunk", {"text": text, "done": False}),)
            case TurnStarted():
                return ({**self._frame(numbered, "chat_start", {}), "session_id": self._session_id},)
            case TurnFinished() | TurnCancelled():
                return (self._frame(numbered, "chat_chunk", {"text": "", "done": True}),)
            case TurnFailed(code, message, retryable):
                error: JSONObject = {"error": message, "code": code, "retryable": retryable}
                return (self._frame(numbered, "chat_error", error),)
            case _:
                return ()

    def _frame(self, numbered: NumberedEvent, kind: str, payload: JSONObject) -> JSONObject:
        return {"type": kind, "payload": payload, "turn_id": self._turn_id, "seq": numbered.number}


def _encoder(turn: Turn) -> ChatChunkEncoder:
    return ChatChunkEncoder(turn.id, turn.session_id)


def _snapshot(turn: Turn, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """`chat_start`, and the text so far in as few chunks as there can be: who had a part of it begins anew."""
    encoder = ChatChunkEncoder(turn.id, turn.session_id)
    shown = (_as_text(each) for each in events if isinstance(each.event, SHOWN))
    for numbered in merged(shown):
        yield from encoder.encode(numbered)


def _as_text(numbered: NumberedEvent) -> NumberedEvent:
    """What a stage adds to the answer, as a part of its text."""
    if isinstance(numbered.event, StageFinished):
        return numbered._replace(event=TextDelta("", numbered.event.text))
    return numbered


def _error(error: ChatError) -> JSONObject:
    said: JSONObject = {"error": error.message, "code": error.code, "retryable": error.retryable}
    return {"type": "chat_error", "payload": {**said, **wrong_field(error), **when_again(error)}}


def _read(name: str, data: str) -> Action:
    """Whatever is JSON and no message of this dialect is echoed; InvalidBody for what is no JSON."""
    frame = read_frame(name, data)
    if not isinstance(frame, dict):
        return _echo(data)
    fields = cast("dict[str, Any]", frame)
    payload = fields.get("payload")
    payload = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    match fields.get("type"):
        case "chat":
            text = payload.get("text")
            if not isinstance(text, str) or not text.strip():
                raise ValidationError("text", EMPTY)
            return Say(text)
        case "chat_cancel":
            return read_cancel(payload)
        case "chat_resume":
            return read_resume(payload)
        case _:
            return _echo(data)


def _echo(data: str) -> Answered:
    return Answered(f"Echo: {data}")


CHAT = Dialect(
    "chat",
    _encoder,
    framing=sse(),
    socket=SocketFace(_read, _snapshot, error=_error, names=("chat", "chat_cancel", "chat_resume")),
    schemas="chat.dialects.chat_schemas",
)
