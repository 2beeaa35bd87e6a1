"""What a turn's events amount to: the assistant's text, who said it, what it cost.

Read by the runner at the end of a turn, by the sweeper for a turn whose process died, and for the message list while
a turn runs, so that all three show the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chat.conversation import TurnError, TurnState
from chat.events import (
    JSON,
    AttemptFailed,
    JSONObject,
    NumberedEvent,
    ReasoningDelta,
    StageFinished,
    StepFinished,
    StepStarted,
    TerminalEvent,
    TextDelta,
    ToolCallDelta,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    UsageReported,
)
from chat.messages import MessageStatus, Usage
from chat.tokens import estimate_tokens


@dataclass(frozen=True, slots=True)
class Transcript:
    """The sum of a turn's events so far."""

    text: str = ""
    provider: str = ""
    model: str = ""
    usage: Usage | None = None  # None when no service reported any
    attempts: tuple[JSONObject, ...] = ()
    reason: str = ""  # why the last model call ended, as far as it did


def transcribe(events: Iterable[NumberedEvent]) -> Transcript:
    """Add up the events of a turn, whole or in part."""
    sum_ = _Sum()
    for _, event in events:
        sum_.add(event)
    return sum_.transcript()


class _Sum:
    """A turn's events, added up one by one. What a step cost is reported by the service, or else estimated: also for
    a step that was broken off, which is paid for all the same."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._reason = ""
        self._provider = self._model = ""
        self._usage: Usage | None = None
        self._attempts: list[JSONObject] = []
        self._step: StepStarted | None = None  # the one whose usage is not known yet
        self._said: list[str] = []  # everything the model said in it

    def add(self, event: TurnEvent) -> None:
        match event:
            case TextDelta(_, text):
                self._texts.append(text)
                self._said.append(text)
            case ReasoningDelta(_, text) | ToolCallDelta(_, text):
                self._said.append(text)
            case StageFinished(_, _, text) if text:
                self._texts.append(text)
            case StepStarted():
                self._step, self._provider, self._model = event, event.provider, event.model
                self._attempt(event.provider, event.model, "running")
            case AttemptFailed():
                self._attempt(event.provider, event.model, event.code, seconds=event.seconds)
                if event.prompt_tokens or event.completion_tokens:
                    self._count(event.prompt_tokens, event.completion_tokens, estimated=True)
            case UsageReported():
                self._step = None
                self._count(event.prompt_tokens, event.completion_tokens, estimated=event.estimated)
            case StepFinished(reason):
                self._end_step()
                self._reason = reason
                self._outcome(reason)
            case TurnFailed(code) if self._attempts and self._attempts[-1]["outcome"] == "error":
                self._outcome(code)
            case _:
                pass

    def transcript(self) -> Transcript:
        self._end_step()
        return Transcript(
            "".join(self._texts),
            self._provider,
            self._model,
            self._usage,
            tuple(self._attempts),
            self._reason,
        )

    def _end_step(self) -> None:
        if self._step is not None:
            self._count(self._step.prompt_tokens, estimate_tokens("".join(self._said)), estimated=True)
        self._step = None
        self._said = []

    def _count(self, prompt: int, completion: int, *, estimated: bool) -> None:
        before = self._usage or Usage()
        self._usage = Usage(
            before.prompt_tokens + prompt,
            before.completion_tokens + completion,
            before.estimated or estimated,
        )

    def _attempt(self, provider: str, model: str, outcome: str, **more: JSON) -> None:
        self._attempts.append({"provider": provider, "model": model, "outcome": outcome, **more})

    def _outcome(self, outcome: str) -> None:
        if self._attempts:
            self._attempts[-1]["outcome"] = outcome


def turn_state(terminal: TerminalEvent) -> TurnState:
    """How the turn ended."""
    match terminal:
        case TurnFinished():
            return "finished"
        case TurnCancelled():
            return "cancelled"
        case TurnFailed():
            return "failed"


def message_status(terminal: TerminalEvent) -> MessageStatus:
    """How the assistant message of the turn ended."""
    match terminal:
        case TurnFinished():
            return "complete"
        case TurnCancelled():
            return "cancelled"
        case TurnFailed(code):
            return "interrupted" if code == "INTERRUPTED" else "failed"


def turn_error(terminal: TerminalEvent) -> TurnError | None:
    """Why the turn failed, if it did."""
    if isinstance(terminal, TurnFailed):
        return TurnError(terminal.code, terminal.message, terminal.retryable)
    return None
