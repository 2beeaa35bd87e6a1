"""A conversation for clients that come back: as AG-UI's messages before a run that they join, and as TanStack AI paints
it at once."""

from collections.abc import Iterable, Iterator, Sequence

import orjson

from chat.calls import ToolCall
from chat.clock import iso
from chat.conversation import Turn
from chat.dialects.ag_ui.ag_ui_encoder import VERSION, AgUiEncoder, interrupt_of, result_id, run_of
from chat.dialects.approval_ids import approval_id
from chat.dialects.base import Encoder, Past, Spoken
from chat.events import JSON, JSONObject, NumberedEvent, TurnStarted


class JoinEncoder(Encoder):
    """A run whose reader is first told what was said before. That is the last payload of the first event, so that
    places in this stream are places in that of whoever started the run."""

    def __init__(self, turn: Turn, before: Sequence[Spoken]) -> None:
        self._run = AgUiEncoder(turn)
        self._before = before

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        payloads = self._run.encode(numbered)
        return (*payloads, snapshot(self._before)) if isinstance(numbered.event, TurnStarted) else payloads


def idle(past: Past) -> Iterable[JSONObject]:
    """The stream of a conversation in which nothing runs: a run that says what there is."""
    run: JSONObject = {"threadId": past.name, "runId": past.run or past.session_id}
    about: JSONObject = {"sessionId": past.session_id}
    yield {"type": "RUN_STARTED", **run, "protocolVersion": VERSION, "metadata": about}
    yield snapshot(past.said)
    waiting = _interrupts(past)
    outcome: JSONObject = {"type": "interrupt", "interrupts": waiting} if waiting else {"type": "success"}
    yield {"type": "RUN_FINISHED", **run, "outcome": outcome}


def snapshot(said: Sequence[Spoken]) -> JSONObject:
    return {"type": "MESSAGES_SNAPSHOT", "messages": [each for one in said for each in _messages(one)]}


def _messages(spoken: Spoken) -> Iterator[JSON]:
    """An answer with calls is the calls, what came of them, and then what was said: as their runs show it."""
    message = spoken.message
    content: JSONObject = {"content": message.content} if message.content else {}
    if not spoken.calls:
        yield {"id": message.id, "role": message.role, "content": message.content}
        return
    calls: list[JSON] = [_call(each) for each in spoken.calls]
    waits = any(each["output"] is None for each in spoken.calls)
    yield {"id": message.id, "role": "assistant", **(content if waits else {}), "toolCalls": calls}
    for each in spoken.calls:
        if each["output"] is not None:
            yield _result(message.id, each)
    if content and not waits:
        yield {"id": f"{message.id}.1", "role": "assistant", **content}


def _call(call: JSONObject) -> JSONObject:
    function: JSONObject = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


def _result(message_id: str, call: JSONObject) -> JSONObject:
    call_id, output = str(call["id"]), str(call["output"])
    failed: JSONObject = {"error": output} if call["is_error"] else {}
    said: JSONObject = {"id": result_id(message_id, call_id), "role": "tool", "toolCallId": call_id}
    return {**said, "content": output, **failed}


def show_thread(past: Past) -> JSONObject:
    """As `@tanstack/ai-client` asks for it by `?threadId=`."""
    waiting = _interrupts(past)
    ended = past.said[-1].message.id if past.said else ""
    return {
        "messages": [_shown(each) for each in past.said],
        "activeRun": {"runId": _known_as(past.running, past.user_id)} if past.running else None,
        "interrupts": {"runId": ended, "pending": waiting} if waiting else None,
        "page": {"truncated": True, "cursor": past.older} if past.older else {"truncated": False},
    }


def _known_as(turn: Turn, user_id: str) -> str:
    """How a reader joins a run: what somebody else called it is known to them alone."""
    return run_of(turn) if turn.user_id == user_id else turn.id


def _shown(spoken: Spoken) -> JSONObject:
    message = spoken.message
    parts: list[JSON] = [part for call in spoken.calls for part in _call_parts(message.id, call)]
    if message.content or not parts:
        text: JSONObject = {"type": "text", "content": message.content}
        waits = any(call["output"] is None for call in spoken.calls)
        parts = [text, *parts] if waits else [*parts, text]
    return {"id": message.id, "role": message.role, "parts": parts, "createdAt": iso(message.created_at)}


def _call_parts(message_id: str, call: JSONObject) -> Iterator[JSONObject]:
    shown: JSONObject = {"type": "tool-call", "id": call["id"], "name": call["name"]}
    shown["arguments"] = call["arguments"]
    output = call["output"]
    if output is None and _needs_approval(call):
        asked = approval_id(message_id, str(call["id"]))
        approval: JSONObject = {"id": asked, "needsApproval": True}
        yield {**shown, "state": "approval-requested", "approval": approval}
    elif output is None:
        yield {**shown, "state": "input-complete"}
    else:
        state = "error" if call["is_error"] else "complete"
        failed: JSONObject = {"error": output} if call["is_error"] else {}
        yield {**shown, "state": state, "output": _read(str(output))}
        result: JSONObject = {"type": "tool-result", "toolCallId": call["id"], "content": output}
        yield {**result, "state": state, **failed}


def _interrupts(past: Past) -> list[JSON]:
    """Of the last answer: what came after it, it waits for no more."""
    if past.running or not past.said:
        return []
    calls = (each for each in past.said[-1].calls if each["output"] is None and _needs_approval(each))
    asked = (ToolCall(str(each["id"]), str(each["name"]), str(each["arguments"])) for each in calls)
    return [interrupt_of(past.said[-1].message.id, each) for each in asked]


def _needs_approval(call: JSONObject) -> bool:
    return call.get("approval") == "requested"


def _read(text: str) -> JSON:
    try:
        return orjson.loads(text)
    except ValueError:
        return text
