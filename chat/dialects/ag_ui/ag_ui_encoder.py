"""A turn as the events of AG-UI 1.0 (https://ag-ui.com/spec/1.0/schema.json).

A model call is a step and a message of its own; within a pipeline a stage is a step. Clients refuse a stream that ends
with anything open, and any optional field that is null: the grammar of turns closes what is open, and what is not there
is left out.
"""

from collections.abc import Iterable

from chat.calls import CallReader, ToolCall
from chat.conversation import Turn
from chat.dialects.ag_ui.ag_ui_state import TripPatches
from chat.dialects.ag_ui.ag_ui_usage import UsageSum
from chat.dialects.approval_ids import approval_id
from chat.dialects.base import Encoder, read_arguments
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

VERSION = "1.0"
NEEDS_APPROVAL = "approval_required"
"""The reason of an interrupt that waits for somebody's word on a call: an open text, and one that TanStack AI knows."""

ANSWER: JSONObject = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean"},
        "arguments": {"type": "object", "description": "In place of those of the call."},
        "reason": {"type": "string", "description": "Why not: the model is told."},
    },
    "required": ["approved"],
}
"""What the payload of a `resume` is to be."""


def thread_of(turn: Turn) -> str:
    """As whoever started the turn calls its conversation."""
    return str(turn.request.client.get("thread") or turn.session_id)


def run_of(turn: Turn) -> str:
    """As whoever started the turn calls it."""
    return str(turn.request.client.get("run") or turn.id)


def result_id(message_id: str, call_id: str) -> str:
    """Of the message with what came of a call."""
    return f"{message_id}.{call_id}"


