"""One event of each type."""

from chat import events
from chat.events import TurnEvent

STARTED = events.TurnStarted("t", "s", "m", "2026-11-20T08:15:00Z")
STEP = events.StepStarted(0, "P", "m")
SAMPLES: dict[type[TurnEvent], TurnEvent] = {
    type(each): each
    for each in [
        STARTED,
        STEP,
        events.StageStarted("pois"),
        events.StageItem("pois", {}),
        events.StageFinished("pois"),
        events.Progress(25),
        events.TextStarted("a"),
        events.TextDelta("a", "x"),
        events.TextFinished("a"),
        events.ReasoningStarted("r"),
        events.ReasoningDelta("r", "x"),
        events.ReasoningFinished("r"),
        events.ToolCallStarted("c", "now"),
        events.ToolCallDelta("c", "{}"),
        events.ToolCallFinished("c"),
        events.ToolOutput("c", "now", "noon"),
        events.ApprovalRequested("c", "now"),
        events.AttemptFailed("A", "model", "MODEL_TIMEOUT", 1.5),
        events.ProviderSwitched("B", "MODEL_TIMEOUT"),
        events.UsageReported(1, 2),
        events.StepFinished("stop"),
        events.TurnFinished(),
        events.TurnFailed("X", "x", False),
        events.TurnCancelled(),
    ]
}
