"""What one turn may use of its user's limits: asked for while its session is read, held while it runs, and settled by
what it really used.

A service tells what a call used at its end only. Until then that is estimated from what streams, and the turn holds
more of the budget before it goes on; where nothing is left it ends with what it said.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

from chat.errors import BudgetSpent, ChatError
from chat.providers.base import (
    AttemptLost,
    ModelChosen,
    ModelDelta,
    ModelProvider,
    ModelRequest,
    ReasoningPiece,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from chat.quotas import Standing
from chat.tokens import RunningEstimate
from chat.turns.tally import Taking
from chat.turns.tasks import TaskSet

STEP = 500  # tokens that a turn holds more, at least, when it goes on
AHEAD = 250  # tokens that are left of what it holds when it asks for more, beside its stream


class Allowance:
    """Without any limit."""

    async def granted(self) -> Standing | None:
        """Wait until the request is let in: how its user's limits stand then, where there are any. RateLimited,
        BudgetSpent; StoreError, when nobody can tell. May be asked again."""
        return None

    def stream(self, provider: ModelProvider, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        """The reply of a model, as long as there are tokens for it. BudgetSpent, before it is asked or within."""
        return provider.stream(request)

    def settle(self, used: int | None) -> None:
        """The turn ended and used so many tokens; None for as many as streamed."""

    def release(self, *, repeated: bool = False) -> None:
        """No turn came of it: what is held is free again. Of a `repeated` request the request itself comes back."""


FREE = Allowance()


@dataclass(frozen=True, slots=True)
class Hold:
    """Tokens of a day that a turn may use; None without a limit."""

    day: str
    tokens: int | None
    standing: Standing


class Ledger(Protocol):
    """Where allowances are taken from, and settled with."""

    async def take(self, user_id: str, taking: Taking) -> Hold: ...

    def settle(self, user_id: str, hold: Hold, *, used: int, requests: int = 0) -> None: ...


class LimitedAllowance(Allowance):
    """Of a user whose limits are counted. Asks for the first tokens at once."""

    def __init__(
        self,
        ledger: Ledger,
        tasks: TaskSet,
        user_id: str,
        taking: Taking,
        *,
        on_settled: Callable[[int], None],
    ) -> None:
        self._ledger, self._tasks, self._user_id = ledger, tasks, user_id
        self._on_settled = on_settled
        self._holds: list[Hold] = []
        self._held: int | None = None  # tokens of them together; None without a limit
        self._standing: Standing | None = None  # when the request was let in
        self._closed = False
        self._spent = False  # the budget ran out while a call ran
        self._used = 0  # by the calls that are over, and the prompt of the one that runs
        self._said = RunningEstimate()  # in the call that runs
        self._prompt = 0  # what counts of it in `_used`
        self._ahead: asyncio.Task[None] | None = None
        self._requests = taking.requests
        self._asking = tasks.spawn(self._take(taking))

    async def granted(self) -> Standing | None:
        await asyncio.shield(self._asking)
        return self._standing

    def stream(self, provider: ModelProvider, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        return provider.stream(request) if self._held is None else self._metered(provider, request)

    def settle(self, used: int | None) -> None:
        used = self._counted if used is None else used
        if self._spent:  # the piece that did not fit was made all the same
            used = max(used, min(self._counted, self._held or 0))
        self._on_settled(used)
        self._settle(used)

    def release(self, *, repeated: bool = False) -> None:
        requests = self._requests if repeated else 0
        if self._asking.done():
            self._settle(self._counted, requests)
        else:
            self._asking.add_done_callback(lambda _: self._settle(0, requests))

    @property
    def _counted(self) -> int:
        return self._used + self._said.tokens

    def _settle(self, used: int, requests: int = 0) -> None:
        """Each day gets what was held of it, and the last one what was used beyond that."""
        self._closed = True
        holds, self._holds, self._held = self._holds, [], None
        for index, hold in enumerate(holds):
            last = index == len(holds) - 1
            part = used if last else min(used, hold.tokens or 0)
            used -= part
            self._ledger.settle(self._user_id, hold, used=part, requests=0 if index else requests)

    async def _take(self, taking: Taking) -> None:
        hold = await self._ledger.take(self._user_id, taking)
        self._standing = self._standing or hold.standing
        if self._closed:
            self._ledger.settle(self._user_id, hold, used=0)
            return
        self._holds.append(hold)
        if hold.tokens is not None:
            self._held = (self._held or 0) + hold.tokens

    async def _metered(self, provider: ModelProvider, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        prompt = request.estimated_tokens
        await self._cover(prompt)
        self._used, self._prompt, self._said = self._counted, 0, RunningEstimate()
        async with aclosing(provider.stream(request)) as pieces:
            async for piece in pieces:
                if text := _text_of(piece):
                    self._said.add(text)
                    if self._counted > (self._held or 0) - AHEAD:
                        await self._go_on()
                else:
                    self._count(piece, prompt)
                yield piece

    async def _go_on(self) -> None:
        try:
            await self._cover(0)
        except BudgetSpent:
            self._spent = True
            raise

    def _count(self, piece: ModelDelta, prompt: int) -> None:
        match piece:
            case ModelChosen():
                self._used, self._prompt = self._used + prompt, prompt
            case AttemptLost():
                self._used += piece.prompt_tokens + piece.completion_tokens
            case UsageReport(prompt_tokens, completion_tokens):
                self._used += prompt_tokens + completion_tokens - self._prompt
                self._prompt, self._said = 0, RunningEstimate()
            case _:
                pass

    async def _cover(self, more: int) -> None:
        """Hold what is used, and so many more. BudgetSpent; StoreError."""
        left = (self._held or 0) - self._counted - more
        if left < 0 and self._ahead is not None:
            with suppress(ChatError):
                await asyncio.shield(self._ahead)
            left = (self._held or 0) - self._counted - more
        if left < 0:
            await self._take(Taking(0, max(-left, STEP), least=-left))
        elif left < AHEAD and self._ahead is None:
            self._ahead = self._tasks.spawn(self._take_ahead())

    async def _take_ahead(self) -> None:
        """Where there is no more nobody asks again, until it is needed."""
        await self._take(Taking(0, STEP))
        self._ahead = None


def _text_of(piece: ModelDelta) -> str:
    match piece:
        case TextPiece(text) | ReasoningPiece(text):
            return text
        case ToolCallPiece():
            return piece.arguments
        case _:
            return ""
