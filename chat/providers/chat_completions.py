"""The chat completions protocol without a socket: replies, read chunk by chunk.

Follows https://platform.openai.com/docs/api-reference/chat-streaming (read November 2026) and what Azure and other
services are known to send beside it: chunks without choices, nulls, errors inside the stream, a `model` that names
the one a router chose, content in parts, the whole reply in one chunk.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from chat.errors import BadProviderReply
from chat.providers.base import (
    ModelChosen,
    ModelDelta,
    ReasoningPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from chat.providers.bounds import MOST_CALLS, bounded_count, bounded_id, bounded_name, parsed
from chat.providers.service_errors import error_in_stream
from chat.providers.think_tags import ThinkTags

STOP_REASONS: Mapping[str, Literal["stop", "length", "tool_calls", "content_filter"]] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
}
"""Reasons that are in neither table read as `stop`: the service did say that the reply is complete."""

FAILURES = frozenset({"error", "abort"})
"""Reasons by which services say that the reply is not complete: as OpenRouter and vLLM put it."""

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Where reasoning stands, in the order in which it counts when a service says it twice."""


class ChunkReader:
    """Turns the `data` of a reply's events into deltas. Feed `read` until `done` or the end, then ask `finish`.

    The stop reason and the usage come from `finish` alone: services disagree about what may follow them.
    Each chunk of text stays a piece of its own, because the turn log above merges, and only when it is told to.
    """

    def __init__(self, model: str) -> None:
        self._model = model  # who answers, unless a chunk names somebody else
        self._chosen = False
        self._calls: list[_Call] = []
        self._stop = ""
        self._usage: UsageReport | None = None
        self._tags = ThinkTags()
        self.done = False  # `[DONE]` was read

    @property
    def complete(self) -> bool:
        """Whether the service said that the reply ended."""
        return self.done or bool(self._stop)

    @property
    def trailing(self) -> bool:
        """Behind the stop reason comes at most the usage."""
        return self.complete

    def read(self, data: bytes) -> Sequence[ModelDelta]:
        """The deltas of one chunk. ProviderError for an error object, BadProviderReply for what is no chunk."""
        if self.done or not data:
            return ()
        if data.startswith(b"[DONE]"):
            self.done = True
            return ()
        try:
            return self._read_chunk(cast("dict[str, Any]", parsed(data)))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise BadProviderReply("The model service sent a chunk that cannot be read.") from error

    def finish(self) -> Sequence[ModelDelta]:
        """The last deltas. BadProviderReply when the reply broke off: a cut is never taken for an end."""
        if not self._stop:
            raise BadProviderReply("The model's reply broke off before its end.")
        reason = STOP_REASONS.get(self._stop, "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"  # a call that was asked for by name ends with `stop`
        deltas = self._introduced([*self._tags.flush(), StopReason(reason)], self._model)
        return [*deltas, self._usage] if self._usage else deltas

    def _read_chunk(self, chunk: dict[str, Any]) -> Sequence[ModelDelta]:
        choices = chunk.get("choices")
        if error := chunk.get("error") or (not choices and _bare_error(chunk)):
            raise error_in_stream(error)
        usage = chunk.get("usage")
        if usage:
            self._usage = _usage(usage) or self._usage
        deltas = self._read_choice(choices[0]) if choices else []
        if not self._chosen and (deltas or ((choices or usage) and chunk.get("model"))):
            return self._introduced(deltas, bounded_name(chunk.get("model")) or self._model)
        return deltas

    def _introduced(self, deltas: list[ModelDelta], model: str) -> list[ModelDelta]:
        """The deltas, with who answers before the first of all."""
        if self._chosen:
            return deltas
        self._chosen = True
        return [ModelChosen(model), *deltas]

    def _read_choice(self, choice: dict[str, Any]) -> list[ModelDelta]:
        deltas: list[ModelDelta] = []
        if delta := choice.get("delta") or choice.get("message"):
            text = delta.get("content")
            plain = (
                text and len(delta) == 1 and type(text) is str
            )  # nearly every one, for three quarters of the time
            deltas = [TextPiece(text)] if plain and self._tags.done else self._read_delta(delta)
        if reason := choice.get("finish_reason"):
            self._stop = _text(reason).lower()
            if self._stop in FAILURES:
                self._stop = ""
                raise BadProviderReply("The model service broke off its reply.")
        return deltas

    def _read_delta(self, delta: dict[str, Any]) -> list[ModelDelta]:
        deltas: list[ModelDelta] = []
        if text := _reasoning(delta):
            deltas.append(ReasoningPiece(text))
        if content := delta.get("content") or delta.get("refusal"):
            deltas.extend(_pieces(content) if isinstance(content, list) else self._tags.split(_text(content)))
        if calls := delta.get("tool_calls"):
            deltas.extend(piece for call in calls if (piece := self._read_call(call)))
        return deltas

    def _read_call(self, call: dict[str, Any]) -> ToolCallPiece | None:
        """One piece of a call. Its id and name are passed on once, whether the service repeats them or not."""
        function = call.get("function") or {}
        arguments = _text(function.get("arguments") or "")
        index, call_id = call.get("index"), bounded_id(call.get("id"))
        known = self._known_call(index, call_id)
        if known is not None:
            return ToolCallPiece(known, arguments=arguments)
        number = len(self._calls)
        if number == MOST_CALLS:
            return None
        shown = self._free_id(call_id or f"call_{number}")
        self._calls.append(_Call(index, call_id, shown))
        return ToolCallPiece(number, shown, bounded_name(function.get("name")), arguments)

    def _known_call(self, index: object, call_id: str) -> int | None:
        """Which of the calls so far this piece goes on with; None for a new one. Some services give no index, some give
        every call the same one, and some give every call the same id: what is given has to agree."""
        for number in range(len(self._calls) - 1, -1, -1):
            call = self._calls[number]
            same_index = index is None or call.index is None or index == call.index
            if same_index and (not call_id or call_id == call.id):
                return number
        return None

    def _free_id(self, wanted: str) -> str:
        """An id that no other call of the reply has: outputs belong to calls by their ids."""
        taken = {call.shown for call in self._calls}
        while wanted in taken:
            wanted += "_"
        return wanted


@dataclass(frozen=True, slots=True)
class _Call:
    """A call as the service names it."""

    index: object  # None when it gave none
    id: str  # "" when it gave none
    shown: str  # the id that it has for us


def _bare_error(chunk: dict[str, Any]) -> object:
    """The error that a chunk is when it does not say so: as vLLM and Databricks send it."""
    return chunk if chunk.get("object") == "error" or "error_code" in chunk else None


def _usage(usage: dict[str, Any]) -> UsageReport | None:
    """What was reported; a number that is missing counts as 0, and what has no number at all is no report."""
    counts = [bounded_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    return None if counts == [None, None] else UsageReport(*(count or 0 for count in counts))


def _reasoning(delta: dict[str, Any]) -> str:
    for name in REASONING:
        if text := delta.get(name):
            return _text(text)
    details = delta.get("reasoning_details") or ()  # OpenRouter's, beside text that is encrypted
    return "".join(_text(each.get("text") or each.get("summary") or "") for each in details)


def _pieces(content: list[dict[str, Any]]) -> list[ModelDelta]:
    """The pieces of content that comes in parts of several types, as Databricks and Mistral send it."""
    pieces: list[ModelDelta] = []
    for part in content:
        if text := part.get("text"):
            pieces.append(TextPiece(_text(text)))
        if thought := "".join(_text(each.get("text") or "") for each in _thoughts(part)):
            pieces.append(ReasoningPiece(thought))
    return pieces


def _thoughts(part: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return part.get("summary") or part.get("thinking") or ()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text belongs")
    return value
