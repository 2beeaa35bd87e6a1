"""A chat completions request as it arrived, checked as strictly as the service checks it.

Source: OpenAI API reference, "Create chat completion" (v1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from local.model_server.problems import Problem

ROLES = {"system", "developer", "user", "assistant", "tool", "function"}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What the answer depends on; `body` is all of it, and `asked` what was sent where that was in other words."""

    body: Mapping[str, Any]
    messages: list[dict[str, Any]]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    asked: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def last_user_text(self) -> str:
        return text_of(self.messages[index]) if (index := self.last_user_index) >= 0 else ""

    @property
    def last_user_index(self) -> int:
        """-1 when no user message is there."""
        return next(
            (i for i in reversed(range(len(self.messages))) if self.messages[i]["role"] == "user"), -1
        )

    def tool_outputs(self) -> list[list[str]]:
        """What tools answered since the last user message: one list for each round of calls."""
        rounds: list[list[str]] = []
        for message in self.messages[self.last_user_index + 1 :]:
            if message["role"] == "assistant" and message.get("tool_calls"):
                rounds.append([])
            elif message["role"] == "tool" and rounds:
                rounds[-1].append(text_of(message))
        return rounds

    def tool_parameters(self, name: str) -> Mapping[str, Any] | None:
        """The JSON schema of an offered tool, {} when it has none, None when it is not offered."""
        for tool in self.body.get("tools") or []:
            if tool.get("function", {}).get("name") == name and self.body.get("tool_choice") != "none":
                return tool["function"].get("parameters") or {}
        return None

    def prompt_words(self) -> int:
        return sum(len(text_of(message).split()) for message in self.messages)


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content is a string, a list of parts, or null."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def read_json_object(raw: bytes) -> dict[str, Any]:
    """A body. Problem 400."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"Invalid JSON: {error}", code="BadRequest") from None
    if not isinstance(body, dict):
        raise Problem(400, "The body must be a JSON object.", code="BadRequest")
    return cast("dict[str, Any]", body)


def read_request(raw: bytes) -> ChatRequest:
    """Problem 400 for what the service refuses, with its words where they are known."""
    body = read_json_object(raw)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Problem(400, "Missing required parameter: 'messages'.", code="missing_required_parameter")
    check_messages(messages)
    options = body.get("stream_options") or {}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return ChatRequest(
        body=body,
        messages=messages,
        stream=bool(body.get("stream")),
        include_usage=bool(isinstance(options, dict) and options.get("include_usage")),
        max_tokens=limit if isinstance(limit, int) else None,
    )


def check_messages(messages: list[Any]) -> None:
    """Roles are known, and calls and their results stand in pairs: a window that was cut between them is refused."""
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise Problem(400, f"Invalid value: 'messages[{index}].role'.", code="invalid_value")
        if role == "tool":
            _check_tool_result(str(message.get("tool_call_id")), waiting, index)
        elif waiting:
            break
        elif role == "assistant":
            waiting = {str(call.get("id")) for call in message.get("tool_calls") or []}
    if waiting:
        raise Problem(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(sorted(waiting))}",
            code="invalid_request_error",
        )


def _check_tool_result(call_id: str, waiting: set[str], index: int) -> None:
    if call_id not in waiting:
        raise Problem(
            400,
            "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'. "
            f"(messages[{index}], tool_call_id {call_id!r})",
            code="invalid_request_error",
        )
    waiting.discard(call_id)
