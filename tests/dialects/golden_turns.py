"""Twelve turns as they stand in the log, and what each protocol makes of them, kept under `golden/`.

`python -m tests.dialects.golden_turns` writes the files anew; the difference is then for a reader to judge.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from chat.conversation import Turn
from chat.dialects.base import Dialect, Framing
from chat.dialects.catalogue import DIALECTS
from chat.events import (
    TERMINAL_NUMBER,
    ApprovalRequested,
    AttemptFailed,
    JSONObject,
    NumberedEvent,
    Progress,
    ProviderSwitched,
    ReasoningDelta,
    ReasoningFinished,
    ReasoningStarted,
    StageFinished,
    StageItem,
    StageStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UsageReported,
)
from chat.requests import TRIP, TurnRequest

GOLDEN = Path(__file__).with_name("golden")
SESSION = "01KAG3W1B8ZX4R7N2M5P6Q8S9T"
QUESTION, ANSWER = f"{SESSION}-00000001", f"{SESSION}-00000002"
STARTED = TurnStarted(ANSWER, SESSION, QUESTION, "2026-11-20T08:15:00Z")
USED = UsageReported(12, 7)
CLIENTS: dict[str, JSONObject] = {
    "ag-ui": {"thread": "thread-1", "run": "run-1", "tanstack": True},
    "completions": {"usage": True, "own_tools": ["ask_user"]},
    "responses": {"own_tools": ["ask_user"], "asking_tools": ["refund"], "metadata": {"page": "home"}},
    "ai-sdk": {"tools": ["ask_user"]},
}
"""What the starter's wire needs, by dialect, where it asks for more than usual."""


def step(
    *within: Sequence[TurnEvent], index: int = 0, reason: str = "stop", used: bool = True
) -> list[TurnEvent]:
    inside = [event for events in within for event in events]
    usage = [USED] if used else []
    return [StepStarted(index, "AZURE", "gpt-5-mini", 10), *inside, *usage, StepFinished(reason)]


def text(*pieces: str, name: str = "0") -> list[TurnEvent]:
    return [TextStarted(name), *(TextDelta(name, piece) for piece in pieces), TextFinished(name)]


def thought(*pieces: str) -> list[TurnEvent]:
    return [ReasoningStarted("r0"), *(ReasoningDelta("r0", each) for each in pieces), ReasoningFinished("r0")]


def call(call_id: str, name: str, *arguments: str) -> list[TurnEvent]:
    pieces = (ToolCallDelta(call_id, each) for each in arguments)
    return [ToolCallStarted(call_id, name), *pieces, ToolCallFinished(call_id)]


CLOCK = call("c1", "current_time", '{"zone":', ' "UTC"}')
NOON = [ToolOutput("c1", "current_time", '{"time": "12:00"}')]
REFUND = call("c2", "refund", '{"order": 7, "amount": 12.5}')

TURNS: Mapping[str, Sequence[TurnEvent]] = {
    "hello": [*step(text("Hel", "lo!")), TurnFinished()],
    "many_scripts": [*step(text("Zoë 🙂", "\n\n日本", '"quoted" \\ \u2028', "\r\nend")), TurnFinished()],
    "thinks_first": [*step(thought("Let me ", "see."), text("42.")), TurnFinished()],
    "calls_our_tool": [
        *step(CLOCK, NOON, reason="tool_calls"),
        *step(text("It is noon.", name="1"), index=1),
        TurnFinished(),
    ],
    "two_calls_one_fails": [
        *step(
            text("I look."),
            CLOCK,
            call("c3", "weather"),
            [ToolOutput("c3", "weather", "There is no service.", is_error=True)],
            NOON,
            reason="tool_calls",
        ),
        *step(text("Noon; who knows.", name="1"), index=1),
        TurnFinished(),
    ],
    "calls_the_callers_tool": [
        *step(call("c4", "ask_user", '{"q": "Where?"}'), reason="tool_calls"),
        TurnFinished(),
    ],
    "waits_for_approval": [
        *step(REFUND, [ApprovalRequested("c2", "refund")], reason="tool_calls"),
        TurnFinished(),
    ],
    "goes_on_after_approval": [
        ToolOutput("c2", "refund", "Done."),
        ToolOutput("c5", "delete_order", "Denied: not today", is_error=True, denied=True),
        *step(text("Refunded, not deleted.")),
        TurnFinished(),
    ],
    "plans_in_stages": [
        Progress(0),
        StageStarted("intents"),
        *step(used=True),
        StageFinished("intents", [{"name": "food"}], "One wish.\n"),
        Progress(50),
        StageStarted("pois"),
        StageItem("pois", {"name": "Ueno Park"}),
        *step(index=1),
        StageFinished("pois", [{"name": "Ueno Park"}]),
        Progress(100),
        TurnFinished(),
    ],
    "fails_over": [
        AttemptFailed("AZURE", "model-router", "MODEL_TIMEOUT", 1.5, 0.2),
        ProviderSwitched("OPENROUTER", "MODEL_TIMEOUT"),
        *step(text("From elsewhere.")),
        TurnFinished(),
    ],
    "is_cut_in_the_middle": [
        *step(text("Half a sen"), reason="error", used=False),
        TurnFailed("INTERRUPTED", "The answer was cut off.", True, 503),
    ],
    "is_stopped": [*step(text("One, two, "), reason="cancelled", used=False), TurnCancelled()],
}


def numbered(events: Sequence[TurnEvent]) -> list[NumberedEvent]:
    """As the log numbers them."""
    last = len(events) - 1
    return [
        NumberedEvent(TERMINAL_NUMBER if place == last else place + 2, event)
        for place, event in enumerate(events)
    ]


def turn_of(dialect: Dialect, *, staged: bool = False) -> Turn:
    request = TurnRequest(
        "ann",
        dialect=dialect.name,
        pipeline=TRIP if staged or dialect.name == "plan" else "",
        client=CLIENTS.get(dialect.name, {}),
    )
    began = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    return Turn(ANSWER, SESSION, request, QUESTION, "running", "instance", began)


def framing_of(dialect: Dialect) -> Framing:
    """Of its streams; a line of JSON for what sockets alone speak."""
    framing = dialect.framing or (dialect.door and dialect.door.framing)
    return framing or Framing("application/json", lambda payload, _: orjson.dumps(payload) + b"\n", b"")


def written(dialect: Dialect, events: Sequence[TurnEvent]) -> bytes:
    """A turn as the body of a stream."""
    staged = any(isinstance(each, StageStarted) for each in events)
    encoder, framing = dialect.encoder(turn_of(dialect, staged=staged)), framing_of(dialect)
    body = b""
    for each in [NumberedEvent(1, STARTED), *numbered(events)]:
        for index, payload in enumerate(encoder.encode(each)):
            body += framing.frame(payload, f"{each.number}.{index}" if index else str(each.number))
    return body + framing.done


def golden() -> Iterator[tuple[Path, bytes]]:
    """Every file, with what belongs in it."""
    for dialect in DIALECTS.values():
        for name, events in TURNS.items():
            yield GOLDEN / dialect.name / f"{name}.txt", written(dialect, events)


if __name__ == "__main__":
    for path, body in golden():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
