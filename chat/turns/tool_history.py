"""The tool calls of an answer: as its message keeps them, and as a later model call is shown them.

A message keeps them in `metadata.tool_calls`, each with its output; `output: null` is a call that nobody ran, or one
that the caller is to run. They are bounded, since they go with every read of the message.

A call that needs an approval has `approval`: `requested`, and where a turn went on from it `approved` or `denied`,
`decided_by`, and with whose access it runs as `run_for`, or what the model is told of the no as `reason`. Where the
tool is somebody else's, `definition` is the digest of what they said of it when it was called.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from chat.calls import CallReader, ToolCall
from chat.events import (
    JSON,
    ApprovalRequested,
    JSONObject,
    NumberedEvent,
    TextDelta,
    ToolOutput,
)
from chat.messages import Message, MessageDraft
from chat.providers.base import ModelMessage

KEPT_TEXT = 4000  # characters of an output, or of the arguments
KEPT_CALLS = 64  # of a turn, the newest
KEPT_BYTES = 24 * 1024  # of all calls of a message, as JSON
RESERVED = frozenset({"continues", "tool_calls"})
"""Keys of a message's metadata that the app itself writes, and believes."""

CUT = " [cut]"
LEFT_OUT = "[left out]"
NO_OUTPUT = "[no output: the call was not run]"
UNKNOWN_OUTPUT = "[no output: the call was approved, and it is not known whether it ran]"
DECISION = ("approval", "decided_by", "run_for", "reason", "definition")
"""What a call has besides, where it needs an approval."""


def calls_made(events: Iterable[NumberedEvent], before: Iterable[JSONObject] = ()) -> list[JSONObject]:
    """The calls in a turn's events, in their order, whole, after those that its answer began with."""
    calls = list(before)
    reader = CallReader()
    for _, event in events:
        match event:
            case TextDelta():  # first, for speed: most events are
                pass
            case ToolOutput(call_id, _, output, is_error):
                _open_call(calls, call_id).update(output=output, is_error=is_error)
            case ApprovalRequested(call_id, _, definition):
                asked: JSONObject = {"definition": definition} if definition else {}
                _open_call(calls, call_id).update(approval="requested", **asked)
            case _:
                if (call := reader.take(event)) is not None:
                    made: JSONObject = {"id": call.id, "name": call.name, "arguments": call.arguments}
                    calls.append({**made, "output": None, "is_error": False})
    return calls


def _open_call(calls: Sequence[JSONObject], call_id: str) -> JSONObject:
    """Services that number their calls anew in each reply use an id twice in a turn."""
    same = [call for call in calls if call["id"] == call_id]
    return next((call for call in same if call["output"] is None), same[-1] if same else {})


def kept(calls: Sequence[JSONObject]) -> list[JSON]:
    """The newest calls as a message keeps them: each in its place, and the newest whole but for long texts, as far as
    there is room. One that waits for an approval stays whole, since it is run as it is kept."""
    found = [call if waits_for_approval(call) else _stripped(call) for call in calls[-KEPT_CALLS:]]
    while (room := KEPT_BYTES - _size(found)) < 0:
        found = found[1:]
    for place in range(-1, -len(found) - 1, -1):
        whole = found[place] if waits_for_approval(calls[place]) else _cut(calls[place])
        more = _size(whole) - _size(found[place])
        if more > room:
            break
        found[place], room = whole, room - more
    return list(found)


def _size(value: object) -> int:
    return len(json.dumps(value))


def _cut(call: JSONObject) -> JSONObject:
    output, arguments = call["output"], str(call["arguments"])
    if isinstance(output, str) and len(output) > KEPT_TEXT:
        output = output[: KEPT_TEXT - len(CUT)] + CUT
    return {**call, "arguments": arguments if len(arguments) <= KEPT_TEXT else "{}", "output": output}


def _stripped(call: JSONObject) -> JSONObject:
    rest = {name: value for name, value in call.items() if name != "reason"}
    return {**rest, "arguments": "{}", "output": None if call["output"] is None else LEFT_OUT}


