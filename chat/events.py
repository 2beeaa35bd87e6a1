"""The events of a turn: frozen values, one class each, and their JSON form.

    turn  = TurnStarted (stage | step | attempt | Progress | ToolOutput | UsageReported)* end
    end   = TurnFinished | TurnFailed | TurnCancelled
    stage = StageStarted (step | attempt | StageItem | Progress)* StageFinished
    step  = StepStarted (text | reasoning | call | ask | ToolOutput | StageItem | attempt)* UsageReported? StepFinished
    ask   = ApprovalRequested
    attempt = AttemptFailed | ProviderSwitched
    text  = TextStarted TextDelta+ TextFinished      reasoning = ReasoningStarted ReasoningDelta+ ReasoningFinished
    call  = ToolCallStarted ToolCallDelta* ToolCallFinished

`turns/grammar.py` enforces the order. A delta is never empty. Every id, time and name that a dialect prints stands
in an event, so that encoders need nothing else.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, get_args

type JSON = str | int | float | bool | list[JSON] | dict[str, JSON] | None
type JSONObject = dict[str, JSON]


def empty_object() -> JSONObject:
    """A new `{}`, as the default of a dataclass field."""
    return {}


TERMINAL_NUMBER = 99_999_999
"""The number of a turn's last event, whatever came before: it follows everything that anyone saw."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    turn_id: str  # also the id of the assistant message
    session_id: str
    user_message_id: str
    started_at: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class StageStarted:
    stage: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class StageItem:
    stage: str
    item: JSON


@dataclass(frozen=True, slots=True)
class StageFinished:
    stage: str
    result: JSON = None  # None when the turn broke inside the stage, or its answer did not do
    text: str = ""  # what it adds to the text of the answer


@dataclass(frozen=True, slots=True)
class Progress:
    percent: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    index: int  # 0 for the first model call of the turn
    provider: str
    model: str  # the model that answers, which a router chose
    prompt_tokens: int = 0  # our estimate, which counts where no usage is reported


@dataclass(frozen=True, slots=True)
class TextStarted:
    text_id: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    text_id: str
    text: str


@dataclass(frozen=True, slots=True)
class TextFinished:
    text_id: str


@dataclass(frozen=True, slots=True)
class ReasoningStarted:
    reasoning_id: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    reasoning_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningFinished:
    reasoning_id: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    call_id: str
    arguments: str  # a piece of the JSON text


@dataclass(frozen=True, slots=True)
class ToolCallFinished:
    call_id: str


@dataclass(frozen=True, slots=True)
class ToolOutput:
    call_id: str
    name: str
    output: str
    is_error: bool = False
    denied: bool = False  # somebody was asked and said no: it was not run


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """A call that is run when somebody who may write here says so: the turn ends with it. `definition` is the digest of
    the tool's definition, where it is somebody else's."""

    call_id: str
    name: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """A call of a model service that failed before it said anything: there is no step of it."""

    provider: str
    model: str
    code: str  # of the error tree
    seconds: float  # how long the attempt took
    wait: float = 0.0  # seconds until the next one
    prompt_tokens: int = 0  # what it cost by our estimate: nothing when it was refused
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ProviderSwitched:
    """The next attempt goes to another service."""

    provider: str  # the one that goes on
    reason: str  # the code of the error that ended the one before


@dataclass(frozen=True, slots=True)
class UsageReported:
    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class StepFinished:
    reason: str  # stop | length | tool_calls | content_filter | cancelled | error


@dataclass(frozen=True, slots=True)
class TurnFinished:
    pass


@dataclass(frozen=True, slots=True)
class TurnFailed:
    code: str  # of the error tree, upper snake case
    message: str
    retryable: bool
    status: int = 500  # the HTTP status this error has when nothing was said yet
    retry_after: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class TurnCancelled:
    pass


type TurnEvent = (
    TurnStarted
    | StageStarted
    | StageItem
    | StageFinished
    | Progress
    | StepStarted
    | TextStarted
    | TextDelta
    | TextFinished
    | ReasoningStarted
    | ReasoningDelta
    | ReasoningFinished
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallFinished
    | ToolOutput
    | ApprovalRequested
    | AttemptFailed
    | ProviderSwitched
    | UsageReported
    | StepFinished
    | TurnFinished
    | TurnFailed
    | TurnCancelled
)
type TerminalEvent = TurnFinished | TurnFailed | TurnCancelled

EVENT_TYPES: Mapping[str, type[TurnEvent]] = {kind.__name__: kind for kind in get_args(TurnEvent.__value__)}
TERMINAL_TYPES: tuple[type[TerminalEvent], ...] = (TurnFinished, TurnFailed, TurnCancelled)

FIELDS: Mapping[type[TurnEvent], tuple[str, ...]] = {
    kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in EVENT_TYPES.values()
}


class NumberedEvent(NamedTuple):
    """An event with its place in the turn: 1, 2, 3, ... and `TERMINAL_NUMBER` for the last."""

    number: int
    event: TurnEvent


def event_to_json(numbered: NumberedEvent) -> JSONObject:
    """`{"n": 4, "type": "TextDelta", "text_id": "t0", "text": "Hel"}`"""
    event = numbered.event
    kind = type(event)
    row: JSONObject = {"n": numbered.number, "type": kind.__name__}
    for name in FIELDS[kind]:
        row[name] = getattr(event, name)
    return row


def event_from_json(row: Mapping[str, JSON]) -> NumberedEvent:
    """The reverse of `event_to_json`. Fields that a newer version added are ignored; KeyError for an unknown type."""
    kind = EVENT_TYPES[str(row["type"])]
    fields = {name: row[name] for name in FIELDS[kind] if name in row}
    number = row["n"]
    assert isinstance(number, int)
    return NumberedEvent(number, kind(**fields))  # type: ignore[arg-type]
