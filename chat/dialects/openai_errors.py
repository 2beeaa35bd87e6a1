"""Errors as OpenAI's clients read them (https://platform.openai.com/docs/guides/error-codes, read November 2026)."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from chat.conversation import Turn
from chat.dialects.base import Reply
from chat.dialects.shapes import failure_headers, json_reply
from chat.errors import ChatError, ContentFiltered
from chat.events import JSONObject, TurnFailed

TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    410: "not_found_error",
    429: "rate_limit_error",
}
"""By the status; others are `invalid_request_error`, and from 500 on `server_error`."""

INVALID = 400
"""The status of what is wrong in a request, which is 422 elsewhere here, and of a prompt that a content filter refuses,
which is 502: clients ask those anew, and programs catch the other."""


def show_error(status: int, code: str, message: str, param: str | None = None) -> JSONObject:
    """`{"error": {"message", "type", "param", "code"}}`"""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code.lower()}}


def status_of(code: str, status: int) -> int:
    """The status that OpenAI has for an error."""
    return INVALID if status == 422 or code == ContentFiltered.code else status


def refusal(error: ChatError, fields: Mapping[str, str] = MappingProxyType({})) -> Reply:
    """What is refused. The name of a field is written as OpenAI does: `input[0].content`. `fields` are those of the
    protocol that bring what the core has other names for."""
    status = status_of(error.code, error.status)
    field = str(error.details.get("field") or "")
    field = fields.get(field.partition(".")[0], field)
    param = re.sub(r"\.(\d+)", r"[\1]", field) if field else None
    return _once(
        json_reply(show_error(status, error.code, error.message, param), status), retryable=error.retryable
    )


def failed(turn: Turn, failure: TurnFailed) -> Reply:
    """A turn that failed before it said anything."""
    status = status_of(failure.code, failure.status)
    body = show_error(status, failure.code, failure.message)
    return _once(json_reply(body, status, failure_headers(turn, failure)), retryable=failure.retryable)


def _once(reply: Reply, *, retryable: bool) -> Reply:
    """Clients ask again by the status alone, unless they are told not to: each time would begin another turn."""
    return reply if retryable else replace(reply, headers={**reply.headers, "x-should-retry": "false"})
