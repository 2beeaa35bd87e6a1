"""The plain turn: the model is shown the conversation and answers, by way of tools where it asks for them."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass, replace

from chat.calls import ToolDefinition
from chat.errors import ChatError, ContentFiltered, NoAnswer, ToolLimitReached
from chat.events import TurnEvent
from chat.providers.base import ModelProvider, ModelRequest
from chat.reply_options import ReplyOptions
from chat.tools.base import Caller, NoTools, ToolBox
from chat.turns.approved_calls import DecidedCalls, approved_tools
from chat.turns.base import TurnContext, TurnSource
from chat.turns.steps import CallIds, StepReader
from chat.turns.tool_calls import CallRound, ReplyReader
from chat.turns.tool_history import call_ids
from chat.turns.window import ContextWindow

# Why a reply ends whose calls are whole; some services say the one for the other.
WHOLE = ("stop", "tool_calls")
CUT_OFF = "Not run: the reply was cut off before its end."
NO_MORE = "Not run: no more tools may be called in this answer."


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How long a turn may go on calling tools; then the model is asked once more, without any, so that it answers."""

    rounds: int = 8
    seconds: float = 120.0


class TurnEngine(TurnSource):
    """Model call, tools, model call, ... until the model calls no more. Each model call is a step, which its tools'
    outputs belong to. A call of the caller's own tools ends the turn, and is left to the caller; so does one that needs
    an approval, until there is one.

    A turn is answered when its last reply has text. Reasoning alone is no answer, nor are calls that nobody ran:
    NoAnswer, ToolLimitReached, ContentFiltered."""

    def __init__(
        self,
        provider: ModelProvider,
        window: ContextWindow,
        *,
        tools: ToolBox | None = None,
        limits: ToolLimits | None = None,
    ) -> None:
        self._provider = provider
        self._window = window
        self._tools = tools or NoTools()
        self._limits = limits or ToolLimits()

    async def events(self, context: TurnContext) -> AsyncGenerator[TurnEvent]:
        began = asyncio.get_running_loop().time()
        decided = await self._decided(context)
        async with aclosing(decided.outputs()) as outputs:
            async for output in outputs:
                yield output
        context = decided.seen_by(context)
        client_tools = {tool.name for tool in context.request.tools}
        request = self._window.request(context, self._offered(context, client_tools))
        ids = self._ids(context)
        for index in range(self._limits.rounds + 1):
            last = index == self._limits.rounds or self._spent(began)
            reply = ReplyReader()
            step = self._step(index, request, ids)
            asked = replace(request, tools=()) if last else request
            stream = context.allowance.stream(self._provider, asked)
            async with aclosing(stream) as pieces:  # left before the tools are run
                async for piece in pieces:
                    for event in step.read(piece):
                        reply.note(event)
                        yield event
            for event in step.close_part():
                reply.note(event)
                yield event
            refusal = CUT_OFF if step.reason not in WHOLE else NO_MORE if last else ""
            calls = CallRound(
                reply.calls,
                self._tools,
                client_tools=client_tools,
                refusal=refusal,
                caller=Caller(context.request.beneficiary),
                answered=reply.answered,
            )
            async with aclosing(calls.events()) as found:
                async for event in found:
                    yield event
            ended = not reply.asks or bool(refusal) or not calls.complete
            failure = _failure(reply, step.reason, refusal) if ended else None
            for event in step.finish(failed=failure is not None):
                yield event
            for spent in context.take_spent():
                yield spent
            if failure is not None:
                raise failure
            if ended:
                return
            messages = (*request.messages, *calls.messages(reply.text))
            request = replace(request, messages=messages, options=_unforced(request.options))

    async def _decided(self, context: TurnContext) -> DecidedCalls:
        """The calls that wait for this turn, once their tools are there."""
        await self._tools.ready(approved_tools(context.request))
        return DecidedCalls(context.request.continued, self._tools)

    def _offered(self, context: TurnContext, client_tools: Collection[str]) -> tuple[ToolDefinition, ...]:
        """Ours and the caller's, which go before those of ours that came later and have a name of theirs."""
        ours = (each for each in self._tools.definitions if each.name not in client_tools)
        return *ours, *context.request.tools

    def _step(self, index: int, request: ModelRequest, ids: CallIds) -> StepReader:
        return StepReader(
            index=index,
            provider=self._provider.name,
            prompt_tokens=request.estimated_tokens,
            scale=self._window.scale,
            ids=ids,
        )

    def _ids(self, context: TurnContext) -> CallIds:
        guarded = (each.name for each in self._tools.definitions if each.needs_approval)
        return CallIds(call_ids(context.messages), guarded)

    def _spent(self, began: float) -> bool:
        return asyncio.get_running_loop().time() - began >= self._limits.seconds


def _unforced(options: ReplyOptions) -> ReplyOptions:
    """Once it called what it had to call, the model may answer."""
    forced = options.tool_choice is not None and options.tool_choice.mode == "required"
    return replace(options, tool_choice=None) if forced else options


def _failure(reply: ReplyReader, reason: str, refusal: str) -> ChatError | None:
    """Why the last reply of a turn is no answer; None when it is one, or leaves calls to the caller."""
    if reply.text.strip() or (reply.asks and not refusal):
        return None
    if reason == "content_filter":
        return ContentFiltered()
    if reason == "length":
        return NoAnswer("The model came to its limit of tokens before it answered.")
    return ToolLimitReached() if reply.asks else NoAnswer()
