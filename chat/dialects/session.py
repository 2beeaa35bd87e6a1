"""Dialect `session`: a room of people and the model, in flat frames (docs/protocol.md, section 5).

A frame about a message holds what the turn tells of it: the room fills in the other keys (`lacks`, `filled`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from chat.calls import CallReader
from chat.conversation import Turn
from chat.dialects.base import Dialect, SocketFace, read_arguments
from chat.dialects.merging import PIECE, merged
from chat.dialects.session_frames import (
    SAID,
    read_session,
    show_ack,
    show_briefly,
    show_news,
    show_welcome,
)
from chat.dialects.shapes import show_message
from chat.errors import ChatError
from chat.events import (
    JSON,
    ApprovalRequested,
    JSONObject,
    NumberedEvent,
    Progress,
    StageFinished,
    StageItem,
    StageStarted,
    TextDelta,
    ToolOutput,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from chat.messages import Message

FIRST = 256  # characters of a text that is shown whole for the first time while it grows
ENDED = ("completed", "failed", "cancelled")


class MessageUpdateEncoder:
    """Counts the text, since each delta says where it belongs: content[:offset] + delta. For clients that pass over
    deltas all of it is shown again whenever it has grown by half: together at most three times the text."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._offset = 0  # UTF-16 code units so far
        self._length = 0  # characters so far
        self._shown = 0  # of them, when all were last shown
        self._said: list[str] = []  # as much of the text as a frame holds, or a little more
        self._calls = CallReader()

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        number = numbered.number
        for further, payload in enumerate(self._payloads(numbered.event)):
            seq = f"{number}.{further}" if further else number
            yield {**payload, "turn_id": self._turn.id, "seq": seq}

    def _payloads(self, event: TurnEvent) -> Iterable[JSONObject]:
        match event:
            case TextDelta(_, text):
                return self._text(text)
            case TurnStarted():
                return (self._message("new_message"),)
            case TurnFinished():
                return (self._ended("completed", "complete"),)
            case TurnCancelled():
                return (self._ended("cancelled", "cancelled"),)
            case TurnFailed(code, message, retryable):
                error: JSONObject = {"code": code, "message": message, "retryable": retryable}
                status = "interrupted" if code == "INTERRUPTED" else "failed"
                return ({**self._ended("failed", status, error_message=message), "error": error},)
            case StageStarted() | StageItem() | StageFinished() | Progress():
                return self._stage(event)
            case _:
                return self._tool(event)

    def _stage(self, event: StageStarted | StageItem | StageFinished | Progress) -> Iterable[JSONObject]:
        match event:
            case Progress(percent):
                yield self._update("stage_update", percent=percent, action="progress")
            case StageStarted(stage):
                yield self._update("stage_update", stage=stage, action="started")
            case StageItem(stage, item):
                yield self._update("stage_update", stage=stage, item=item, action="item")
            case StageFinished(stage, result, text):
                if result is not None:
                    yield self._update("stage_update", stage=stage, result=result, action="finished")
                if text:
                    yield from self._text(text)

    def _tool(self, event: TurnEvent) -> Iterable[JSONObject]:
        match event:
            case ToolOutput(call_id, name, output, is_error, denied):
                said: JSONObject = {"name": name, "output": output, "is_error": is_error, "id": call_id}
                no: JSONObject = {"denied": True} if denied else {}
                yield self._update("tool_update", **said, **no, action="output")
            case ApprovalRequested(call_id, name):
                yield self._update("tool_update", name=name, id=call_id, action="approval")
            case _:
                if (call := self._calls.take(event)) is not None:
                    args = _read(call.arguments)
                    yield self._update("tool_update", name=call.name, args=args, id=call.id, action="call")

    def _text(self, text: str) -> Iterable[JSONObject]:
        """What was said, and after it the whole message, when that is due: so it is the last payload of its event."""
        yield {
            "type": "message_delta",
            "session_id": self._turn.session_id,
            "message_id": self._turn.id,
            "delta": text,
            "offset": self._offset,
        }
        if self._length < PIECE:
            self._said.append(text)
        self._offset += _units(text)
        self._length += len(text)
        if FIRST <= self._length < PIECE and 2 * self._length >= 3 * self._shown:
            self._shown = self._length
            yield self._message("updated", content=self._content())

    def _content(self) -> str:
        """The text so far, or the beginning of it that a frame holds."""
        self._said = ["".join(self._said)[:PIECE]]
        return self._said[0]

    def _ended(self, action: str, status: str, **more: JSON) -> JSONObject:
        """With what the turn tells of its message, should the store not tell it."""
        cut: JSONObject = {"truncated": True} if self._length > PIECE else {}
        known: JSONObject = {"content": self._content(), "is_streaming": False, "status": status}
        return self._message(action, **known, **more, **cut)

    def _message(self, action: str, **known: JSON) -> JSONObject:
        frame = self._update("message_update", action=action)
        return {**frame, "message": {"id": self._turn.id, **known}}

    def _update(self, kind: str, **more: JSON) -> JSONObject:
        turn = self._turn
        return {"type": kind, "session_id": turn.session_id, "message": {"id": turn.id}, **more}


