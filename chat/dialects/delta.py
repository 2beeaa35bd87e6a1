"""Dialect `delta`: small typed objects, and `[DONE]` (docs/protocol.md, section 2).

A turn that was stopped ends without an error: the caller asked for it, and `[DONE]` says that no more comes.
"""

from collections.abc import Iterable

from chat.conversation import Turn
from chat.dialects.base import Dialect, read_arguments
from chat.events import (
    JSONObject,
    NumberedEvent,
    StageFinished,
    TextDelta,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnFailed,
)


class TextDeltaEncoder:
    """Keeps the arguments of the open tool call, since `tool.call` shows them whole."""

    def __init__(self) -> None:
        self._name = ""
        self._arguments: list[str] = []

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case TextDelta(_, text):
                return ({"type": "text.delta", "delta": text},)
            case StageFinished(_, _, text) if text:
                return ({"type": "text.delta", "delta": text},)
            case ToolCallStarted(_, name):
                self._name, self._arguments = name, []
            case ToolCallDelta(_, arguments):
                self._arguments.append(arguments)
            case ToolCallFinished(call_id):
                return ({"type": "tool.call", "name": self._name, **self._read_arguments(), "id": call_id},)
            case ToolOutput(call_id, name, output):
                return ({"type": "tool.output", "name": name, "output": output, "id": call_id},)
            case TurnFailed(code, message, retryable):
                return ({"type": "error", "message": message, "code": code, "retryable": retryable},)
            case _:
                pass
        return ()

    def _read_arguments(self) -> JSONObject:
        """`args` is always an object; what a model wrote that is none is shown beside it."""
        text = "".join(self._arguments)
        try:
            arguments = read_arguments(text)
        except ValueError:
            return {"args": {}, "arguments_text": text}
        return {"args": arguments} if isinstance(arguments, dict) else {"args": {}, "arguments_text": text}


def _encoder(_turn: Turn) -> TextDeltaEncoder:
    return TextDeltaEncoder()


DELTA = Dialect("delta", _encoder, done_marker="[DONE]")
