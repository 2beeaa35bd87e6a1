"""A turn as chunks of the UI message stream (https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol), for `ai` 6 and 7.

Tools of the caller are parts of the type that it knows (`tool-<name>`); ours are dynamic ones, and run by the provider
as far as its page is concerned: so no page tries to run them, or sends their outputs back.
"""

from collections.abc import Iterable, Sequence
from typing import cast

from chat.calls import CallReader
from chat.conversation import Turn
from chat.dialects.approval_ids import approval_id
from chat.dialects.base import read_arguments
from chat.events import (
    JSON,
    ApprovalRequested,
    JSONObject,
    NumberedEvent,
    Progress,
    ReasoningDelta,
    ReasoningFinished,
    ReasoningStarted,
    StageFinished,
    StageItem,
    StageStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UsageReported,
)

REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "content_filter": "content-filter",
    "error": "error",
}
"""Of the last step, as the stream calls them; any other is `other`."""
BROKEN = ("error", "cancelled")  # a step that ends so leaves calls that nobody is to run
NO_JSON = "The arguments are no JSON."

type Chunks = Iterable[JSONObject]


class UIMessageEncoder:
    """What its client is told depends on what the turn's starter said of it, in `turn.request.client`: the `message`
    that a turn goes on with, the names of its `tools`, and whether it reads what version 7 has beyond 6 (`v7`)."""

    def __init__(self, turn: Turn, *, message_id: str = "", before: Sequence[JSONObject] = ()) -> None:
        """`before` are chunks of the turns that this one goes on from, for who has not seen them."""
        client = turn.request.client
        self._turn, self._before = turn, before
        self._message_id = message_id or str(client.get("message") or turn.id)
        self._goes_on = bool(before) or "message" in client  # calls of earlier turns are known
        self._tools = frozenset(cast("list[str]", client.get("tools", [])))
        self._interrupted = "interrupted" if client.get("v7") else "other"
        self._calls = CallReader()
        self._names: dict[str, str] = {}  # of calls that were shown
        self._held: dict[str, JSONObject] = {}  # calls that the caller is to run, once their step is whole
        self._stage: JSONObject = {}
        self._model, self._reason = "", "stop"
        self._prompt = self._completion = 0

    def encode(self, numbered: NumberedEvent) -> Chunks:
        event = numbered.event
        match event:
            case TextDelta(text_id, text):
                return ({"type": "text-delta", "id": text_id, "delta": text},)
            case TextStarted(text_id):
                return ({"type": "text-start", "id": text_id},)
            case TextFinished(text_id):
                return ({"type": "text-end", "id": text_id},)
            case ReasoningDelta(reasoning_id, text):
                return ({"type": "reasoning-delta", "id": reasoning_id, "delta": text},)
            case ReasoningStarted(reasoning_id):
                return ({"type": "reasoning-start", "id": reasoning_id},)
            case ReasoningFinished(reasoning_id):
                return ({"type": "reasoning-end", "id": reasoning_id},)
            case (
                ToolCallStarted() | ToolCallDelta() | ToolCallFinished() | ToolOutput() | ApprovalRequested()
            ):
                return self._of_call(event)
            case StageStarted() | StageItem() | StageFinished() | Progress():
                return self._of_stage(event)
            case TurnStarted() | TurnFinished() | TurnFailed() | TurnCancelled():
                return self._of_turn(numbered)
            case _:
                return self._of_step(event)

    def _of_turn(self, numbered: NumberedEvent) -> Chunks:
        """A failure without a number is the end of this stream alone: it has no `finish`, for which clients wait that
        come back by themselves. All others end with one."""
        match numbered.event:
            case TurnStarted(turn_id, session_id):
                ids: JSONObject = {"sessionId": session_id, "turnId": turn_id}
                start: JSONObject = {"type": "start", "messageId": self._message_id, "messageMetadata": ids}
                return (start, *self._before)
            case TurnFailed(_, message):
                error: JSONObject = {"type": "error", "errorText": message}
                return (error, self._finish("error")) if numbered.number else (error,)
            case TurnCancelled():
                return {"type": "abort", "reason": "cancelled"}, self._finish(self._interrupted)
            case _:
                return (self._finish(REASONS.get(self._reason, "other")),)

    def _finish(self, reason: str) -> JSONObject:
        said: JSONObject = {"model": self._model} if self._model else {}
        if self._prompt or self._completion:
            said["usage"] = {
                "inputTokens": self._prompt,
                "outputTokens": self._completion,
                "totalTokens": self._prompt + self._completion,
            }
        finish: JSONObject = {"type": "finish", "finishReason": reason}
        if said:
            finish["messageMetadata"] = said
        return finish

    def _of_step(self, event: TurnEvent) -> Chunks:
        match event:
            case StepStarted(_, _, model):
                self._model = model
                return ({"type": "start-step"},)
            case UsageReported(prompt, completion):
                self._prompt += prompt
                self._completion += completion
            case StepFinished(reason):
                self._reason = reason
                held, self._held = self._held, {}
                calls = () if reason in BROKEN else held.values()
                return (*calls, {"type": "finish-step"})
            case _:
                pass
        return ()

    def _of_stage(self, event: TurnEvent) -> Chunks:
        """A part for each stage, which grows; progress is no part of the message."""
        match event:
            case StageStarted(stage, attempt):
                self._stage = {"stage": stage, "status": "running", "attempt": attempt, "items": []}
            case StageItem(stage, item):
                items = [*cast("list[JSON]", self._stage.get("items", [])), item]
                began: JSONObject = {"stage": stage, "status": "running"}
                self._stage = {**began, **self._stage, "items": items}
            case StageFinished(stage, result, text):
                status = "failed" if result is None else "finished"
                self._stage = {**self._stage, "stage": stage, "status": status, "result": result}
                self._stage.pop("items", None)
                return (*self._shown_stage(stage), *_text(f"stage-{stage}", text))
            case Progress(percent):
                return ({"type": "data-progress", "data": {"percent": percent}, "transient": True},)
            case _:
                pass
        return self._shown_stage(str(self._stage.get("stage", "")))

    def _shown_stage(self, stage: str) -> Chunks:
        return ({"type": "data-stage", "id": stage, "data": dict(self._stage)},) if self._stage else ()

    def _of_call(self, event: TurnEvent) -> Chunks:
        match event:
            case ToolCallStarted(call_id, name):
                self._calls.take(event)
                self._names[call_id] = name
                return ({"type": "tool-input-start", "toolCallId": call_id, **self._named(name)},)
            case ToolCallDelta(call_id, arguments):
                self._calls.take(event)
                return ({"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": arguments},)
            case ToolCallFinished(call_id) if call := self._calls.take(event):
                return self._shown_call(call_id, call.name, call.arguments)
            case ToolOutput():
                return self._output(event)
            case ApprovalRequested(call_id):
                asked = approval_id(self._turn.id, call_id)
                return ({"type": "tool-approval-request", "approvalId": asked, "toolCallId": call_id},)
            case _:
                return ()

    def _shown_call(self, call_id: str, name: str, arguments: str) -> Chunks:
        """Those of the caller are held back until the step is whole: a page runs what it is shown."""
        shown: JSONObject = {"toolCallId": call_id, **self._named(name)}
        try:
            chunk: JSONObject = {"type": "tool-input-available", **shown, "input": read_arguments(arguments)}
        except ValueError:
            chunk = {"type": "tool-input-error", **shown, "input": arguments, "errorText": NO_JSON}
        if name not in self._tools:
            return (chunk,)
        self._held[call_id] = chunk
        return ()

    def _output(self, event: ToolOutput) -> Chunks:
        call: JSONObject = {"toolCallId": event.call_id}
        if (held := self._held.pop(event.call_id, None)) is not None:  # the caller must not run it
            told = {"type": "tool-input-error", "errorText": event.output}
            return ({"input": {}, **held, **told},)
        first = self._unseen(event)
        if event.denied:
            return (*first, {"type": "tool-output-denied", **call})
        if event.is_error:
            return (*first, {"type": "tool-output-error", **call, "errorText": event.output})
        return (*first, {"type": "tool-output-available", **call, "output": event.output})

    def _unseen(self, event: ToolOutput) -> Chunks:
        """Clients refuse the output of a call that they have not seen, as one of an earlier turn may be."""
        if event.call_id in self._names or self._goes_on:
            return ()
        call: JSONObject = {"toolCallId": event.call_id, **self._named(event.name)}
        return ({"type": "tool-input-available", **call, "input": {}},)

    def _named(self, name: str) -> JSONObject:
        if name in self._tools:
            return {"toolName": name}
        return {"toolName": name, "dynamic": True, "providerExecuted": True}


def _text(text_id: str, text: str) -> Chunks:
    if not text:
        return ()
    return (
        {"type": "text-start", "id": text_id},
        {"type": "text-delta", "id": text_id, "delta": text},
        {"type": "text-end", "id": text_id},
    )
