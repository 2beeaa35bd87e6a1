"""The tools of the app in one box: finds the one that is called, and keeps its time and size within limits."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Protocol

from pydantic_core import to_json

from chat.calls import ToolCall, ToolDefinition
from chat.events import JSONObject
from chat.telemetry import record_error
from chat.tools.base import NOBODY, Caller, ToolBox, ToolError, ToolResult
from chat.tools.function_tool import Tool
from chat.tools.threads import BlockingCalls


class AnyTool(Protocol):
    """What the box needs of a tool, wherever it runs."""

    @property
    def definition(self) -> ToolDefinition: ...

    def read(self, arguments: str) -> object:
        """Arguments as the model wrote them. ToolError for wrong ones."""
        ...

    async def run(self, arguments: str, caller: Caller, threads: BlockingCalls | None) -> object:
        """Its value for arguments as the model wrote them. ToolError."""
        ...


class MoreTools(Protocol):
    """Tools that come and go."""

    @property
    def tools(self) -> Mapping[str, AnyTool]: ...

    @property
    def states(self) -> Mapping[str, JSONObject]: ...

    async def ready(self, needed: Collection[str] = ()) -> None: ...

    async def aclose(self) -> None: ...


class ToolRegistry(ToolBox):
    """`time_limit` is seconds a call may take, `max_output` the characters of an output that the model is shown."""

    def __init__(
        self,
        tools: Iterable[Tool],
        *,
        time_limit: float,
        max_output: int,
        remote: MoreTools | None = None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._tools: dict[str, Tool] = {}
        for each in tools:
            if self._tools.setdefault(each.definition.name, each) is not each:
                raise ValueError(f"Two tools have the name {each.definition.name}")
        self._time_limit = time_limit
        self._max_output = max_output
        self._remote = remote
        self._on_close = on_close
        self._threads = BlockingCalls()

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        return tuple(each.definition for each in self._all().values())

    @property
    def states(self) -> Mapping[str, JSONObject]:
        return self._remote.states if self._remote else {}

    async def ready(self, needed: Collection[str] = ()) -> None:
        if self._remote is not None:
            await self._remote.ready(needed)

    def check(self, call: ToolCall) -> None:
        self._find(call.name).read(call.arguments)

    async def run(self, call: ToolCall, caller: Caller = NOBODY) -> ToolResult:
        try:
            found = self._find(call.name)
            async with asyncio.timeout(self._time_limit):
                value = await found.run(call.arguments, caller, self._threads)
            return ToolResult(self._fitted(_text(value)))
        except ToolError as error:
            return ToolResult(self._fitted(str(error)), is_error=True)
        except TimeoutError:
            return ToolResult(f"{call.name} took longer than {self._time_limit:g} s.", is_error=True)
        except Exception as error:
            record_error("tool_failed", error, tool=call.name)
            return ToolResult(f"{call.name} failed.", is_error=True)

    async def aclose(self) -> None:
        if self._remote is not None:
            await self._remote.aclose()
        if self._on_close is not None:
            await self._on_close()

    def _all(self) -> Mapping[str, AnyTool]:
        """Ours first; what comes from elsewhere takes the name of none of them."""
        return self._tools if self._remote is None else {**self._tools, **self._remote.tools, **self._tools}

    def _find(self, name: str) -> AnyTool:
        tools = self._all()
        found = tools.get(name)
        if found is None:
            there_is = ", ".join(tools) or "none"
            raise ToolError(f"There is no tool of the name {name[:100]!r}. The tools are: {there_is}.")
        return found

    def _fitted(self, output: str) -> str:
        """Half a surrogate pair could be neither sent nor stored."""
        output = output.encode(errors="replace").decode()
        if len(output) <= self._max_output:
            return output
        return f"{output[: self._max_output]}\n[cut: {len(output)} characters, {self._max_output} are shown]"


def _text(value: object) -> str:
    return value if isinstance(value, str) else to_json(value, fallback=str).decode()