class AgUiEncoder(Encoder):
    """Knows the message that the next words belong to, the calls that nobody answered, and what was used."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._client = turn.request.client
        self._message = turn.id
        self._step = ""  # the name of the open one
        self._stage = ""
        self._steps = 0
        self._calls = CallReader()
        self._waiting: dict[str, ToolCall] = {}
        self._approvals: dict[str, ToolCall] = {}
        self._usage = UsageSum()
        self._state = TripPatches(turn.request) if turn.request.pipeline else None

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        event = numbered.event
        if type(event) is TextDelta:  # first, for speed: most events are
            return ({"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message, "delta": event.text},)
        match event:
            case ReasoningDelta(part, text):
                return (_reasoning("MESSAGE_CONTENT", self._turn, part, delta=text),)
            case ToolCallDelta(call_id, arguments):
                self._calls.take(event)
                return ({"type": "TOOL_CALL_ARGS", "toolCallId": call_id, "delta": arguments},)
            case TurnStarted() | TurnFinished() | TurnFailed() | TurnCancelled():
                return self._edge(event)
            case StepStarted() | StepFinished() | UsageReported():
                return self._step_event(event)
            case StageStarted() | StageItem() | StageFinished() | Progress():
                return self._stage_event(event)
            case _:
                return self._part(event)

    def _edge(self, event: TurnEvent) -> Iterable[JSONObject]:
        """The beginning and the end of the run."""
        run: JSONObject = {"threadId": thread_of(self._turn), "runId": run_of(self._turn)}
        match event:
            case TurnStarted(turn_id, session_id):
                parent = self._client.get("parent")
                ids: JSONObject = {"sessionId": session_id, "turnId": turn_id}
                started: JSONObject = {"type": "RUN_STARTED", **run, "protocolVersion": VERSION}
                yield {**started, **({"parentRunId": parent} if parent else {}), "metadata": ids}
                if self._state is not None:
                    yield {"type": "STATE_SNAPSHOT", "snapshot": self._state.snapshot()}
            case TurnFailed(code, message):
                yield {"type": "RUN_ERROR", "message": message, "code": code, **self._usage.shown}
            case TurnCancelled():
                yield self._finished(run, {"type": "cancelled"})
            case _:
                yield from self._tool_inputs()
                yield self._finished(run, self._outcome())

    def _finished(self, run: JSONObject, outcome: JSONObject) -> JSONObject:
        return {"type": "RUN_FINISHED", **run, "outcome": outcome, **self._usage.shown}

    def _outcome(self) -> JSONObject:
        if self._approvals:
            waiting: list[JSON] = [interrupt_of(self._turn.id, each) for each in self._approvals.values()]
            return {"type": "interrupt", "interrupts": waiting}
        pending: list[JSON] = [*self._waiting]
        return {"type": "success", **({"pendingToolCallIds": pending} if pending else {})}

    def _tool_inputs(self) -> Iterable[JSONObject]:
        """TanStack AI runs the tools of its page when it is told to, in an event of its own."""
        if not self._client.get("tanstack"):
            return
        for call_id, call in self._waiting.items():
            if call_id not in self._approvals:
                value: JSONObject = {"toolCallId": call_id, "toolName": call.name, "input": _input(call)}
                yield {"type": "CUSTOM", "name": "tool-input-available", "value": value}

    def _step_event(self, event: TurnEvent) -> Iterable[JSONObject]:
        match event:
            case StepStarted(_, provider, model):
                self._usage.chosen(provider, model)
                self._message = f"{self._turn.id}.{self._steps}" if self._steps else self._turn.id
                self._steps += 1
                if not self._stage:
                    self._step = f"step {self._steps}"
                    about: JSONObject = {"provider": provider, "model": model}
                    yield {"type": "STEP_STARTED", "stepName": self._step, "metadata": about}
            case UsageReported(prompt_tokens, completion_tokens):
                self._usage.add(prompt_tokens, completion_tokens)
            case _:
                if self._step:
                    yield {"type": "STEP_FINISHED", "stepName": self._step}
                    self._step = ""

    def _stage_event(self, event: TurnEvent) -> Iterable[JSONObject]:
        match event:
            case StageStarted(stage):
                self._stage = stage
                yield {"type": "STEP_STARTED", "stepName": stage}
            case StageItem(stage, item) if self._state is not None:
                yield from self._state.with_item(stage, item)
            case StageFinished(stage, result, text):
                self._stage = ""
                if self._state is not None:
                    yield from self._state.with_result(stage, result)
                yield from self._said(text)
                yield {"type": "STEP_FINISHED", "stepName": stage}
            case Progress(percent):
                yield {"type": "CUSTOM", "name": "progress", "value": {"percent": percent}}
            case _:
                return

    def _said(self, text: str) -> Iterable[JSONObject]:
        """What a stage adds to the answer."""
        if text:
            message: JSONObject = {"messageId": self._turn.id}
            yield {"type": "TEXT_MESSAGE_START", **message, "role": "assistant"}
            yield {"type": "TEXT_MESSAGE_CONTENT", **message, "delta": text}
            yield {"type": "TEXT_MESSAGE_END", **message}

    def _part(self, event: TurnEvent) -> Iterable[JSONObject]:
        """What a step is made of."""
        match event:
            case TextStarted():
                return ({"type": "TEXT_MESSAGE_START", "messageId": self._message, "role": "assistant"},)
            case TextFinished():
                return ({"type": "TEXT_MESSAGE_END", "messageId": self._message},)
            case ReasoningStarted(part):
                started = _reasoning("MESSAGE_START", self._turn, part, role="reasoning")
                return (_reasoning("START", self._turn, part), started)
            case ReasoningFinished(part):
                return (_reasoning("MESSAGE_END", self._turn, part), _reasoning("END", self._turn, part))
            case _:
                return self._call(event)

    def _call(self, event: TurnEvent) -> Iterable[JSONObject]:
        call = self._calls.take(event)
        match event:
            case ToolCallStarted(call_id, name):
                begun: JSONObject = {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name}
                return ({**begun, "parentMessageId": self._message},)
            case ToolCallFinished(call_id):
                assert call is not None
                self._waiting[call_id] = call
                return ({"type": "TOOL_CALL_END", "toolCallId": call_id},)
            case ApprovalRequested(call_id, name):
                self._approvals[call_id] = self._waiting.get(call_id) or ToolCall(call_id, name, "")
                return ()
            case ToolOutput():
                return (self._result(event),)
            case _:
                return ()

    def _result(self, output: ToolOutput) -> JSONObject:
        self._waiting.pop(output.call_id, None)
        result: JSONObject = {
            "type": "TOOL_CALL_RESULT",
            "messageId": result_id(self._message, output.call_id),
            "toolCallId": output.call_id,
            "content": output.output,
            "role": "tool",
        }
        if output.is_error or output.denied:
            wrong: JSONObject = {"denied": True} if output.denied else {"isError": True}
            result["metadata"] = {**wrong, "tanstack": {"state": "output-error"}}
        return result


def interrupt_of(turn_id: str, call: ToolCall) -> JSONObject:
    """A call that somebody has to allow."""
    about: JSONObject = {"kind": "approval", "toolName": call.name, "input": _input(call)}
    return {
        "id": approval_id(turn_id, call.id),
        "reason": NEEDS_APPROVAL,
        "message": f"May {call.name} be called?",
        "toolCallId": call.id,
        "responseSchema": ANSWER,
        "metadata": about,
    }


def _reasoning(kind: str, turn: Turn, part: str, **more: JSON) -> JSONObject:
    return {"type": f"REASONING_{kind}", "messageId": f"{turn.id}.reasoning.{part}", **more}


def _input(call: ToolCall) -> JSON:
    """The arguments of a call as JSON; the text where they are none."""
    try:
        return read_arguments(call.arguments)
    except ValueError:
        return call.arguments
