"""The calls that waited for an approval, once somebody said yes or no: a turn begins with what comes of them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from chat.calls import ToolCall
from chat.events import JSON, JSONObject, ToolOutput
from chat.messages import MessageDraft
from chat.requests import TurnRequest
from chat.tools.base import Caller, ToolBox, ToolResult
from chat.turns.base import TurnContext
from chat.turns.tool_calls import run_calls
from chat.turns.tool_history import stored_calls

DENIED = "Not run: it was not approved."
CHANGED = "Not run: the tool is not what it was when an approval was asked for, or is not there any more."


def begins_with_calls(request: TurnRequest) -> bool:
    """Whether the first thing that the turn does is to run calls that were approved."""
    return bool(approved_tools(request))


def approved_tools(request: TurnRequest) -> list[str]:
    """The names of the tools that it begins with."""
    calls = stored_calls(request.continued.metadata) if request.continued else []
    return [str(call["name"]) for call in calls if _is_open(call, "approved")]


class DecidedCalls:
    """The calls of the answer that a turn goes on from, of which some were approved or denied just now."""

    def __init__(self, answer: MessageDraft | None, tools: ToolBox) -> None:
        self._answer = answer
        self._tools = tools
        self._calls = stored_calls(answer.metadata) if answer else []

    async def outputs(self) -> AsyncGenerator[ToolOutput]:
        """Run those that were approved side by side, each with the access of whom it runs for. To close the generator
        stops them."""
        for place, call in enumerate(self._calls):
            if _is_open(call, "denied"):
                yield self._noted(place, ToolResult(_refusal(call), is_error=True), denied=True)
        digests = {each.name: each.digest for each in self._tools.definitions}
        runs: dict[int, tuple[ToolCall, Caller]] = {}
        for place, call in enumerate(self._calls):
            if not _is_open(call, "approved"):
                continue
            if call.get("definition", "") == digests.get(str(call["name"]), ""):
                runs[place] = (_call_of(call), Caller(str(call.get("run_for", ""))))
            else:
                yield self._noted(place, ToolResult(CHANGED, is_error=True))
        async with aclosing(run_calls(self._tools, runs)) as results:
            async for place, result in results:
                yield self._noted(place, result)

    def seen_by(self, context: TurnContext) -> TurnContext:
        """The turn with what came of the calls, once all of it is there."""
        if self._answer is None or not self._calls:
            return context
        calls: list[JSON] = list(self._calls)
        answer = replace(self._answer, metadata={**self._answer.metadata, "tool_calls": calls})
        messages = tuple(answer if each is self._answer else each for each in context.messages)
        return replace(context, messages=messages)

    def _noted(self, place: int, result: ToolResult, *, denied: bool = False) -> ToolOutput:
        call = self._calls[place]
        call.update(output=result.output, is_error=result.is_error)
        return ToolOutput(str(call["id"]), str(call["name"]), result.output, result.is_error, denied)


def _is_open(call: JSONObject, approval: str) -> bool:
    return call["output"] is None and call.get("approval") == approval


def _call_of(call: JSONObject) -> ToolCall:
    return ToolCall(str(call["id"]), str(call["name"]), str(call["arguments"]))


def _refusal(call: JSONObject) -> str:
    reason = call.get("reason")
    return f"{DENIED} The reason: {reason}" if reason else DENIED
