"""The body of a request of the chat completions protocol.

Follows https://platform.openai.com/docs/api-reference/chat/create (read November 2026).
"""

from chat.calls import ToolCall, ToolDefinition
from chat.events import JSON, JSONObject
from chat.providers.base import ModelMessage, ModelRequest
from chat.reply_options import ReplyOptions, ResponseSchema


def request_body(request: ModelRequest, model: str, *, include_usage: bool = True) -> JSONObject:
    """The body of `POST /chat/completions`; a `model` of "" stands in the URL.

    `extras` add to it, and yield to what the request itself says. One that is None leaves its parameter out, whoever
    would send it: so a service can be asked again without what it refused.
    """
    body: JSONObject = {"stream_options": {"include_usage": True}} if include_usage else {}
    body.update(request.extras)
    body["messages"] = [_message(message) for message in request.messages]
    body["stream"] = True
    if model:
        body["model"] = model
    for name in ("temperature", "top_p", "max_tokens"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    body.update(_options(request.options))
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body.update(_tool_options(request.options))
    if request.response_schema:
        body["response_format"] = _response_format(request.response_schema)
    left_out = {name for name, value in request.extras.items() if value is None}
    return {name: value for name, value in body.items() if name not in left_out}


def _options(options: ReplyOptions) -> JSONObject:
    given: JSONObject = {"stop": list(options.stop)} if options.stop else {}
    if options.seed is not None:
        given["seed"] = options.seed
    return {**given, "response_format": {"type": "json_object"}} if options.json_object else given


def _tool_options(options: ReplyOptions) -> JSONObject:
    """What services refuse where there are no tools."""
    given: JSONObject = {}
    if (choice := options.tool_choice) is not None:
        named: JSON = {"type": "function", "function": {"name": choice.name}}
        given["tool_choice"] = named if choice.name else choice.mode
    if options.parallel_tool_calls is not None:
        given["parallel_tool_calls"] = options.parallel_tool_calls
    return given


def _message(message: ModelMessage) -> JSON:
    row: JSONObject = {"role": message.role, "content": message.content}
    if message.tool_calls:
        row["content"] = message.content or None  # some services refuse "" beside calls
        row["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.role == "tool":
        row["tool_call_id"] = message.tool_call_id
    return row


def _call(call: ToolCall) -> JSON:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: ToolDefinition) -> JSON:
    function: JSONObject = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def _response_format(schema: ResponseSchema) -> JSON:
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.name, "schema": schema.schema, "strict": schema.strict},
    }
