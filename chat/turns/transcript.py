"""What a turn's events amount to: the assistant's text, who said it, what it cost.

Read by the runner at the end of a turn, by the sweeper for a turn whose process died, and for the message list while
a turn runs, so that all three show the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from chat.events import (
    AttemptFailed,
    JSONObject,
    NumberedEvent,
    StepFinished,
    StepStarted,
    TerminalEvent,
    TextDelta,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    UsageReported,
)
from chat.messages import MessageStatus, TurnError, TurnState, Usage


@dataclass(frozen=True, slots=True)
class Transcript:
    """The sum of a turn's events so far."""

    text: str = ""
    provider: str = ""
    model: str = ""
    usage: Usage | None = None  # None when no service reported any
    attempts: tuple[JSONObject, ...] = ()


def transcribe(events: Iterable[NumberedEvent]) -> Transcript:
    """Add up the events of a turn, whole or in part."""
    texts: list[str] = []
    provider = model = ""
    usage: Usage | None = None
    attempts: list[JSONObject] = []
    for _, event in events:
        match event:
            case TextDelta(_, text):
                texts.append(text)
            case StepStarted(_, provider, model):
                attempts.append({"provider": provider, "model": model, "outcome": "running"})
            case AttemptFailed(provider, model, code, seconds):
                row: JSONObject = {"provider": provider, "model": model, "outcome": code}
                attempts.append({**row, "seconds": seconds})
            case StepFinished(reason) if attempts:
                attempts[-1]["outcome"] = reason
            case UsageReported():
                usage = _add(usage, event)
            case _:
                pass
    return Transcript("".join(texts), provider, model, usage, tuple(attempts))


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


def _add(usage: Usage | None, report: UsageReported) -> Usage:
    before = usage or Usage()
    return Usage(
        before.prompt_tokens + report.prompt_tokens,
        before.completion_tokens + report.completion_tokens,
        before.estimated or report.estimated,
    )
