"""A turn as chunks of a completion (https://platform.openai.com/docs/api-reference/chat-streaming, read November
2026)."""

from collections.abc import Iterable, Iterator, Mapping

from chat.conversation import Turn
from chat.dialects.completions.completion_calls import Calls
from chat.dialects.completions.completion_request import NAME
from chat.dialects.completions.completion_usage import UsageSum
from chat.dialects.openai_errors import show_error, status_of
from chat.events import (
    JSON,
    JSONObject,
    NumberedEvent,
    ReasoningDelta,
    StageFinished,
    StepFinished,
    StepStarted,
    TextDelta,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
)

REASONS: Mapping[str, str] = {"length": "length", "content_filter": "content_filter"}
"""Why a reply ends that does not end as it should."""


class CompletionsEncoder:
    """`with_usage`: what the turn cost is told at its end, as if its caller had asked for that."""

    def __init__(self, turn: Turn, *, with_usage: bool = False) -> None:
        asked = turn.request.client if turn.request.dialect == NAME else {}
        self._usage = UsageSum() if with_usage or asked.get("usage") is True else None
        self._calls = Calls(turn)
        self._opened = False
        self._reason = ""
        self._frame: JSONObject = {
            "id": f"chatcmpl-{turn.id}",
            "object": "chat.completion.chunk",
            "created": int(turn.started_at.timestamp()),
            "model": "",
        }
        if self._usage is not None:
            self._frame["usage"] = None

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        event = numbered.event
        if self._usage is not None:
            self._usage.note(event)
        if isinstance(event, TextDelta):  # first, for speed: most events are
            choice: JSONObject = {"index": 0, "delta": {"content": event.text}, "finish_reason": None}
            return ({**self._frame, "choices": [choice]},)
        return self._payloads(event)

    def _payloads(self, event: TurnEvent) -> Iterable[JSONObject]:
        match event:
            case StepStarted():
                self._frame["model"] = event.model
                return self._opening()
            case ReasoningDelta(_, text):
                return (self._chunk({"reasoning_content": text}),)
            case StageFinished():
                return self._stage(event)
            case StepFinished(reason):
                self._reason = reason
            case TurnFinished() | TurnCancelled():
                return self._end(stopped=isinstance(event, TurnCancelled))
            case TurnFailed(code, message):
                return (show_error(status_of(code, event.status), code, message),)
            case _:
                return self._call(event)
        return ()

    def _opening(self) -> Iterator[JSONObject]:
        if not self._opened:
            self._opened = True
            yield self._chunk({"role": "assistant", "content": ""})

    def _call(self, event: TurnEvent) -> Iterator[JSONObject]:
        for piece in self._calls.read(event):
            yield from self._opening()
            yield self._chunk(piece.delta, **piece.beside)

    def _stage(self, event: StageFinished) -> Iterator[JSONObject]:
        """What a pipeline made, and what it adds to the answer."""
        yield from self._opening()
        delta: JSONObject = {"content": event.text} if event.text else {}
        yield self._chunk(delta, stage={"name": event.stage, "result": event.result})

    def _end(self, *, stopped: bool) -> Iterator[JSONObject]:
        """Who stopped it asked for that, and nobody runs what it left."""
        yield from self._opening()
        left = self._calls.left and not stopped
        if left:
            yield from (self._chunk(piece.delta) for piece in self._calls.rest())
        reason = "stop" if stopped else "tool_calls" if left else REASONS.get(self._reason, "stop")
        yield {**self._frame, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        if self._usage is not None:
            yield {**self._frame, "choices": [], "usage": self._usage.shown()}

    def _chunk(self, delta: JSONObject, **beside: JSON) -> JSONObject:
        choice: JSONObject = {"index": 0, "delta": delta, "finish_reason": None}
        return {**self._frame, "choices": [choice], **beside}
