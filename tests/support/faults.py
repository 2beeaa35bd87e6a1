"""Faults on demand for fakes of our ports: the next call fails, or its reply gets lost, or calls hang."""

import asyncio
import functools
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, Concatenate


@dataclass
class Failure:
    error: Exception
    after_effect: bool


def port[S: "Faults", **P, R](
    method: Callable[Concatenate[S, P], Awaitable[R]],
) -> Callable[Concatenate[S, P], CoroutineType[Any, Any, R]]:
    """Counts the calls of a method, and applies the faults that were asked for."""
    name = getattr(method, "__name__", "")

    @functools.wraps(method)
    async def call(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        self.calls[name] += 1
        await asyncio.sleep(0)
        await self.thawed.wait()
        if self.hangs[name] > 0:
            self.hangs[name] -= 1
            await self.goes_on.wait()
        failure = self.failures[name].popleft() if self.failures[name] else None
        if failure and not failure.after_effect:
            raise failure.error
        result = await method(self, *args, **kwargs)
        if failure:
            raise failure.error
        return result

    return call


class Faults:
    """What a fake inherits; its methods are marked with `port`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failures: dict[str, deque[Failure]] = defaultdict(deque)
        self.hangs: Counter[str] = Counter()
        self.goes_on = asyncio.Event()  # what hangs
        self.thawed = asyncio.Event()
        self.thawed.set()

    def fail_next(self, method: str, error: Exception, *, after_effect: bool = False, times: int = 1) -> None:
        """The next `times` calls of the method raise this; with `after_effect` they did their work before."""
        assert hasattr(self, method), method
        self.failures[method].extend([Failure(error, after_effect)] * times)

    def hang_next(self, method: str) -> None:
        """The next call of the method does nothing before `goes_on` is set."""
        assert hasattr(self, method), method
        self.hangs[method] += 1

    def freeze(self) -> None:
        """From now on calls hang."""
        self.thawed.clear()

    def thaw(self) -> None:
        """Calls that hang go on."""
        self.thawed.set()
