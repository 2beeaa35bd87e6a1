"""The calls in a reply of the Responses protocol: ours, and those that the service runs itself.

A function call whose output comes in the same reply was run by the service. All other kinds of calls (of MCP servers, a
web search, a code interpreter, ...) always are.
"""

from dataclasses import dataclass
from typing import Any, cast

import orjson

from chat.providers.base import ModelDelta, ServiceOutputPiece, ToolCallPiece
from chat.providers.bounds import MOST_CALLS, bounded_id, bounded_name, bounded_text

FUNCTION = "function_call"
ABOUT = ("action", "queries", "code", "input")
"""What stands in the place of arguments where a call has none."""
RESULTS = ("output", "results", "outputs")
"""Where its output stands. The picture of an image call is left out: it is no text."""


@dataclass(slots=True)
class _Call:
    index: int
    shown: str  # the id that it has for us
    name: str
    by_service: bool
    key: tuple[object, object]  # by which its arguments name it
    has_arguments: bool = False
    answered: bool = False


class Calls:
    """One is told at a time: what comes of others meanwhile is told once that one has ended."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}  # the newest of each id
        self._open: _Call | None = None
        self._late: list[ModelDelta] = []

    @property
    def pending(self) -> bool:
        """Whether there is a function call that has no output."""
        return any(not (call.answered or call.by_service) for call in self._calls)

    def begin(self, item: dict[str, Any], key: tuple[object, object]) -> list[ModelDelta]:
        """An item of a call was added; its arguments follow."""
        if self._open is not None or (call := self._new(item, key)) is None:
            return []
        self._open = call
        return [ToolCallPiece(call.index, call.shown, call.name)]

    def add_arguments(self, key: tuple[object, object], text: str, *, whole: bool) -> list[ModelDelta]:
        """A piece of the arguments, or, at their end, all of them."""
        call = self._open
        if call is None or call.key != key or not text or (whole and call.has_arguments):
            return []
        call.has_arguments = True
        return [ToolCallPiece(call.index, arguments=text)]

    def end(self, item: dict[str, Any]) -> list[ModelDelta]:
        """An item of a call is whole: what of it was not told yet."""
        call = self._by_id.get(_id_of(item))
        pieces: list[ModelDelta] = []
        if call is None or call.answered:
            if (call := self._new(item)) is None:
                return []
            pieces.append(ToolCallPiece(call.index, call.shown, call.name, _arguments(item)))
        elif call is self._open and not call.has_arguments and (arguments := _arguments(item)):
            pieces.append(ToolCallPiece(call.index, arguments=arguments))
        if call.by_service:
            pieces.append(_answered(call, item))
        if self._open not in (None, call):
            self._late += pieces
            return []
        return [*pieces, *self.close()]

    def answer(self, item: dict[str, Any]) -> list[ModelDelta]:
        """The output of a function call that the service ran; of a call that was never told, nothing."""
        call = self._by_id.get(bounded_id(item.get("call_id")))
        if call is None or call.answered:
            return []
        return [*self.close(), _answered(call, item)]

    def close(self) -> list[ModelDelta]:
        """Something else comes: nothing more is told of the call that is open, and what waited for it is."""
        self._open, late, self._late = None, self._late, []
        return late

    def missing_outputs(self) -> list[ModelDelta]:
        """Those of calls that the service ran and told nothing more of."""
        return [_answered(call, {}) for call in self._calls if call.by_service and not call.answered]

    def _new(self, item: dict[str, Any], key: tuple[object, object] = (None, None)) -> _Call | None:
        """None when there are too many."""
        if len(self._calls) == MOST_CALLS:
            return None
        number, call_id = len(self._calls), _id_of(item)
        shown = call_id or f"call_{number}"
        while any(shown == call.shown for call in self._calls):
            shown += "_"
        kind = str(item["type"])
        name = bounded_name(item.get("name")) or kind.removesuffix("_call")
        call = _Call(number, shown, name, kind != FUNCTION, key)
        self._calls.append(call)
        self._by_id[call_id] = call
        return call


def is_call(item: dict[str, Any]) -> bool:
    return str(item.get("type")).endswith("_call")


def _id_of(item: dict[str, Any]) -> str:
    return bounded_id(item.get("call_id")) or bounded_id(item.get("id"))


def _arguments(item: dict[str, Any]) -> str:
    if isinstance(text := item.get("arguments"), str):
        return text
    about = {name: item[name] for name in ABOUT if item.get(name)}
    return orjson.dumps(about).decode() if about else ""


def _answered(call: _Call, item: dict[str, Any]) -> ServiceOutputPiece:
    call.answered = True
    error = item.get("error")
    found = error or next((item[name] for name in RESULTS if item.get(name)), "")
    failed = bool(error) or item.get("status") == "failed"
    return ServiceOutputPiece(call.shown, call.name, bounded_text(_text(found)), failed)


def _text(value: object) -> str:
    """An output as text: what it is, the texts of its parts, or its JSON."""
    if isinstance(value, str):
        return value
    parts = cast("list[Any]", value if isinstance(value, list) else [value])
    texts = [part.get("text") or part.get("message") for part in parts if isinstance(part, dict)]
    if len(texts) == len(parts) and all(isinstance(text, str) for text in texts):
        return "\n".join(cast("list[str]", texts))
    return orjson.dumps(value).decode()
