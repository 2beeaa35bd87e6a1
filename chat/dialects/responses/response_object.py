"""A turn as the object `response` (https://platform.openai.com/docs/api-reference/responses/object, November 2026).

What the caller asked for stands in `turn.request.client`; a turn that began in another protocol has the defaults.
"""

from collections.abc import Mapping, Sequence

from chat.conversation import Turn
from chat.events import JSON, JSONObject

NAME = "responses"
PREFIX = "resp_"
LABEL = "parley"
"""The server whose tools ours are: clients take a `function_call` for one that they have to run, and an `mcp_call` for
one that is run for them."""

DEFAULTS: Mapping[str, JSON] = {
    "background": False,
    "conversation": None,
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": None,
    "store": True,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "auto",
    "user": None,
}
"""What every response says again of its request. A window that is too long is always shortened."""


def response_id(turn_id: str) -> str:
    return PREFIX + turn_id


def turn_id_of(identifier: str) -> str:
    """The reverse; the id of a turn is one of a response, too. The prefix alone is the id of none."""
    return identifier.removeprefix(PREFIX) or identifier


def asked_of(turn: Turn) -> JSONObject:
    """What the dialect keeps of the request."""
    return turn.request.client if turn.request.dialect == NAME else {}


def frame_of(turn: Turn) -> JSONObject:
    """What stands still in all states of a response."""
    asked = asked_of(turn)
    return {
        "id": response_id(turn.id),
        "object": "response",
        "created_at": int(turn.started_at.timestamp()),
        **DEFAULTS,
        **{name: value for name, value in asked.items() if name in DEFAULTS},
    }


def usage_of(prompt: int, completion: int) -> JSONObject:
    """Which of the tokens were cached, or thought, nobody tells us."""
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }


def text_part(text: str) -> JSONObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(identifier: str, parts: Sequence[JSON], status: str) -> JSONObject:
    """What the model says."""
    return {
        "id": identifier,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": list(parts),
    }


def reasoning_item(identifier: str, texts: Sequence[str], status: str) -> JSONObject:
    """What it thinks."""
    summary: list[JSON] = [{"type": "summary_text", "text": text} for text in texts]
    return {"id": identifier, "type": "reasoning", "summary": summary, "status": status}


def error_of(code: str, message: str, status: int) -> JSONObject:
    """Of a response that failed: OpenAI knows few codes, ours stands beside it."""
    known = {429: "rate_limit_exceeded", 400: "invalid_prompt"}.get(status, "server_error")
    return {"code": known, "message": message, "type": code.lower()}
