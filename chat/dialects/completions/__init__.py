"""Dialect `completions`: OpenAI's chat completions (docs/protocols.md)."""

from functools import partial

from chat.dialects.base import Dialect, Door
from chat.dialects.completions.completion_body import CompletionsBody
from chat.dialects.completions.completion_chunks import CompletionsEncoder
from chat.dialects.completions.completion_request import NAME, read_body
from chat.dialects.completions.whole_completion import PATIENCE, whole
from chat.dialects.framing import sse
from chat.dialects.openai_errors import failed, refusal

FIELDS = {"tool_outputs": "messages"}
"""Where requests bring what the core knows by this name."""


COMPLETIONS = Dialect(
    NAME,
    CompletionsEncoder,
    framing=sse(done="[DONE]"),
    door=Door(
        CompletionsBody,
        read_body,
        framing=sse(done="[DONE]", with_ids=False),
        failed=failed,
        refusal=partial(refusal, fields=FIELDS),
        whole=whole,
        patience=PATIENCE,
        headers={"x-session-id": "A session, which then is the conversation: only the last message is new."},
    ),
    schemas="chat.dialects.completions.completion_schemas",
)
