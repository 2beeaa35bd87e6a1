"""Dialect `session`: a room of people and the model, in flat frames (docs/protocol.md, section 5).

A frame about a message holds its id alone where the whole of it is in the store: the room fills it in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chat.conversation import Turn
from chat.dialects.base import Dialect, Lack, SocketFace, merged, read_arguments
from chat.dialects.session_frames import read_session, show_ack, show_briefly, show_news, show_welcome
from chat.errors import ChatError
from chat.events import (
    JSON,
    JSONObject,
    NumberedEvent,
    Progress,
    StageFinished,
    StageItem,
    StageStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from chat.messages import Message

BEGINS = "new_message"
SHOWN_WHOLE = (BEGINS, "completed", "failed", "cancelled")


class MessageUpdateEncoder:
    """Counts the text, since each delta says where it belongs: content[:offset] + delta."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._offset = 0
        self._name = ""
        self._arguments: list[str] = []

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        number, event = numbered
        match event:
            case TextDelta(_, text):
                return (self._delta(number, text),)
            case TurnStarted():
                return (self._message(number, "new_message"),)
            case TurnFinished():
                return (self._message(number, "completed"),)
            case TurnCancelled():
                return (self._message(number, "cancelled"),)
            case TurnFailed(code, message, retryable):
                error: JSONObject = {"code": code, "message": message, "retryable": retryable}
                return (self._message(number, "failed", error=error),)
            case StageStarted() | StageItem() | StageFinished() | Progress():
                return self._stage(number, event)
            case _:
                return self._tool(numbered)

    def _stage(
        self, number: int, event: StageStarted | StageItem | StageFinished | Progress
    ) -> Iterable[JSONObject]:
        match event:
            case Progress(percent):
                yield self._update("stage_update", number, percent=percent, action="progress")
            case StageStarted(stage):
                yield self._update("stage_update", number, stage=stage, action="started")
            case StageItem(stage, item):
                yield self._update("stage_update", number, stage=stage, item=item, action="item")
            case StageFinished(stage, result, text):
                if result is not None:
                    yield self._update("stage_update", number, stage=stage, result=result, action="finished")
                if text:
                    yield self._delta(number, text)

    def _tool(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case ToolCallStarted(_, name):
                self._name, self._arguments = name, []
            case ToolCallDelta(_, arguments):
                self._arguments.append(arguments)
            case ToolCallFinished(call_id):
                called: JSONObject = {
                    "name": self._name,
                    "args": _read("".join(self._arguments)),
                    "id": call_id,
                }
                yield self._update("tool_update", numbered.number, **called, action="call")
            case ToolOutput(call_id, name, output, is_error):
                said: JSONObject = {"name": name, "output": output, "is_error": is_error, "id": call_id}
                yield self._update("tool_update", numbered.number, **said, action="output")
            case _:
                pass

    def _delta(self, number: int, text: str) -> JSONObject:
        offset, self._offset = self._offset, self._offset + _units(text)
        return self._message(number, "delta", delta=text, offset=offset)

    def _message(self, number: int, action: str, **more: JSON) -> JSONObject:
        return self._update("message_update", number, **more, action=action)

    def _update(self, kind: str, number: int, **more: JSON) -> JSONObject:
        turn = self._turn
        about: JSONObject = {"session_id": turn.session_id, "message": {"id": turn.id}}
        return {"type": kind, **about, **more, "turn_id": turn.id, "seq": number}


def _units(text: str) -> int:
    """UTF-16 code units, as JavaScript counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _read(arguments: str) -> JSON:
    try:
        return read_arguments(arguments)
    except ValueError:
        return arguments


def _snapshot(turn: Turn, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """The text in as few deltas as there can be, each at its place, and the stages and tools so far."""
    finished = {each.event.stage for each in events if isinstance(each.event, StageFinished)}
    progress = [each for each in events if isinstance(each.event, Progress)]
    encoder = MessageUpdateEncoder(turn)
    for numbered in merged(events):
        event = numbered.event
        old = isinstance(event, Progress) and numbered is not progress[-1]
        if not old and not (isinstance(event, StageItem) and event.stage in finished):
            yield from encoder.encode(numbered)


def _error(error: ChatError) -> JSONObject:
    return {
        "type": "error",
        "error": type(error).__name__,
        "error_code": error.code,
        "message": error.message,
        "details": dict(error.details),  # type: ignore[dict-item]
    }


def _lacks(payload: JSONObject) -> Lack | None:
    """Of a message that is stored a frame holds the id alone."""
    message, action = payload.get("message"), payload.get("action")
    if action not in SHOWN_WHOLE or not isinstance(message, dict) or message.keys() != {"id"}:
        return None
    return Lack(str(message["id"]), begun=action == BEGINS)


def _filled(payload: JSONObject, message: Message) -> JSONObject:
    """What begins is shown as it began, whatever became of it: its text comes in deltas."""
    if payload["action"] == BEGINS:
        message = replace(message, content="", status="streaming", response_time_ms=None, tokens_used=0)
    return {**payload, "message": show_briefly(message)}


SESSION = Dialect(
    "session",
    MessageUpdateEncoder,
    socket=SocketFace(
        read_session,
        _snapshot,
        error=_error,
        names=("send_message", "typing_start", "typing_stop", "cancel", "resume", "ping"),
        ack=show_ack,
        welcome=show_welcome,
        news=show_news,
        lacks=_lacks,
        filled=_filled,
    ),
)
