"""Dialect `completions`: OpenAI's chat completions (docs/protocols.md)."""

from chat.dialects import openai_errors
from chat.dialects.base import Dialect, Door
from chat.dialects.completions.completion_body import CompletionsBody
from chat.dialects.completions.completion_chunks import CompletionsEncoder
from chat.dialects.completions.completion_request import NAME, read_body
from chat.dialects.completions.whole_completion import PATIENCE, whole
from chat.dialects.framing import sse

COMPLETIONS = Dialect(
    NAME,
    CompletionsEncoder,
    framing=sse(done="[DONE]"),
    door=Door(
        CompletionsBody,
        read_body,
        framing=sse(done="[DONE]", with_ids=False),
        failed=openai_errors.failed,
        refusal=openai_errors.refusal,
        whole=whole,
        patience=PATIENCE,
    ),
    schemas="chat.dialects.completions.completion_schemas",
)
