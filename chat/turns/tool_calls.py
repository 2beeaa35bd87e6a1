"""The tool calls of one model reply: which of them are run here, what came of them, and what the model is shown."""

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from types import MappingProxyType

from chat.calls import CallReader, ToolCall
from chat.events import ApprovalRequested, TextDelta, ToolOutput, TurnEvent
from chat.providers.base import ModelMessage
from chat.tools.base import NOBODY, Caller, ToolBox, ToolError, ToolResult
from chat.turns.tool_history import sound_arguments

MAX_CALLS = 16  # tool calls that one reply may make
NOTHING: Mapping[int, ToolResult] = MappingProxyType({})
TOO_MANY = f"Not run: a reply may make at most {MAX_CALLS} calls."
WAITING_BYTES = 16 * 1024  # of the arguments of all calls of a reply that wait for an approval, as JSON
TOO_LONG = "Not run: the arguments are too long for calls that somebody has to approve."
NO_OBJECT = "Not run: the arguments are not a JSON object."


class ReplyReader:
    """What one reply says and which calls it makes, read from its events. `answered` are the results of the calls that
    the model service ran itself, by the places of the calls."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.answered: dict[int, ToolResult] = {}
        self._texts: list[str] = []
        self._reader = CallReader()

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def asks(self) -> bool:
        """Whether it makes a call that the service did not run itself."""
        return len(self.answered) < len(self.calls)

    def note(self, event: TurnEvent) -> None:
        match event:
            case TextDelta(_, text):
                self._texts.append(text)
            case ToolOutput(call_id, _, output, is_error):
                self._answer(call_id, ToolResult(output, is_error))
            case _:
                if (call := self._reader.take(event)) is not None:
                    self.calls.append(call)

    def _answer(self, call_id: str, result: ToolResult) -> None:
        for place, call in enumerate(self.calls):
            if call.id == call_id and place not in self.answered:
                self.answered[place] = result
                return


class CallRound:
    """Runs the calls of one reply on behalf of `caller`, but for those that are `answered` already. `refusal` says why
    none may be run; "" when they may."""

    def __init__(
        self,
        calls: Sequence[ToolCall],
        tools: ToolBox,
        *,
        client_tools: Collection[str],
        refusal: str,
        caller: Caller = NOBODY,
        answered: Mapping[int, ToolResult] = NOTHING,
    ) -> None:
        self._calls = calls
        self._tools = tools
        self._client_tools = client_tools
        self._refusal = refusal
        self._caller = caller
        self._guarded = {
            tool.name: tool.digest
            for tool in tools.definitions
            if tool.needs_approval and tool.name not in client_tools
        }
        self._waiting = 0  # bytes of arguments that wait
        self._results = dict(answered)  # by the place of the call

    @property
    def complete(self) -> bool:
        """Whether every call has a result. The caller's own are left to the caller, and others wait for an approval."""
        return len(self._results) == len(self._calls)

    async def events(self) -> AsyncGenerator[ToolOutput | ApprovalRequested]:
        """Ask for the approvals that are needed, and run all other calls side by side. Each output comes as soon as it
        is there, whatever the order of the calls: a quick one is seen while a slow one works. To close the generator
        stops the tools."""
        runs: dict[int, tuple[ToolCall, Caller]] = {}
        unanswered = [place for place in range(len(self._calls)) if place not in self._results]
        for number, place in enumerate(unanswered):
            call = self._calls[place]
            if refusal := self._refused(number, call):
                yield self._noted(place, ToolResult(refusal, is_error=True))
            elif call.name in self._guarded:
                yield ApprovalRequested(call.id, call.name, self._guarded[call.name])
            elif call.name not in self._client_tools:
                runs[place] = (call, self._caller)
        async with aclosing(run_calls(self._tools, runs)) as results:
            async for place, result in results:
                yield self._noted(place, result)

    def messages(self, text: str) -> tuple[ModelMessage, ...]:
        """What the next model call is shown of the reply: what it said and asked for, then every result in the order
        of the calls."""
        asked = tuple(replace(each, arguments=sound_arguments(each.arguments)) for each in self._calls)
        results = (
            ModelMessage("tool", self._results[place].output, (), call.id)
            for place, call in enumerate(self._calls)
        )
        return ModelMessage("assistant", text, asked), *results

    def _refused(self, number: int, call: ToolCall) -> str:
        """Why a call is neither run nor asked for; "" when it is. Nobody is asked about one that could only fail."""
        if self._refusal or number >= MAX_CALLS:
            return self._refusal or TOO_MANY
        if call.name not in self._guarded:
            return ""
        if call.arguments.strip() and sound_arguments(call.arguments) != call.arguments:
            return NO_OBJECT
        try:
            self._tools.check(call)
        except ToolError as error:
            return str(error)
        self._waiting += len(json.dumps(call.arguments))
        return TOO_LONG if self._waiting > WAITING_BYTES else ""

    def _noted(self, place: int, result: ToolResult) -> ToolOutput:
        self._results[place] = result
        call = self._calls[place]
        return ToolOutput(call.id, call.name, result.output, result.is_error)


async def run_calls(
    tools: ToolBox, runs: Mapping[int, tuple[ToolCall, Caller]]
) -> AsyncGenerator[tuple[int, ToolResult]]:
    """Run calls side by side, each for its caller: the place of each and what came of it, as soon as it is there. To
    close the generator stops them."""
    tasks = {asyncio.create_task(tools.run(*run)): place for place, run in runs.items()}
    try:
        async for found in _as_they_end(tasks):
            yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _as_they_end(
    tasks: dict[asyncio.Task[ToolResult], int],
) -> AsyncGenerator[tuple[int, ToolResult]]:
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=tasks.__getitem__):
            yield tasks[task], task.result()
