"""A model service that says what a script tells it to. Shipped for tests, demonstrations and benchmarks.

It keeps the port's promises for the script: `ModelChosen` comes first and `StopReason` exactly once, whether they
are written down or not. It remembers what it was asked and counts the streams that are open.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from dataclasses import dataclass

from chat.providers.base import (
    ModelChosen,
    ModelDelta,
    ModelRequest,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait; a bare float in a script means the same."""

    seconds: float


type Line = str | ModelDelta | float | Pause | asyncio.Event | BaseException
"""What a script says next. An `Event` holds the stream there until it is set; an exception is raised."""

type Script = Sequence[Line] | Callable[[ModelRequest], Iterable[Line]]


class ScriptedProvider:
    """Plays its scripts, one a call; the last one is played again when there are no more.

    ScriptedProvider(["Hel", "lo"])
    ScriptedProvider([ToolCallPiece(0, "c1", "now", "{}")], ["It is ", gate, "noon."])
    """

    def __init__(self, *scripts: Script, name: str = "SCRIPTED", model: str = "scripted-1") -> None:
        self._scripts = scripts or ([],)
        self._name = name
        self._model = model
        self.requests: list[ModelRequest] = []
        self.opened = 0
        self.closed = 0
        self.was_closed = False  # whether `aclose` was called on the provider itself

    @property
    def name(self) -> str:
        return self._name

    @property
    def open_streams(self) -> int:
        """How many streams somebody has begun to read and nobody ended."""
        return self.opened - self.closed

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        script = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
        self.requests.append(request)
        self.opened += 1
        try:
            lines = script(request) if callable(script) else script
            for line in _complete(lines, request.model or self._model):
                if isinstance(line, Pause):
                    await asyncio.sleep(line.seconds)
                elif isinstance(line, asyncio.Event):
                    await line.wait()
                elif isinstance(line, BaseException):
                    raise line
                else:
                    yield line
        finally:
            self.closed += 1

    async def aclose(self) -> None:
        self.was_closed = True


def _complete(
    lines: Iterable[Line], model: str
) -> Generator[ModelDelta | Pause | asyncio.Event | BaseException]:
    """The script with its shorthands spelled out and what the port promises added."""
    chosen, stopped, called = False, False, False
    for line in lines:
        delta = _spelled_out(line)
        if isinstance(delta, UsageReport) and not stopped:
            stopped = True
            yield _stop(called)
        if isinstance(delta, ModelDelta.__value__) and not chosen:
            chosen = True
            if not isinstance(delta, ModelChosen):
                yield ModelChosen(model)
        stopped = stopped or isinstance(delta, StopReason)
        called = called or isinstance(delta, ToolCallPiece)
        yield delta
    if not chosen:
        yield ModelChosen(model)
    if not stopped:
        yield _stop(called)


def _spelled_out(line: Line) -> ModelDelta | Pause | asyncio.Event | BaseException:
    if isinstance(line, str):
        return TextPiece(line)
    return Pause(line) if isinstance(line, int | float) else line


def _stop(called: bool) -> StopReason:
    return StopReason("tool_calls" if called else "stop")
