"""A turn as the lines of dialect `ai-chat`. What the protocol has no word for stands in `context`."""

from collections.abc import Iterable
from contextlib import suppress

from chat.calls import CallReader
from chat.dialects.base import read_arguments
from chat.events import (
    ApprovalRequested,
    JSONObject,
    NumberedEvent,
    Progress,
    StageFinished,
    TextDelta,
    ToolOutput,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UsageReported,
)


class AiChatEncoder:
    """Keeps the open tool call, which is shown whole, and the usage, which the last line shows."""

    def __init__(self, turn_id: str, session_id: str) -> None:
        self._turn_id, self._session_id = turn_id, session_id
        self._calls = CallReader()
        self._usage: JSONObject = {}
        self._tokens = 0, 0

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case TextDelta(_, text):
                return ({"delta": {"content": text}},)
            case TurnStarted():
                context: JSONObject = {"turnId": self._turn_id}
                delta: JSONObject = {"role": "assistant"}
                return ({"delta": delta, "sessionState": self._session_id, "context": context},)
            case StageFinished(stage, result, text) if result is not None or text:
                content: JSONObject = {"content": text} if text else {}
                return ({"delta": content, "context": {"stage": {"name": stage, "result": result}}},)
            case Progress(percent):
                return ({"delta": {}, "context": {"progress": percent}},)
            case ToolOutput(call_id, name, output):
                shown: JSONObject = {"id": call_id, "name": name, "output": output}
                return ({"delta": {}, "context": {"toolOutput": shown}},)
            case ApprovalRequested(call_id, name):
                return ({"delta": {}, "context": {"approval": {"id": call_id, "name": name}}},)
            case TurnFailed(code, message):
                return ({"error": {"code": code, "message": message}},)
            case TurnFinished():
                return (self._end("finished"),)
            case TurnCancelled():
                return (self._end("cancelled"),)
            case event:
                return self._rest(event)

    def _rest(self, event: TurnEvent) -> Iterable[JSONObject]:
        if isinstance(event, UsageReported):
            self._add(event)
        elif (call := self._calls.take(event)) is not None:
            shown: JSONObject = {"id": call.id, "name": call.name, "arguments": call.arguments}
            with suppress(ValueError):  # else as the model wrote it
                shown["arguments"] = read_arguments(call.arguments)
            return ({"delta": {}, "context": {"toolCall": shown}},)
        return ()

    def _add(self, usage: UsageReported) -> None:
        """A turn may have many model calls."""
        prompt, completion = self._tokens
        prompt, completion = prompt + usage.prompt_tokens, completion + usage.completion_tokens
        self._tokens = prompt, completion
        self._usage = {"usage": {"promptTokens": prompt, "completionTokens": completion}}

    def _end(self, status: str) -> JSONObject:
        context: JSONObject = {"status": status, **self._usage}
        return {"delta": {}, "sessionState": self._session_id, "context": context}
