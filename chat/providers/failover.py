"""Several model services as one: asks again, then asks the next, for as long as nothing was said.

Once a piece of the answer was shown it stands: a failure after it ends the call, because most protocols cannot take
text back, and a second answer never goes on where the first broke off (docs/decisions/0010).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Literal

from chat.errors import (
    ContentFiltered,
    NoAnswer,
    ProviderError,
    ProviderRejected,
    ProviderUnavailable,
)
from chat.providers.base import (
    AttemptLost,
    ModelChosen,
    ModelDelta,
    ModelProvider,
    ModelRequest,
    ReasoningPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
)
from chat.providers.breaker import Breaker, BreakerState
from chat.providers.refusals import Refusals
from chat.providers.retry import OTHERS_MAY_ANSWER, SERVICE_IS_DOWN, RetryPolicy
from chat.telemetry import record_error

SAID = (TextPiece, ReasoningPiece, ToolCallPiece)
RESTING = "All model services failed lately and are left alone for a moment."


class Failover:
    """The providers in the order in which they are tried; a request's own choice comes first."""

    def __init__(
        self,
        providers: Mapping[str, ModelProvider],
        breakers: Mapping[str, Breaker],
        policy: RetryPolicy,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._providers = providers
        self._breakers = breakers
        self._policy = policy
        self._clock = clock
        self._sleep = sleep
        self._refusals = Refusals(clock)

    @property
    def name(self) -> str:
        """The first of them."""
        return next(iter(self._providers))

    @property
    def states(self) -> Mapping[str, BreakerState]:
        """Each provider's breaker."""
        return {name: self._breakers[name].state for name in self._providers}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        """As `ModelProvider.stream`, with an `AttemptLost` before it for every call that failed. Raises what the last
        provider raised; ProviderUnavailable when all are left alone."""
        names = self._in_order(request)
        for position, name in enumerate(names):
            following = names[position + 1] if position + 1 < len(names) else ""
            number = 1
            while self._breakers[name].admit():
                attempt = _Attempt(self._asked(request, name), self._clock())
                async with aclosing(self._attempt(attempt)) as pieces:
                    async for piece in pieces:
                        yield piece
                if attempt.error is None:
                    return
                next_move = self._next(attempt, number, following)
                yield self._lost(attempt, next_move)
                if next_move.kind == "stop":
                    raise attempt.error
                if next_move.kind == "next":
                    break
                number += next_move.counts
                await self._sleep(next_move.wait)
        raise ProviderUnavailable(RESTING, retry_after=min(each.resting for each in self._breakers.values()))

    async def aclose(self) -> None:
        """Close all of them."""
        for provider in self._providers.values():
            await provider.aclose()

    def _in_order(self, request: ModelRequest) -> list[str]:
        """Those that may be asked: who is left alone is left out, but for the one that is next to be tried."""
        chosen = [request.provider] if request.provider in self._providers else []
        names = [*chosen, *(name for name in self._providers if name not in chosen)]
        return [name for name in names if self._breakers[name].state != "open"]

    def _asked(self, request: ModelRequest, name: str) -> ModelRequest:
        """The request as this provider gets it: a model's name means something to its own provider alone."""
        model = request.model if name == (request.provider or self.name) else ""
        return self._refusals.without(replace(request, provider=name, model=model))

    async def _attempt(self, attempt: "_Attempt") -> AsyncGenerator[ModelDelta]:
        """One call. A failure before anything was said is left in `attempt.error`; a later one is raised."""
        breaker = self._breakers[attempt.request.provider]
        settled = False
        try:
            async with aclosing(self._pieces(attempt)) as pieces:
                async for piece in pieces:
                    if not settled:
                        settled = True
                        breaker.succeeded()
                    yield piece
        except ProviderError as error:
            settled = True
            self._settle(attempt.request, error)
            _record(attempt, error)
            if attempt.spoke:
                raise
            attempt.error = error
        finally:
            if not settled:
                breaker.released()

    def _settle(self, asked: ModelRequest, error: ProviderError) -> None:
        """Tell the breaker of a call that failed. A turn says once that a service is down; a trial always counts."""
        name = asked.provider
        breaker = self._breakers[name]
        if isinstance(error, SERVICE_IS_DOWN) and (name not in asked.blamed or breaker.state == "half_open"):
            asked.blamed.add(name)
            breaker.failed()
        else:
            breaker.released()

    async def _pieces(self, attempt: "_Attempt") -> AsyncGenerator[ModelDelta]:
        """The pieces of one call, the first of them held back until something is said: who answers only counts then."""
        held: list[ModelDelta] = []
        provider = self._providers[attempt.request.provider]
        async with aclosing(provider.stream(attempt.request)) as pieces:
            async for piece in pieces:
                if attempt.spoke:
                    yield piece
                    continue
                if isinstance(piece, ModelChosen):
                    attempt.model = piece.model
                    piece = replace(piece, provider=provider.name)
                held.append(piece)
                if isinstance(piece, SAID) or _ends_wordless(piece):
                    attempt.spoke = True
                    for each in held:
                        yield each

    def _next(self, attempt: "_Attempt", number: int, following: str) -> "_Move":
        error = attempt.error
        assert error is not None
        if isinstance(error, ProviderRejected) and self._refusals.learn(attempt.request, error.parameter):
            return _Move("again", counts=0)
        wait = self._policy.wait_before(number + 1, error)
        if wait is not None and self._breakers[attempt.request.provider].state == "closed":
            return _Move("again", wait=wait)
        if following and isinstance(error, OTHERS_MAY_ANSWER):
            return _Move("next", provider=following)
        return _Move("stop")

    def _lost(self, attempt: "_Attempt", move: "_Move") -> AttemptLost:
        assert attempt.error is not None
        began = bool(attempt.model)  # a reply that began has read the prompt, and is paid for
        return AttemptLost(
            attempt.request.provider,
            attempt.model or attempt.request.model,
            attempt.error.code,
            seconds=round(self._clock() - attempt.began, 3),
            wait=round(move.wait, 3),
            next_provider=move.provider,
            prompt_tokens=attempt.request.estimated_tokens if began else 0,
        )


@dataclass(slots=True)
class _Attempt:
    request: ModelRequest
    began: float
    model: str = ""  # who answered
    spoke: bool = False
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class _Move:
    """What follows a failed attempt."""

    kind: Literal["again", "next", "stop"]
    wait: float = 0.0
    provider: str = ""
    counts: int = 1  # whether it uses up an attempt


def _record(attempt: _Attempt, error: ProviderError) -> None:
    """A call that failed, with its stack: what brought it about stands there alone."""
    asked = attempt.request
    record_error(
        "model_call_failed",
        error,
        provider=asked.provider,
        model=attempt.model or asked.model,
        code=error.code,
        messages=len(asked.messages),
        spoke=attempt.spoke,
    )


def _ends_wordless(piece: ModelDelta) -> bool:
    """Whether this is the end of a reply that may have no word: a limit can be too low for one. ContentFiltered, or
    NoAnswer when it should have had one."""
    if not isinstance(piece, StopReason):
        return False
    if piece.reason == "content_filter":
        raise ContentFiltered
    if piece.reason != "length":
        raise NoAnswer
    return True
