"""The Responses protocol without a socket: replies, read event by event.

Follows https://platform.openai.com/docs/api-reference/responses-streaming (read November 2026), and what agents of
Databricks are known to send beside it: several responses in one stream, numbered anew; outputs of their own calls, as
items or bare; texts that come whole, without a delta; ids that all items share; an end without `response.completed`.
So items are told apart by their order and by the ids of calls, and never by their own ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from chat.errors import BadProviderReply, ProviderRejected
from chat.providers.base import (
    ModelChosen,
    ModelDelta,
    ReasoningPiece,
    StopReason,
    TextPiece,
    UsageReport,
)
from chat.providers.bounds import bounded_count, bounded_name, parsed
from chat.providers.responses_calls import Calls, is_call, string
from chat.providers.service_errors import error_in_stream
from chat.providers.think_tags import ThinkTags

TEXT_DELTA = "response.output_text.delta"
APPROVAL = "mcp_approval_request"

ENDS = frozenset(
    f"{prefix}.{how}"
    for prefix in ("response", "responses")  # some agents write it so
    for how in ("completed", "incomplete", "failed", "cancelled")
)
"""The events that end a response."""

type _Reason = Literal["", "stop", "length", "content_filter"]

INCOMPLETE: Mapping[str, _Reason] = {"content_filter": "content_filter"}
"""Why a response is incomplete; all other reasons are limits."""


class ResponsesReader:
    """Turns the `data` of a reply's events into deltas, as `ChunkReader` does.

    The service is an `agent` when it has tools of its own alone: then a function call without an output is one that it
    still runs, and a body that ends in good order behind a whole message is a complete reply.
    """

    def __init__(self, model: str, *, agent: bool = False) -> None:
        self._model = model  # who answers, unless an event names somebody else
        self._agent = agent
        self._chosen = False
        self._plain = False  # a delta of text that comes now needs no more than to be handed on
        self._tags = ThinkTags()
        self._calls = Calls()
        self._told: set[str] = set()  # kinds of items of which the beginning was told, and the end not yet
        self._said = False  # the last thing told was a whole message
        self._worded = False  # the text at hand was told
        self._seen = False  # something of the response that runs
        self._stop: _Reason = ""
        self._usage: UsageReport | None = None
        self.done = False  # nothing is to come any more

    @property
    def complete(self) -> bool:
        """Whether the service said that the reply ended."""
        return self.done or bool(self._stop)

    @property
    def trailing(self) -> bool:
        """Usage comes with the end; an agent may go on with another response."""
        return False

    def read(self, data: bytes) -> Sequence[ModelDelta]:
        """The deltas of one event. ProviderError for an error, BadProviderReply for what is no event."""
        if self.done or not data:
            return ()
        if data.startswith(b"[DONE]"):
            self.done = True
            return ()
        try:
            event = cast("dict[str, Any]", parsed(data))
            if (
                self._plain
                and event.get("type") == TEXT_DELTA
                and type(text := event["delta"]) is str
                and text
            ):
                return (TextPiece(text),)
            return self._introduced(self._read_event(event))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise BadProviderReply("The model service sent an event that cannot be read.") from error

    def finish(self) -> Sequence[ModelDelta]:
        """The last deltas. BadProviderReply when the reply broke off: a cut is never taken for an end."""
        if self._agent and self._said and not self._told:
            self._stop = self._stop or "stop"
        asks = self._calls.pending
        broken = self._stop == "stop" and self._calls.broken
        if not self._stop or (self._agent and asks) or broken:
            raise BadProviderReply("The model's reply broke off before its end.")
        deltas: list[ModelDelta] = [*self._calls.close(), *self._tags.flush(), *self._calls.missing_outputs()]
        asks = asks and self._stop == "stop"
        deltas.append(StopReason("tool_calls" if asks else self._stop))
        return [*self._introduced(deltas), *([self._usage] if self._usage else [])]

    def _introduced(self, deltas: list[ModelDelta]) -> list[ModelDelta]:
        """The deltas, with who answers before the first of all."""
        if self._chosen or not deltas:
            return deltas
        self._chosen = True
        return [ModelChosen(self._model), *deltas]

    def _read_event(self, event: dict[str, Any]) -> list[ModelDelta]:
        kind = event.get("type") or ""
        self._plain = False
        if event.get("object") == "response":
            return self._end(event)  # the whole reply, from a service that does not stream
        if kind in ("error", "response.error") or not kind:
            if kind or "error" in event or "error_code" in event:
                raise error_in_stream(event.get("error") or event)
            return []
        return self._read_kind(kind, event)

    def _read_kind(self, kind: str, event: dict[str, Any]) -> list[ModelDelta]:
        match kind:
            case "response.created":
                return self._begin(event)
            case "response.output_text.delta" | "response.refusal.delta":
                return self._text(string(event["delta"]))
            case "response.output_text.done" | "response.refusal.done":
                return self._text_ends(event)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return self._thought(event)
            case "response.reasoning_summary_part.added":
                return self._next_thought(event)
            case "response.output_item.added":
                return self._item_begins(event)
            case "response.function_call_arguments.delta" | "response.mcp_call_arguments.delta":
                return self._arguments(event, string(event["delta"]), whole=False)
            case "response.function_call_arguments.done" | "response.mcp_call_arguments.done":
                return self._arguments(event, string(event["arguments"]), whole=True)
            case "response.output_item.done":
                return self._whole(event["item"])
            case "function_call_output":  # agents send it bare as well
                return self._whole(event)
            case _:
                return (
                    self._end(event) if kind in ENDS else []
                )  # the others repeat these, or tell of progress

    def _begin(self, event: dict[str, Any]) -> list[ModelDelta]:
        """A response begins, in a stream of an agent maybe another one."""
        self._model = bounded_name(event["response"].get("model")) or self._model
        self._seen, self._stop, self._said, self._worded = False, "", False, False
        return []

    def _text(self, text: str) -> list[ModelDelta]:
        if not text:
            return []
        self._note("message")
        self._worded = True
        deltas = self._calls.beside(self._tags.split(text))
        self._plain = self._tags.done and not self._calls.holds and (self._chosen or bool(deltas))
        return deltas

    def _text_ends(self, event: dict[str, Any]) -> list[ModelDelta]:
        """The whole of a text, which some services send without its deltas."""
        text = event.get("text") or event.get("refusal") or ""
        deltas = [] if self._worded else self._text(string(text))
        self._worded = False
        return deltas

    def _thought(self, event: dict[str, Any]) -> list[ModelDelta]:
        text = string(event["delta"])
        self._note("reasoning")
        return self._calls.beside([ReasoningPiece(text)]) if text else []

    def _next_thought(self, event: dict[str, Any]) -> list[ModelDelta]:
        """A further part of a summary: a paragraph of its own."""
        return self._calls.beside([ReasoningPiece("\n\n")]) if event.get("summary_index") else []

    def _item_begins(self, event: dict[str, Any]) -> list[ModelDelta]:
        item = event["item"]
        self._said, self._worded = False, False
        _check_approval(item)
        if not is_call(item):
            return []
        self._note()
        return self._calls.begin(item, _key(item.get("id"), event))

    def _arguments(self, event: dict[str, Any], text: str, *, whole: bool) -> list[ModelDelta]:
        return self._calls.add_arguments(_key(event.get("item_id"), event), text, whole=whole)

    def _whole(self, item: dict[str, Any]) -> list[ModelDelta]:
        """What of a whole item was not told by deltas."""
        _check_approval(item)
        kind = str(item.get("type") or "message")
        told = kind in self._told
        self._note()
        self._told.discard(kind)
        if kind == "message":
            self._said = self._worded = True
            texts = [] if told else _texts(item.get("content"), "text", "refusal")
            return self._calls.beside([each for text in texts for each in self._tags.split(text)])
        if kind == "reasoning":
            texts = [] if told else _texts(item.get("summary"), "text") or _texts(item.get("content"), "text")
            return self._calls.beside([ReasoningPiece("\n\n".join(texts))] if texts else [])
        if kind == "function_call_output":
            return self._calls.answer(item)
        return self._calls.end(item) if is_call(item) else []

    def _end(self, event: dict[str, Any]) -> list[ModelDelta]:
        """A response ended. Those of models are alone in their stream."""
        response = event.get("response") or event
        if response.get("status") in ("failed", "cancelled") or response.get("error"):
            raise error_in_stream(response.get("error") or "")
        deltas: list[ModelDelta] = []
        self._model = bounded_name(response.get("model")) or self._model
        seen = self._seen
        for item in response.get("output") or ():
            deltas += self._missing(item) if seen else self._whole(item)
        self._add_usage(response.get("usage") or {})
        details = response.get("incomplete_details") or {}
        broken = response.get("status") == "incomplete" or details
        self._stop = INCOMPLETE.get(str(details.get("reason")), "length") if broken else "stop"
        self._seen = False
        self._told.clear()
        self.done = not self._agent
        return deltas

    def _missing(self, item: dict[str, Any]) -> list[ModelDelta]:
        """What of an item was not told before its response ended. Calls of a model have to be run."""
        _check_approval(item)
        return [] if self._agent else self._calls.end_missing(item)

    def _note(self, kind: str = "") -> None:
        """Something of a response was told: where one ended before, another has begun."""
        self._seen, self._stop, self._said = True, "", False
        if kind:
            self._told.add(kind)

    def _add_usage(self, usage: dict[str, Any]) -> None:
        """A number that is missing counts as 0, and what has no number at all is no report."""
        counts = [bounded_count(usage.get(name)) for name in ("input_tokens", "output_tokens")]
        if counts != [None, None]:
            before = self._usage or UsageReport(0, 0)
            prompt, completion = (count or 0 for count in counts)
            self._usage = UsageReport(before.prompt_tokens + prompt, before.completion_tokens + completion)


def _key(item_id: object, event: dict[str, Any]) -> tuple[object, object]:
    return item_id, event.get("output_index")


def _check_approval(item: dict[str, Any]) -> None:
    """ProviderRejected for an item that waits for an approval: to answer it, it would have to be kept and sent back,
    which items of services are not."""
    if item.get("type") == APPROVAL:
        name = bounded_name(item.get("name"))
        raise ProviderRejected(
            f"The model service asks for an approval of its own tool '{name}', which cannot be given here."
        )


def _texts(parts: object, *names: str) -> list[str]:
    """The texts of content, which is one text, or parts that each have theirs under one of the names."""
    if isinstance(parts, str):
        return [parts] if parts else []
    found = [part.get(name) for part in cast("list[dict[str, Any]]", parts or []) for name in names]
    return [string(text) for text in found if text]
