"""The turn log as its producer writes it: checks the order, merges adjacent deltas, numbers, publishes.

Deltas are merged before they are numbered and never later: the first of a run goes out at once, the next ones wait up
to the merge window. So numbers mean the same to everyone who ever reads the turn.
"""

import asyncio

from chat.errors import AnswerTooLarge
from chat.events import (
    TERMINAL_NUMBER,
    NumberedEvent,
    ReasoningDelta,
    TerminalEvent,
    TextDelta,
    ToolCallDelta,
    TurnEvent,
)
from chat.turns.feed import EventFeed
from chat.turns.grammar import Grammar

MAX_DELTA = 8192
"""Characters in one delta: even if JSON escapes each of them as six bytes, an event fits into a 60 KiB row."""

MAX_ANSWER = 8 * 1024 * 1024
"""Characters in one turn: it is kept in memory while it runs, and a model may never stop."""

type Delta = TextDelta | ReasoningDelta | ToolCallDelta


class TurnLog:
    """The log of a turn that is made in this process. `window` is the merge window in seconds."""

    def __init__(self, feed: EventFeed, *, window: float) -> None:
        self.feed = feed
        self.window = window
        self._grammar = Grammar()
        self._loop = asyncio.get_running_loop()
        self._released = float("-inf")  # when a delta last went out
        self._size = 0  # characters in deltas
        self._held: list[str] = []
        self._held_size = 0
        self._held_delta: Delta | None = None
        self._timer: asyncio.TimerHandle | None = None

    def append(self, event: TurnEvent) -> None:
        """Add an event. IllegalEvent when the grammar forbids it."""
        self._grammar.accept(event)
        if isinstance(event, (TextDelta, ReasoningDelta, ToolCallDelta)):
            self._append_delta(event)
        else:
            self.release()
            self._publish(event)

    def close_open_parts(self, reason: str) -> None:
        """Say the end of everything that is open, because the turn ends here."""
        for event in self._grammar.closing_events(reason):
            self.append(event)
        self.release()

    def terminal(self, event: TerminalEvent) -> NumberedEvent:
        """The last event, numbered but not yet published: it is shown once it is stored."""
        self._grammar.accept(event)
        self.release()
        return NumberedEvent(TERMINAL_NUMBER, event)

    def release(self) -> None:
        """Let held deltas out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held_delta is not None:
            delta = _with_text(self._held_delta, "".join(self._held))
            self._held, self._held_size, self._held_delta = [], 0, None
            self._released = self._loop.time()
            self._publish(delta)

    def _append_delta(self, delta: Delta) -> None:
        text = delta.arguments if isinstance(delta, ToolCallDelta) else delta.text
        self._size += len(text)
        if self._size > MAX_ANSWER:
            raise AnswerTooLarge
        if len(text) > MAX_DELTA:
            self._size -= len(text)
            for start in range(0, len(text), MAX_DELTA):
                self._append_delta(_with_text(delta, text[start : start + MAX_DELTA]))
        elif self._held_delta is not None and self._held_size + len(text) <= MAX_DELTA:
            self._held.append(text)
            self._held_size += len(text)
        else:
            self._begin(delta, text)

    def _begin(self, delta: Delta, text: str) -> None:
        self.release()
        now = self._loop.time()
        due = self._released + self.window
        if now >= due:
            self._released = now
            self._publish(delta)
        else:
            self._held, self._held_size, self._held_delta = [text], len(text), delta
            self._timer = self._loop.call_at(due, self.release)

    def _publish(self, event: TurnEvent) -> None:
        self.feed.append(event)


def _with_text(delta: Delta, text: str) -> Delta:
    match delta:
        case TextDelta(text_id, _):
            return TextDelta(text_id, text)
        case ReasoningDelta(reasoning_id, _):
            return ReasoningDelta(reasoning_id, text)
        case ToolCallDelta(call_id, _):
            return ToolCallDelta(call_id, text)
