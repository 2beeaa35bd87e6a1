"""The port to tools: what the model is told of them, one call in, one result out.

Whatever goes wrong in a call is an answer to the model, never an error of the turn.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from chat.calls import ToolCall, ToolDefinition
from chat.events import JSONObject


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told: what a tool found, or, with `is_error`, why there is nothing."""

    output: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """For whom a tool is run. A function with a parameter of this type is given it; the model is not asked for it."""

    user_id: str = ""


NOBODY = Caller()


class ToolError(Exception):
    """Raised by a tool; the model reads the text as it is, so it holds no secret."""


class ToolBox(Protocol):
    """The tools of this app."""

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What the model may call, always in the same order."""
        ...

    @property
    def states(self) -> Mapping[str, JSONObject]:
        """How the servers are whose tools these are, for operators."""
        return {}

    async def ready(self, needed: Collection[str] = ()) -> None:
        """Wait for tools that are still being looked for, for a moment at most; for those that are `needed`, because a
        call of them waits, until whoever has them said so or failed."""

    def check(self, call: ToolCall) -> None:
        """ToolError when the call could only fail: there is no such tool, or its arguments are wrong. A box that cannot
        tell says nothing."""

    async def run(self, call: ToolCall, caller: Caller = NOBODY) -> ToolResult:
        """Do what the model asks for for the caller. Ends within the time limit with an output within the size limit;
        an unknown tool, bad arguments, a failure and a time-out are results too. To cancel it stops the tool."""
        ...

    async def aclose(self) -> None:
        """Let go of what the tools hold. Idempotent."""
        ...


class NoTools(ToolBox):
    """An app without tools."""

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        return ()

    async def run(self, call: ToolCall, caller: Caller = NOBODY) -> ToolResult:
        return ToolResult("There are no tools.", is_error=True)

    async def aclose(self) -> None:
        pass
