"""The calls in a reply of the Responses protocol: ours, and those that the service runs itself.

A function call whose output comes in the same reply was run by the service. All other kinds of calls (of MCP servers, a
web search, a code interpreter, ...) always are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from chat.errors import BadProviderReply
from chat.providers.base import ModelDelta, ReasoningPiece, ServiceOutputPiece, TextPiece, ToolCallPiece
from chat.providers.bounds import MOST_CALLS, bounded_id, bounded_name, bounded_text

FUNCTION = "function_call"
ABOUT = ("action", "queries", "code", "input")
"""What stands in the place of arguments where a call has none."""
RESULTS = ("output", "results", "outputs")
"""Where its output stands. The picture of an image call is left out: it is no text."""


MOST_HELD = 256 * 1024
"""Characters that may come amid the arguments of a call."""


@dataclass(slots=True)
class _Call:
    index: int
    shown: str  # the id that it has for us
    name: str
    by_service: bool
    key: tuple[object, object]  # by which its arguments name it
    told: bool = False
    arguments: str = ""  # as far as they were told
    whole: bool = False  # whether the service said that these are all
    item: str | None = None  # its arguments as its item has them, once that is whole
    answered: bool = False

    @property
    def is_half(self) -> bool:
        """Whether nothing says that its arguments are whole: half an order is not carried out."""
        settled = self.whole or self.answered or self.by_service
        return not (settled or (self.told and _is_object(self.arguments)))

    def is_another(self, item: dict[str, Any]) -> bool:
        """Whether a function call with its id is not the same. Other calls of one id are told apart by their order."""
        if self.by_service:
            return False
        return self.name != _name_of(item) or self.item not in (None, _arguments(item))


class Calls:
    """One is told at a time: what comes of others meanwhile is told once that one has ended, and so is what comes amid
    the arguments of a function."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}  # the newest of each id
        self._open: _Call | None = None
        self._late: list[ModelDelta] = []
        self._held = 0  # characters

    @property
    def pending(self) -> bool:
        """Whether there is a function call that has no output."""
        return any(not (call.answered or call.by_service) for call in self._calls)

    @property
    def broken(self) -> bool:
        """Whether there is a function call of which not all was told."""
        return any(call.is_half for call in self._calls)

    @property
    def holds(self) -> bool:
        """Whether a function call is open whose arguments are not whole."""
        return self._open is not None and not (self._open.by_service or self._open.whole)

    def begin(self, item: dict[str, Any], key: tuple[object, object]) -> list[ModelDelta]:
        """An item of a call was added; its arguments follow."""
        known = self._by_id.get(_id_of(item))
        if known is not None and known.item is None and not known.answered and _id_of(item):
            return []
        if (call := self._new(item, key)) is None or self._open is not None:
            return []
        self._open = call
        return [_told(call)]

    def add_arguments(self, key: tuple[object, object], text: str, *, whole: bool) -> list[ModelDelta]:
        """A piece of the arguments, or, at their end, all of them."""
        call = self._open
        if call is None or call.key != key:
            return []
        call.whole = call.whole or whole
        return _added(call, _rest(call, text) if whole else text)

    def end(self, item: dict[str, Any]) -> list[ModelDelta]:
        """An item of a call is whole: what of it was not told yet."""
        call = self._by_id.get(_id_of(item))
        arguments = _arguments(item)
        pieces: list[ModelDelta] = []
        if call is None or call.answered or call.is_another(item):
            call = self._new(item)
        if call is None:
            return []
        if not call.told:
            pieces.append(_told(call, arguments))
        elif call is self._open:
            pieces += _added(call, _rest(call, arguments))
        call.whole, call.item = True, arguments
        if call.by_service:
            pieces.append(_answered(call, item))
        if self._open not in (None, call):
            return self._hold(pieces)
        return [*pieces, *self.close()]

    def end_missing(self, item: dict[str, Any]) -> list[ModelDelta]:
        """The same for a function call of a whole response: of most of them everything was told."""
        call = self._by_id.get(_id_of(item))
        known = call is not None and (call.item is not None or call.answered)
        return [] if known or item.get("type") != FUNCTION else self.end(item)

    def answer(self, item: dict[str, Any]) -> list[ModelDelta]:
        """The output of a function call that the service ran; of a call that was never told, nothing."""
        call = self._by_id.get(bounded_id(item.get("call_id")))
        if call is None or call.answered:
            return []
        pieces = [_answered(call, item)] if call.told else [_told(call), _answered(call, item)]
        return [*self.close(), *pieces] if call is self._open else self.beside(pieces)

    def beside(self, deltas: Sequence[ModelDelta]) -> list[ModelDelta]:
        """Something else comes: nothing more is told of the call that is open. Where its arguments are not whole, the
        other thing waits. BadProviderReply when that becomes too much."""
        return self._hold(deltas) if self.holds else [*self.close(), *deltas]

    def close(self) -> list[ModelDelta]:
        """Nothing more is told of the call that is open, and what waited for it is."""
        self._open, late, self._late, self._held = None, self._late, [], 0
        return late

    def missing_outputs(self) -> list[ModelDelta]:
        """Those of calls that the service ran and told nothing more of."""
        return [
            _answered(call, {}) for call in self._calls if call.told and call.by_service and not call.answered
        ]

    def _hold(self, deltas: Sequence[ModelDelta]) -> list[ModelDelta]:
        self._late += deltas
        self._held += sum(len(each.text) for each in deltas if isinstance(each, TextPiece | ReasoningPiece))
        if self._held > MOST_HELD:
            raise BadProviderReply("The model service does not end a call that it began.")
        return []

    def _new(self, item: dict[str, Any], key: tuple[object, object] = (None, None)) -> _Call | None:
        """None when there are too many."""
        if len(self._calls) == MOST_CALLS:
            return None
        number, call_id = len(self._calls), _id_of(item)
        shown = call_id or f"call_{number}"
        while any(shown == call.shown for call in self._calls):
            shown += "_"
        call = _Call(number, shown, _name_of(item), item.get("type") != FUNCTION, key)
        self._calls.append(call)
        self._by_id[call_id] = call
        return call


