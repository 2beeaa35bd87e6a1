"""Calls of tools as items of a response, each in one of three forms:

- `function_call`: the caller's tool, which they run;
- `mcp_call`: ours, with what came of it: clients wait for it and run nothing;
- `mcp_approval_request`: ours, and run when somebody answers with an `mcp_approval_response`.

Which one it is the request tells by the name of the tool. In a turn that began in another protocol nobody knows it
before its end: there an item comes whole, when it is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from chat.dialects.responses.response_object import LABEL, NAME
from chat.dialects.responses.response_output import Output
from chat.events import (
    JSON,
    ApprovalRequested,
    JSONObject,
    StepFinished,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnEvent,
)
from chat.requests import TurnRequest

type Kind = Literal["function_call", "mcp_call", "unknown"]

ASKS = "mcpr_"
"""Before the id of a call, the id of the request to approve it."""
LEFT = ("stop", "tool_calls")
"""Why a step ends that leaves calls to the caller."""
PREFIXES = {"function_call": "fc", "mcp_call": "mcp"}


@dataclass(slots=True)
class _Call:
    call_id: str
    name: str
    kind: Kind
    index: int = 0
    item_id: str = ""
    arguments: str = ""

    def item(self, status: str, **more: JSON) -> JSONObject:
        said: JSONObject = {"id": self.item_id, "type": self.kind, "status": status}
        said |= {"name": self.name, "arguments": self.arguments}
        if self.kind == "function_call":
            return {**said, "call_id": self.call_id, **more}
        return {**said, "server_label": LABEL, "output": None, "error": None, **more}


class CallItems:
    """The calls of a turn, of which the last step's may be unanswered."""

    def __init__(self, output: Output, request: TurnRequest) -> None:
        self._output = output
        self._waiting: list[_Call] = []
        self._pieces: list[str] = []
        self._knows = request.dialect == NAME
        self._callers, self._asks = _names(request, "own_tools"), _names(request, "asking_tools")

    def payloads(self, event: TurnEvent) -> Iterable[JSONObject]:
        match event:
            case ToolCallStarted(call_id, name):
                return self._started(_Call(call_id, name, self._kind(name)))
            case ToolCallDelta(_, arguments):
                self._pieces.append(arguments)
                call = self._waiting[-1]
                return () if call.kind == "unknown" else (_event(call, "arguments.delta", delta=arguments),)
            case ToolCallFinished():
                return self._written(self._waiting[-1])
            case ApprovalRequested(call_id):
                return self._asked(self._taken(call_id))
            case ToolOutput():
                return self._answered(event)
            case StepFinished(reason):
                return self._left(reason)
            case _:
                return ()

    def _kind(self, name: str) -> Kind:
        if name in self._callers:
            return "function_call"
        return "mcp_call" if self._knows and name not in self._asks else "unknown"

    def _taken(self, call_id: str) -> _Call | None:
        """The first of that id that waits still."""
        for place, call in enumerate(self._waiting):
            if call.call_id == call_id:
                return self._waiting.pop(place)
        return None

    def _started(self, call: _Call) -> Iterator[JSONObject]:
        self._waiting.append(call)
        self._pieces = []
        if call.kind != "unknown":
            yield from self._added(call)

    def _added(self, call: _Call) -> Iterator[JSONObject]:
        call.index, call.item_id, added = self._output.add(PREFIXES[call.kind], call.item("in_progress"))
        yield added
        if call.kind == "mcp_call":
            yield _event(call, "in_progress")

    def _written(self, call: _Call) -> Iterator[JSONObject]:
        call.arguments = "".join(self._pieces)
        if call.kind != "unknown":
            yield _event(call, "arguments.done", arguments=call.arguments)
        if call.kind == "function_call":
            yield self._output.done(call.index, call.item("completed"))

    def _whole(self, call: _Call, kind: Kind) -> Iterator[JSONObject]:
        """What was kept back until its kind was known."""
        arguments, call.arguments, call.kind = call.arguments, "", kind
        yield from self._added(call)
        if arguments:
            yield _event(call, "arguments.delta", delta=arguments)
        self._pieces = [arguments]
        yield from self._written(call)

    def _asked(self, call: _Call | None) -> Iterator[JSONObject]:
        if call is None:
            return
        if call.kind == "mcp_call":
            yield self._output.done(call.index, call.item("incomplete"))
        said: JSONObject = {"type": "mcp_approval_request", "server_label": LABEL}
        said |= {"name": call.name, "arguments": call.arguments}
        index, _, added = self._output.add("mcpr", said, ASKS + call.call_id)
        yield added
        yield self._output.done(index, self._output.items[index])

    def _answered(self, output: ToolOutput) -> Iterator[JSONObject]:
        call, asked = self._taken(output.call_id), dict[str, JSON]()
        if (
            call is None
        ):  # of the answer that this one goes on from, which somebody approved: its arguments are there
            call = _Call(output.call_id, output.name, "unknown", arguments="{}")
            asked = {"approval_request_id": ASKS + call.call_id}
        if call.kind == "unknown":
            yield from self._whole(call, "mcp_call")
        if call.kind == "function_call":
            yield from self._refused(call, output)
            return
        failed = output.is_error or output.denied
        yield _event(call, "failed" if failed else "completed")
        content: JSON = [{"type": "text", "text": output.output}]
        error: JSONObject = {"type": "mcp_tool_execution_error", "content": content}
        came: JSONObject = {"error": error} if failed else {"output": output.output}
        item = call.item("failed" if failed else "completed", **came, **asked)
        yield self._output.done(call.index, item)

    def _refused(self, call: _Call, output: ToolOutput) -> Iterator[JSONObject]:
        """A call of the caller's that they need not run: the model was told why."""
        said: JSONObject = {"type": "function_call_output", "call_id": call.call_id}
        said |= {"output": output.output, "status": "completed"}
        index, _, added = self._output.add("fco", said)
        yield added
        yield self._output.done(index, self._output.items[index])

    def _left(self, reason: str) -> Iterator[JSONObject]:
        """Calls without an output: the caller's, or of a turn that broke."""
        left, self._waiting = self._waiting, []
        for call in left:
            if call.kind == "unknown":
                yield from self._whole(call, "function_call" if reason in LEFT else "mcp_call")
            if call.kind == "mcp_call":
                yield self._output.done(call.index, call.item("incomplete"))


def _event(call: _Call, kind: str, **more: JSON) -> JSONObject:
    joint = "_" if kind.startswith("arguments") else "."
    place: JSONObject = {"item_id": call.item_id, "output_index": call.index}
    return {"type": f"response.{call.kind}{joint}{kind}", **place, **more}


def _names(request: TurnRequest, key: str) -> frozenset[str]:
    names = request.client.get(key) if request.dialect == NAME else None
    return frozenset(map(str, names)) if isinstance(names, list) else frozenset()
