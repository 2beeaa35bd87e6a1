"""The body of a request of the Responses protocol.

Follows https://platform.openai.com/docs/api-reference/responses/create (read November 2026), and what agents of
Databricks take of it, which MLflow's `ResponsesAgentRequest` says. Nothing is kept at the service: the whole
conversation is sent each time, and no item has an id there.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256

from chat.calls import ToolCall, ToolDefinition
from chat.events import JSON, JSONObject
from chat.providers.base import ModelMessage, ModelRequest
from chat.reply_options import ReplyOptions, ResponseSchema

LONGEST_ID = 64
"""Characters that the id of a call may have."""
NAMES = {"max_tokens": "max_output_tokens", "temperature": "temperature", "top_p": "top_p"}
NO_NAME = re.compile(r"[^A-Za-z0-9_-]")


def responses_body(
    request: ModelRequest, model: str, *, offer_tools: bool = True, summary: str = ""
) -> JSONObject:
    """The body of `POST /responses`; a `model` of "" stands in the URL. `summary` is the kind of summary of its
    reasoning that the model is asked for. `extras` are as for chat completions."""
    body: JSONObject = {"reasoning": {"summary": summary}} if summary else {}
    body.update(request.extras)
    ids = _CallIds()
    body["input"] = [item for message in request.messages for item in _items(message, ids)]
    body["stream"] = True
    body["store"] = False
    if model:
        body["model"] = model
    for field, name in NAMES.items():
        if (value := getattr(request, field)) is not None:
            body[name] = value
    if request.tools and offer_tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body.update(_tool_options(request.options))
    if request.response_schema:
        body["text"] = {"format": _format(request.response_schema)}
    elif request.options.json_object:
        body["text"] = {"format": {"type": "json_object"}}
    left_out = {name for name, value in request.extras.items() if value is None}
    return {name: value for name, value in body.items() if name not in left_out}


class _CallIds:
    """The ids of calls as they are sent. Services that number their calls anew in each reply use one twice in a
    conversation, and a service of this protocol refuses a second output of an id."""

    def __init__(self) -> None:
        self._sent: set[str] = set()
        self._newest: dict[str, str] = {}

    def of_call(self, call_id: str) -> str:
        sent = _call_id(call_id)
        while sent in self._sent:
            sent = _call_id(f"{sent}_")
        self._sent.add(sent)
        self._newest[call_id] = sent
        return sent

    def of_output(self, call_id: str) -> str:
        """Outputs follow their calls."""
        return self._newest.get(call_id) or _call_id(call_id)


def _items(message: ModelMessage, ids: _CallIds) -> Iterator[JSON]:
    if message.role == "tool":
        call_id = ids.of_output(message.tool_call_id)
        yield {"type": "function_call_output", "call_id": call_id, "output": message.content}
        return
    if message.content or not message.tool_calls:
        yield {"role": message.role, "content": message.content}
    yield from _calls(message.tool_calls, ids)


def _calls(calls: Iterable[ToolCall], ids: _CallIds) -> Iterator[JSON]:
    for call in calls:
        name = NO_NAME.sub("_", call.name)  # a service that ran it may have called it anything
        yield {
            "type": "function_call",
            "call_id": ids.of_call(call.id),
            "name": name,
            "arguments": call.arguments,
        }


def _call_id(call_id: str) -> str:
    """Other services make longer ones, and a session may have been with one of them before."""
    return call_id if len(call_id) <= LONGEST_ID else sha256(call_id.encode()).hexdigest()


def _tool(tool: ToolDefinition) -> JSON:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,  # it is by default, and refuses every schema with something optional in it
    }


def _tool_options(options: ReplyOptions) -> JSONObject:
    """The protocol knows neither `stop` nor `seed`."""
    given: JSONObject = {}
    if (choice := options.tool_choice) is not None:
        given["tool_choice"] = {"type": "function", "name": choice.name} if choice.name else choice.mode
    if options.parallel_tool_calls is not None:
        given["parallel_tool_calls"] = options.parallel_tool_calls
    return given


def _format(schema: ResponseSchema) -> JSON:
    return {"type": "json_schema", "name": schema.name, "schema": schema.schema, "strict": schema.strict}