def _told(call: _Call, arguments: str = "") -> ToolCallPiece:
    """The first that is told of a call."""
    call.told, call.arguments = True, arguments
    return ToolCallPiece(call.index, call.shown, call.name, arguments)


def _added(call: _Call, text: str) -> list[ModelDelta]:
    call.arguments += text
    return [ToolCallPiece(call.index, arguments=text)] if text else []


def _rest(call: _Call, arguments: str) -> str:
    """What of all arguments was not told yet. Some services write them otherwise the second time."""
    return arguments.removeprefix(call.arguments) if arguments.startswith(call.arguments) else ""


def is_call(item: dict[str, Any]) -> bool:
    return str(item.get("type")).endswith("_call")


def _id_of(item: dict[str, Any]) -> str:
    return bounded_id(item.get("call_id")) or bounded_id(item.get("id"))


def _name_of(item: dict[str, Any]) -> str:
    return bounded_name(item.get("name")) or str(item["type"]).removesuffix("_call")


def _arguments(item: dict[str, Any]) -> str:
    """TypeError for those that are no text."""
    if (text := item.get("arguments")) is not None:
        return string(text)
    about = {name: item[name] for name in ABOUT if item.get(name)}
    return orjson.dumps(about).decode() if about else ""


def _answered(call: _Call, item: dict[str, Any]) -> ServiceOutputPiece:
    call.answered = True
    error = item.get("error")
    found = error or next((item[name] for name in RESULTS if item.get(name)), "")
    failed = bool(error) or item.get("status") == "failed"
    return ServiceOutputPiece(call.shown, call.name, bounded_text(_text(found)), failed)


def string(value: object) -> str:
    """TypeError for what is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text belongs")
    return value


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except ValueError:
        return False


def _text(value: object) -> str:
    """An output as text: what it is, the texts of its parts, or its JSON."""
    if isinstance(value, str):
        return value
    parts = cast("list[Any]", value if isinstance(value, list) else [value])
    texts = [part.get("text") or part.get("message") for part in parts if isinstance(part, dict)]
    if len(texts) == len(parts) and all(isinstance(text, str) for text in texts):
        return "\n".join(cast("list[str]", texts))
    return orjson.dumps(value).decode()
