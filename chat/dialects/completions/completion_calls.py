"""Calls of tools in chunks of a completion. The caller's own are deltas of `tool_calls`, which they run; ours stand
beside the choices, under keys that clients pass over.

Which are the caller's the request tells by name. In a turn that began in another protocol nobody knows it before the
end: there they come whole, as those that nobody ran.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from chat.conversation import Turn
from chat.events import (
    JSON,
    ApprovalRequested,
    JSONObject,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnEvent,
)


class Piece(NamedTuple):
    """What a chunk says: in its choice, and beside it."""

    delta: JSONObject
    beside: JSONObject


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    index: int = -1  # among those that the caller is shown; -1 is none of them
    pieces: list[str] = field(default_factory=list[str])

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def begun(self, arguments: str = "") -> Piece:
        function: JSONObject = {"name": self.name, "arguments": arguments}
        return _delta({"index": self.index, "id": self.id, "type": "function", "function": function})


class Calls:
    """The calls of a turn, those that nobody ran yet among them."""

    def __init__(self, turn: Turn) -> None:
        own = turn.request.client.get("own_tools")
        self._own = set(own) if isinstance(own, list) else set[JSON]()
        self._turn = turn
        self._shown = 0
        self._waiting: list[_Call] = []

    @property
    def left(self) -> bool:
        """Whether there are calls that the caller is to run."""
        return bool(self._waiting)

    def read(self, event: TurnEvent) -> Iterable[Piece]:
        match event:
            case ToolCallStarted(call_id, name):
                return self._started(_Call(call_id, name))
            case ToolCallDelta(_, arguments) if self._waiting:
                return self._grown(self._waiting[-1], arguments)
            case ToolCallFinished() if self._waiting:
                return self._written(self._waiting[-1])
            case ToolOutput(call_id, name, output, is_error):
                self._take(call_id)
                return _beside("tool_output", id=call_id, name=name, output=output, is_error=is_error)
            case ApprovalRequested(call_id, name):
                call = self._take(call_id)
                place: JSONObject = {"session_id": self._turn.session_id, "turn_id": self._turn.id}
                arguments = call.arguments if call else ""
                return _beside("approval", call_id=call_id, name=name, arguments=arguments, **place)
            case _:
                return ()

    def rest(self) -> Iterator[Piece]:
        """At the end: the caller's calls that were not shown as such."""
        for call in self._waiting:
            if call.index < 0:
                self._number(call)
                yield call.begun(call.arguments)

    def _started(self, call: _Call) -> Iterable[Piece]:
        self._waiting.append(call)
        if call.name not in self._own:
            return ()
        self._number(call)
        return (call.begun(),)

    def _grown(self, call: _Call, arguments: str) -> Iterable[Piece]:
        call.pieces.append(arguments)
        if call.index < 0:
            return ()
        return (_delta({"index": call.index, "function": {"arguments": arguments}}),)

    def _written(self, call: _Call) -> Iterable[Piece]:
        if call.index >= 0:
            return ()
        return _beside("tool_call", id=call.id, name=call.name, arguments=call.arguments)

    def _number(self, call: _Call) -> None:
        call.index, self._shown = self._shown, self._shown + 1

    def _take(self, call_id: str) -> _Call | None:
        """The first of that id that waits still: services may use an id twice."""
        for place, call in enumerate(self._waiting):
            if call.id == call_id:
                return self._waiting.pop(place)
        return None


def _delta(call: JSONObject) -> Piece:
    return Piece({"tool_calls": [call]}, {})


def _beside(key: str, /, **said: JSON) -> tuple[Piece]:
    return (Piece({}, {key: said}),)
