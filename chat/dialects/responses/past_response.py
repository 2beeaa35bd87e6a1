"""Responses from what is kept of them: their messages, when their events are gone, and the items of their input."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from chat.clock import iso
from chat.conversation import Turn
from chat.dialects.responses.response_calls import ASKS
from chat.dialects.responses.response_object import asked_of, message_item, response_id, text_part
from chat.events import (
    JSON,
    JSONObject,
    NumberedEvent,
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
from chat.messages import Message

PURGED = "0"  # the id of whatever text there was


def events_of(turn: Turn, message: Message) -> list[NumberedEvent]:
    """What a turn that has ended amounts to, as its message tells it."""
    return [NumberedEvent(number, event) for number, event in enumerate(_events(turn, message), 1)]


def _events(turn: Turn, message: Message) -> Iterator[TurnEvent]:
    yield TurnStarted(turn.id, turn.session_id, turn.user_message_id, iso(turn.started_at))
    yield StepStarted(0, message.llm_provider, message.llm_model)
    answered = asked_of(turn).get("answered") or []
    brought = asked_of(turn).get("tail") or 0
    calls = [each for each in calls_of(message) if each["id"] not in cast("list[JSON]", answered)]
    for call in calls[cast("int", brought) :]:
        yield ToolCallStarted(call["id"], call["name"])
        yield ToolCallDelta(call["id"], call["arguments"])
        yield ToolCallFinished(call["id"])
        if call["output"] is not None:
            yield ToolOutput(call["id"], call["name"], call["output"], bool(call["is_error"]))
    if message.content:
        yield from (TextStarted(PURGED), TextDelta(PURGED, message.content), TextFinished(PURGED))
    usage = turn.usage
    if usage is not None:
        yield UsageReported(usage.prompt_tokens, usage.completion_tokens)
    yield StepFinished(str(message.metadata.get("finish_reason") or "stop"))
    if turn.error is not None:
        yield TurnFailed(turn.error.code, turn.error.message, turn.error.retryable)
    else:
        yield TurnCancelled() if turn.state == "cancelled" else TurnFinished()


def calls_of(message: Message) -> list[dict[str, Any]]:
    """The calls that a message keeps."""
    calls = message.metadata.get("tool_calls")
    return [each for each in calls if isinstance(each, dict)] if isinstance(calls, list) else []


def given_to(turn: Turn) -> int:
    """How many messages before the question its request brought."""
    return cast("int", asked_of(turn).get("given") or 0)


def show_deleted(turn: Turn) -> JSONObject:
    return {"id": response_id(turn.id), "object": "response", "deleted": True}


def input_items(turn: Turn, before: Sequence[Message], answer: Message) -> list[JSONObject]:
    """What the request of a turn brought, oldest first: `before` are the messages up to its question, of which the
    caller sent the last ones. Services use the ids of calls again: of two that were answered the newest is meant."""
    asked = asked_of(turn)
    made = {call["id"]: call for message in (*before, answer) for call in calls_of(message)}
    items: list[JSONObject] = []
    for message in before[-1 - given_to(turn) :] if asked.get("asks", True) else ():
        items += _items_of(message)
    for call in calls_of(answer)[: cast("int", asked.get("tail") or 0)]:
        items += _call_items(call)
    answered = cast("list[str]", asked.get("answered") or [])
    items += [_output_item(made[each]) for each in answered if each in made]
    items += [_approval_item(each) for each in cast("list[JSONObject]", asked.get("approvals") or [])]
    return list(_told_apart(items))


def _told_apart(items: Iterable[JSONObject]) -> Iterator[JSONObject]:
    """Each with an id of its own: clients ask for what follows the last one that they have."""
    seen: Counter[str] = Counter()
    for item in items:
        name = str(item["id"])
        seen[name] += 1
        yield {**item, "id": f"{name}_{seen[name]}"} if seen[name] > 1 else item


def _items_of(message: Message) -> Iterator[JSONObject]:
    identifier = f"msg_{message.id}"
    for call in calls_of(message):
        yield from _call_items(call)
    if message.role == "assistant" and message.content:
        yield message_item(identifier, [text_part(message.content)], "completed")
    elif message.role != "assistant":
        content: list[JSON] = [{"type": "input_text", "text": message.content}]
        said: JSONObject = {"id": identifier, "type": "message", "role": message.role}
        yield {**said, "status": "completed", "content": content}


def _call_items(call: Mapping[str, Any]) -> Iterator[JSONObject]:
    said: JSONObject = {"type": "function_call", "id": f"fc_{call['id']}", "call_id": call["id"]}
    yield {**said, "name": call["name"], "arguments": call["arguments"], "status": "completed"}
    if call["output"] is not None:
        yield _output_item(call)


def _output_item(call: Mapping[str, Any]) -> JSONObject:
    said: JSONObject = {"type": "function_call_output", "id": f"fco_{call['id']}", "call_id": call["id"]}
    return {**said, "output": call["output"] or "", "status": "completed"}


def _approval_item(approval: Mapping[str, JSON]) -> JSONObject:
    call_id = str(approval["call_id"])
    said: JSONObject = {"type": "mcp_approval_response", "id": f"mcpa_{call_id}"}
    said |= {"approval_request_id": ASKS + call_id, "approve": approval["approve"]}
    return {**said, "reason": approval.get("reason")}