def waits_for_approval(call: JSONObject) -> bool:
    return call["output"] is None and call.get("approval") == "requested"


def with_calls(metadata: JSONObject, events: Iterable[NumberedEvent]) -> JSONObject:
    """The metadata of an answer with the calls of its turn, after those that it began with."""
    calls = calls_made(events, stored_calls(metadata))
    return {**metadata, "tool_calls": kept(calls)} if calls else metadata


def kept_metadata(said: MessageDraft) -> JSONObject:
    """The metadata of a message as they are stored: with its calls and their outputs within the bounds."""
    calls = stored_calls(said.metadata)
    return {**said.metadata, "tool_calls": kept(calls)} if calls else said.metadata


def stored_calls(metadata: Mapping[str, JSON]) -> list[JSONObject]:
    """The calls that a message keeps. What is not one is left out: a caller can write metadata as well."""
    calls = metadata.get("tool_calls")
    return [call for each in (calls if isinstance(calls, list) else []) if (call := _call(each))]


def call_ids(messages: Iterable[Message | MessageDraft]) -> Iterator[str]:
    """Those of all calls that the messages keep."""
    return (str(call["id"]) for each in messages for call in stored_calls(each.metadata))


def _call(value: JSON) -> JSONObject | None:
    if not isinstance(value, dict) or not (value.get("id") and value.get("name")):
        return None
    output = value.get("output")
    decision: JSONObject = {name: str(value[name]) for name in DECISION if value.get(name)}
    return {
        "id": str(value["id"]),
        "name": str(value["name"]),
        "arguments": str(value.get("arguments", "")),
        "output": None if output is None else str(output),
        "is_error": value.get("is_error") is True,
        **decision,
    }


def standing(messages: Sequence[Message | MessageDraft]) -> list[Message | MessageDraft]:
    """The messages without answers that a later one goes on from: it has their calls, with the outputs. What a user
    said always stands, whatever the metadata of others say."""
    continued = {str(each.metadata.get("continues", "")) for each in messages if each.role == "assistant"}
    return [
        each
        for each in messages
        if not (isinstance(each, Message) and each.role == "assistant" and each.id in continued)
    ]


def model_messages(message: Message | MessageDraft) -> tuple[ModelMessage, ...]:
    """A stored message as the model is shown it: an answer's calls, their outputs, then what was said. Where the
    answer is not whole, its calls came last. Nothing for a message without either, and nothing for one of role
    `system`: what the model is told beside the conversation is the app's to say, and not any editor's."""
    if message.role == "system":
        return ()
    text = (ModelMessage(message.role, message.content),) if message.content else ()
    calls = stored_calls(message.metadata) if message.role == "assistant" else []
    if not calls:
        return text
    asked = tuple(_asked(calls))
    outputs = tuple(
        ModelMessage("tool", _output(call), (), one.id) for call, one in zip(calls, asked, strict=True)
    )
    if message.status == "streaming" or any(call["output"] is None for call in calls):
        return ModelMessage("assistant", message.content, asked), *outputs
    return ModelMessage("assistant", "", asked), *outputs, *text


def _output(call: JSONObject) -> str:
    if call["output"] is not None:
        return str(call["output"])
    return UNKNOWN_OUTPUT if call.get("approval") == "approved" else NO_OUTPUT


def _asked(calls: Iterable[JSONObject]) -> Iterator[ToolCall]:
    """Each with an id of its own, and with arguments that every service can read."""
    seen: set[str] = set()
    for call in calls:
        name = str(call["id"])
        while name in seen:
            name += "_"
        seen.add(name)
        yield ToolCall(name, str(call["name"]), sound_arguments(str(call["arguments"])))


def sound_arguments(arguments: str) -> str:
    """Some services refuse a window in which the arguments of a call are no JSON object."""
    try:
        return arguments if isinstance(orjson.loads(arguments), dict) else "{}"
    except ValueError:
        return "{}"
