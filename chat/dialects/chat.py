"""Dialect `chat`: `chat_start`, `chat_chunk`, and `done` or `chat_error` (docs/protocol.md, section 3)."""

from collections.abc import Iterable, Sequence

from chat.conversation import Turn
from chat.dialects.base import Dialect, merged, wrong_field
from chat.errors import ChatError
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
    return {"type": "chat_error", "payload": {**said, **wrong_field(error)}}


CHAT = Dialect("chat", _encoder, snapshot=_snapshot, error=_error)
