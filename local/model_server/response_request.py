"""A request of the Responses protocol as it arrived, checked as the service checks it, and read as the conversation of
chat completions that it stands for.

Source: OpenAI API reference, "Create a model response" (v1); MLflow's `ResponsesAgentRequest` for what agents take.
"""

import re
from typing import Any

from local.model_server.chat_request import ChatRequest, check_messages, read_json_object
from local.model_server.problems import Problem

NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
LONGEST_ID = 64
OF_AGENTS = frozenset(
    {
        *(
            "input",
            "model",
            "stream",
            "store",
            "temperature",
            "top_p",
            "max_output_tokens",
            "text",
            "reasoning",
        ),
        *("metadata", "user", "tool_choice", "truncation", "parallel_tool_calls"),
        *("custom_inputs", "context", "databricks_options"),
    }
)
"""What the signature of a ResponsesAgent has. Its `tools` have a type and nothing else, so that no function passes."""


def read_response_request(raw: bytes, *, agent: bool) -> ChatRequest:
    """Problem 400 for what the service refuses."""
    body = read_json_object(raw)
    if agent and (strange := set(body) - OF_AGENTS):
        raise Problem(
            400, f"Invalid properties not defined in the schema found: {strange}", code="BAD_REQUEST"
        )
    if body.get("messages") is not None:
        raise _wrong(
            "Unsupported parameter: 'messages'. In the Responses API, this parameter has moved to 'input'."
        )
    messages = _messages(body.get("input"))
    check_messages(messages)
    limit = body.get("max_output_tokens")
    return ChatRequest(
        body={
            "model": body.get("model"),
            "tools": [_tool(tool, place) for place, tool in enumerate(body.get("tools") or [])],
            "tool_choice": body.get("tool_choice"),
            "response_format": _response_format(body),
        },
        messages=messages,
        stream=bool(body.get("stream")),
        include_usage=True,
        max_tokens=limit if isinstance(limit, int) else None,
        asked=body,
    )


def _messages(given: Any) -> list[dict[str, Any]]:
    """The items of the input as messages: calls that follow each other are those of one message."""
    if isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise Problem(400, "Missing required parameter: 'input'.", code="missing_required_parameter")
    messages: list[dict[str, Any]] = []
    for place, item in enumerate(given):
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            messages.append({"role": item.get("role"), "content": item.get("content")})
        elif kind == "function_call":
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item, place))
        elif kind == "function_call_output":
            messages.append(
                {"role": "tool", "tool_call_id": _call_id(item, place), "content": item.get("output")}
            )
        elif kind != "reasoning":
            raise _wrong(f"Invalid value: 'input[{place}].type'.")
    return messages


def _call(item: dict[str, Any], place: int) -> dict[str, Any]:
    name = str(item.get("name"))
    if not NAME.fullmatch(name):
        raise _wrong(f"Invalid 'input[{place}].name': string does not match pattern '^[a-zA-Z0-9_-]+$'.")
    function = {"name": name, "arguments": str(item.get("arguments"))}
    return {"id": _call_id(item, place), "type": "function", "function": function}


def _call_id(item: dict[str, Any], place: int) -> str:
    call_id = str(item.get("call_id"))
    if len(call_id) > LONGEST_ID:
        raise _wrong(f"Invalid 'input[{place}].call_id': string too long. Expected at most {LONGEST_ID}.")
    return call_id


def _tool(tool: dict[str, Any], place: int) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    if not tool.get("name"):
        raise _wrong(f"Missing required parameter: 'tools[{place}].name'.")
    return {
        "type": "function",
        "function": {name: tool.get(name) for name in ("name", "description", "parameters")},
    }


def _response_format(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = (body.get("text") or {}).get("format") or {}
    return {"type": "json_schema", "json_schema": wanted} if wanted.get("type") == "json_schema" else None


def _wrong(message: str) -> Problem:
    return Problem(400, message, code="invalid_request_error")
