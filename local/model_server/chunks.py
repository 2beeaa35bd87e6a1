"""The bytes of chat completions: frames of a stream, made from templates so that a delta costs next to nothing.

Sources: OpenAI API reference, "chat.completion.chunk" (v1); Azure adds the results of its content filter.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from local.model_server.problems import filter_results

DONE = b"data: [DONE]\n\n"
FINGERPRINT = "fp_50906f2aac"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a reply cost, by our rule: a word of the prompt is a token, a delta of the answer is one."""

    prompt: int
    completion: int
    reasoning: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning, "audio_tokens": 0},
        }


class Chunks:
    """The frames of one reply: the same id, time and model on each."""

    def __init__(self, *, number: int, created: int, model: str, azure: bool, usage: bool) -> None:
        self.head: dict[str, Any] = {
            "id": f"chatcmpl-{number:08d}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }
        self.azure = azure
        self._usage = {"usage": None} if usage else {}
        template = self._frame([self._choice("DELTA", None, filter_results())])
        self._before, _, self._after = template.rpartition(b'"DELTA"')

    def _choice(self, delta: object, finish: str | None, found: object) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return choice | {"content_filter_results": found} if self.azure else choice

    def _frame(self, choices: list[Any], **more: object) -> bytes:
        return b"data: %s\n\n" % orjson.dumps({**self.head, "choices": choices, **self._usage, **more})

    def opening(self) -> list[bytes]:
        """What comes before the first delta: on Azure the filter's verdict on the prompt, then the role."""
        role = self.delta(b'{"role":"assistant","content":""}')
        if not self.azure:
            return [role]
        verdict = [{"prompt_index": 0, "content_filter_results": filter_results()}]
        return [self._frame([], prompt_filter_results=verdict), role]

    def delta(self, delta: bytes) -> bytes:
        return self._before + delta + self._after

    def closing(self, finish: str, tokens: Tokens, *, usage: bool) -> list[bytes]:
        """What comes behind the last delta."""
        last = self._frame([self._choice({}, finish, {})])
        return [last, *([self._frame([], usage=tokens.as_json())] if usage else []), DONE]

    def error(self, error: dict[str, Any]) -> bytes:
        return b"data: %s\n\n" % orjson.dumps({"error": error})

    def completion(self, message: dict[str, Any], finish: str, tokens: Tokens) -> bytes:
        """The whole reply as one object, for `stream: false`."""
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        body = self.head | {"object": "chat.completion", "choices": [choice], "usage": tokens.as_json()}
        if self.azure:
            choice["content_filter_results"] = filter_results()
            verdict = {"prompt_index": 0, "content_filter_results": filter_results()}
            body["prompt_filter_results"] = [verdict]
        return orjson.dumps(body)
