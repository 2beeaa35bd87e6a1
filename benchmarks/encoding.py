"""What it costs to write one delta in each protocol: from the event to the bytes of its frame, in one process."""

import time
from datetime import UTC, datetime

import orjson

from benchmarks.report import Metric, shown, table, verdict
from benchmarks.scenarios import Figures
from chat.conversation import Turn
from chat.dialects.base import Dialect, Framing
from chat.dialects.catalogue import DIALECTS
from chat.events import NumberedEvent, StepStarted, TextDelta, TextStarted, TurnStarted
from chat.requests import TurnRequest

DELTAS = 20_000
ROUNDS = 5  # of which the best counts: the others met somebody else
BEGAN = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
SESSION = "01KAG3W1B8ZX4R7N2M5P6Q8S9T"
OPENING = (
    TurnStarted(f"{SESSION}-00000002", SESSION, f"{SESSION}-00000001", "2026-11-20T08:15:00Z"),
    StepStarted(0, "AZURE", "gpt-5-mini"),
    TextStarted("0"),
)


def encoding() -> Figures:
    """Microseconds a delta, by the name of the dialect."""
    return {name: min(_measured(dialect) for _ in range(ROUNDS)) for name, dialect in DIALECTS.items()}


def encoding_table(figures: Figures) -> str:
    rows = [[name, shown(cost, 2)] for name, cost in sorted(figures.items())]
    return table(["encoding", "us a delta"], rows) if rows else ""


def encoding_goals(figures: Figures, slower: float) -> list[list[str]]:
    """One row: that of the protocol that costs most."""
    if not figures:
        return []
    name = max(figures, key=lambda each: figures[each])
    metric = Metric("encoding", f"encoding, us a delta, at most: {name}", 2, limit=5.0)
    return [verdict(metric, figures[name], slower=slower)]


def _measured(dialect: Dialect) -> float:
    events = [NumberedEvent(number, event) for number, event in enumerate(_events(), start=1)]
    encoder, frame = dialect.encoder(_turn(dialect.name)), _framing(dialect).frame
    for each in events[: len(OPENING)]:
        list(encoder.encode(each))
    deltas = events[len(OPENING) :]
    began = time.perf_counter()
    for each in deltas:
        for payload in encoder.encode(each):
            frame(payload, str(each.number))
    return (time.perf_counter() - began) / len(deltas) * 1e6


def _events() -> list[TurnStarted | StepStarted | TextStarted | TextDelta]:
    return [*OPENING, *(TextDelta("0", f"word{number} ") for number in range(DELTAS))]


def _turn(dialect: str) -> Turn:
    request = TurnRequest("ann", dialect=dialect)
    turn_id, question = (f"{SESSION}-{seq:08d}" for seq in (2, 1))
    return Turn(turn_id, SESSION, request, question, "running", "bench", BEGAN)


def _framing(dialect: Dialect) -> Framing:
    """Of its streams; what sockets alone speak goes out as JSON."""
    framing = dialect.framing or (dialect.door and dialect.door.framing)
    return framing or Framing("application/json", lambda payload, _: orjson.dumps(payload), b"")
