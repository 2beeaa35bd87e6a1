"""The order of a turn's events, as a table, and what to close when a turn breaks.

What may follow what is decided here and nowhere else: the log asks before it numbers an event, the sweeper asks what
a dead process left open, and every test runs it over every stream.
"""

from collections.abc import Iterable
from enum import Enum, auto

from chat import events
from chat.errors import ChatError
from chat.events import TurnEvent


class State(Enum):
    """The innermost thing that is open."""

    NEW = auto()
    TURN = auto()
    STAGE = auto()
    STEP = auto()
    STEP_USED = auto()  # usage was reported: only the end of the step may follow
    TEXT = auto()
    REASONING = auto()
    CALL = auto()
    ENDED = auto()


class Opens(Enum):
    """The event opens something inside what is open."""

    STAGE = State.STAGE
    STEP = State.STEP
    TEXT = State.TEXT
    REASONING = State.REASONING
    CALL = State.CALL


class Becomes(Enum):
    """What is open turns into something else."""

    TURN = State.TURN
    STEP_USED = State.STEP_USED
    ENDED = State.ENDED


class Keeps(Enum):
    """The event changes nothing, or closes what is open."""

    OPEN = auto()
    CLOSED = auto()


ALLOWED: dict[State, dict[type[TurnEvent], Opens | Becomes | Keeps]] = {
    State.NEW: {events.TurnStarted: Becomes.TURN},
    State.TURN: {
        events.StageStarted: Opens.STAGE,
        events.StepStarted: Opens.STEP,
        events.AttemptFailed: Keeps.OPEN,
        events.ProviderSwitched: Keeps.OPEN,
        events.Progress: Keeps.OPEN,
        events.ToolOutput: Keeps.OPEN,  # of a call of the answer that this one goes on from
        events.UsageReported: Keeps.OPEN,  # of a model call that is no step
        events.TurnFinished: Becomes.ENDED,
        events.TurnFailed: Becomes.ENDED,
        events.TurnCancelled: Becomes.ENDED,
    },
    State.STAGE: {
        events.StepStarted: Opens.STEP,
        events.AttemptFailed: Keeps.OPEN,
        events.ProviderSwitched: Keeps.OPEN,
        events.StageItem: Keeps.OPEN,
        events.Progress: Keeps.OPEN,
        events.StageFinished: Keeps.CLOSED,
    },
    State.STEP: {
        events.TextStarted: Opens.TEXT,
        events.ReasoningStarted: Opens.REASONING,
        events.ToolCallStarted: Opens.CALL,
        events.ApprovalRequested: Keeps.OPEN,
        events.ToolOutput: Keeps.OPEN,
        events.StageItem: Keeps.OPEN,
        events.AttemptFailed: Keeps.OPEN,
        events.ProviderSwitched: Keeps.OPEN,
        events.UsageReported: Becomes.STEP_USED,
        events.StepFinished: Keeps.CLOSED,
    },
    State.STEP_USED: {events.StepFinished: Keeps.CLOSED},
    # A process may die between the start of a text and its first delta, so a text may close without one.
    State.TEXT: {events.TextDelta: Keeps.OPEN, events.TextFinished: Keeps.CLOSED},
    State.REASONING: {events.ReasoningDelta: Keeps.OPEN, events.ReasoningFinished: Keeps.CLOSED},
    State.CALL: {events.ToolCallDelta: Keeps.OPEN, events.ToolCallFinished: Keeps.CLOSED},
    State.ENDED: {},
}


class IllegalEvent(Exception):
    """A source broke the grammar: a bug of ours, never of a caller."""

    def __init__(self, state: State, event: TurnEvent) -> None:
        super().__init__(f"{type(event).__name__} may not follow in state {state.name}")


class Grammar:
    """Where one turn stands."""

    def __init__(self) -> None:
        self._enter(State.NEW)
        self._outer: list[tuple[State, TurnEvent]] = []  # what encloses the open thing, and what opened it

    @property
    def state(self) -> State:
        return self._state

    def accept(self, event: TurnEvent) -> None:
        """Take the next event. IllegalEvent when it may not come here."""
        move = self._allowed.get(type(event))
        if move is Keeps.OPEN:
            return
        if move is None:
            raise IllegalEvent(self._state, event)
        if isinstance(move, Opens):
            self._outer.append((self._state, event))
            self._enter(move.value)
        elif isinstance(move, Becomes):
            self._enter(move.value)
        else:
            self._enter(self._outer.pop()[0])

    def _enter(self, state: State) -> None:
        self._state = state
        self._allowed = ALLOWED[state]  # looked up once a state, not once a delta

    def closing_events(self, reason: str = "error") -> list[TurnEvent]:
        """What has to be said so that nothing stays open, innermost first; the terminal event may follow it. `reason`
        is why a step that is open ends."""
        return [_closing(opener, reason) for _, opener in reversed(self._outer)]


def broken_off(seen: Iterable[TurnEvent], error: ChatError) -> list[TurnEvent]:
    """What a follower is told who saw these events of a turn, and will see no more: what is open is closed first, in
    every dialect. The turn itself may go on."""
    grammar = Grammar()
    for event in seen:
        grammar.accept(event)
    failed = events.TurnFailed(error.code, error.message, error.retryable)
    return [*grammar.closing_events(), failed]


def _closing(opener: TurnEvent, reason: str) -> TurnEvent:
    match opener:
        case events.TextStarted(text_id):
            return events.TextFinished(text_id)
        case events.ReasoningStarted(reasoning_id):
            return events.ReasoningFinished(reasoning_id)
        case events.ToolCallStarted(call_id):
            return events.ToolCallFinished(call_id)
        case events.StepStarted():
            return events.StepFinished(reason)
        case events.StageStarted(stage):
            return events.StageFinished(stage)
        case _:
            raise AssertionError(f"{type(opener).__name__} opens nothing")
