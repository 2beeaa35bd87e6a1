"""Dialect `completions`: OpenAI's chat completions (docs/protocols.md)."""

from dataclasses import replace

from chat.conversation import Turn
from chat.dialects import openai_errors
from chat.dialects.base import Dialect, Door, Reply
from chat.dialects.completions.completion_body import CompletionsBody
from chat.dialects.completions.completion_chunks import CompletionsEncoder
from chat.dialects.completions.completion_request import NAME, read_body
from chat.dialects.completions.whole_completion import PATIENCE, whole
from chat.dialects.framing import sse
from chat.errors import ChatError
from chat.events import TurnFailed


def _refusal(error: ChatError) -> Reply:
    return _once(openai_errors.refusal(error), retryable=error.retryable)


def _failed(turn: Turn, failed: TurnFailed) -> Reply:
    return _once(openai_errors.failed(turn, failed), retryable=failed.retryable)


def _once(reply: Reply, *, retryable: bool) -> Reply:
    """Clients ask again by the status alone, unless they are told not to: each time would begin another turn."""
    return reply if retryable else replace(reply, headers={**reply.headers, "x-should-retry": "false"})


COMPLETIONS = Dialect(
    NAME,
    CompletionsEncoder,
    framing=sse(done="[DONE]"),
    door=Door(
        CompletionsBody,
        read_body,
        framing=sse(done="[DONE]", with_ids=False),
        failed=_failed,
        refusal=_refusal,
        whole=whole,
        patience=PATIENCE,
        headers={"x-session-id": "A session, which then is the conversation: only the last message is new."},
    ),
    schemas="chat.dialects.completions.completion_schemas",
)