def _units(text: str) -> int:
    """UTF-16 code units, as JavaScript counts."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _read(arguments: str) -> JSON:
    try:
        return read_arguments(arguments)
    except ValueError:
        return arguments


def _snapshot(turn: Turn, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """The text in as few deltas as there can be, each at its place, and once whole; the stages and tools so far."""
    finished = {each.event.stage for each in events if isinstance(each.event, StageFinished)}
    progress = [each for each in events if isinstance(each.event, Progress)]
    encoder = MessageUpdateEncoder(turn)
    shown: list[JSONObject] = []
    for numbered in merged(events):
        event = numbered.event
        old = isinstance(event, Progress) and numbered is not progress[-1]
        if not old and not (isinstance(event, StageItem) and event.stage in finished):
            shown += encoder.encode(numbered)
    wholes = [index for index, each in enumerate(shown) if _is_whole(each)]
    return [each for index, each in enumerate(shown) if index not in wholes[:-1]]


def _is_whole(payload: JSONObject) -> bool:
    """Whether it shows all text so far; the end of a turn does so, too."""
    return payload["type"] == "message_update" and payload["action"] in ("updated", *ENDED)


def _lacks(payload: JSONObject) -> str:
    """The id of the message whose other keys a frame is to be given; "" for one that is whole."""
    message = payload.get("message")
    if payload.get("type") != "message_update" or not isinstance(message, dict) or "role" in message:
        return ""
    return str(message["id"])


def _filled(payload: JSONObject, message: Message) -> JSONObject:
    """A frame with all keys of its message: as it is stored at the end of its turn, and before that as it began, with
    what the turn tells of it. `message` is what is stored, be it that the turn goes on."""
    if payload["action"] in ENDED and message.status != "streaming":
        return {**payload, "message": show_briefly(message)}
    began = replace(message, content="", status="streaming", updated_at=message.created_at)
    began = replace(began, response_time_ms=None, tokens_used=0, error_message="")
    known = payload["message"]
    assert isinstance(known, dict)
    return {**payload, "message": {**show_message(began), **known}}


def _error(error: ChatError) -> JSONObject:
    return {
        "type": "error",
        "error": type(error).__name__,
        "error_code": error.code,
        "message": error.message,
        "details": dict(error.details),  # type: ignore[dict-item]
    }


SESSION = Dialect(
    "session",
    MessageUpdateEncoder,
    socket=SocketFace(
        read_session,
        _snapshot,
        error=_error,
        names=SAID,
        ack=show_ack,
        welcome=show_welcome,
        news=show_news,
        lacks=_lacks,
        filled=_filled,
    ),
    schemas="chat.dialects.session_schemas",
)
