"""What may follow what, and what is closed when a turn breaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import events
from chat.events import TurnEvent
from chat.turns.grammar import ALLOWED, Grammar, IllegalEvent, State
from tests.support.event_samples import SAMPLES, STARTED, STEP

LEGAL: dict[str, list[TurnEvent]] = {
    "nothing said": [STARTED, events.TurnFinished()],
    "one step": [STARTED, STEP, *(SAMPLES[kind] for kind in (
        events.TextStarted, events.TextDelta, events.TextDelta, events.TextFinished, events.UsageReported,
        events.StepFinished, events.TurnFinished))],
    "a tool": [STARTED, STEP, *(SAMPLES[kind] for kind in (
        events.ToolCallStarted, events.ToolCallDelta, events.ToolCallFinished, events.ToolOutput,
        events.StepFinished)), STEP, events.StepFinished("stop"), events.TurnFinished()],
    "a stage": [STARTED, events.StageStarted("pois"), STEP, events.StepFinished("stop"),
        events.StageItem("pois", 1), events.Progress(50), events.StageFinished("pois", []), events.TurnFinished()],
    "failed at once": [STARTED, events.TurnFailed("X", "x", True)],
}  # fmt: skip

ILLEGAL: dict[str, list[TurnEvent]] = {
    "no start": [STEP],
    "two starts": [STARTED, STARTED],
    "text outside a step": [STARTED, events.TextStarted("a")],
    "a delta without a start": [STARTED, STEP, events.TextDelta("a", "x")],
    "text inside text": [STARTED, STEP, events.TextStarted("a"), events.TextStarted("b")],
    "reasoning delta in a text": [STARTED, STEP, events.TextStarted("a"), events.ReasoningDelta("r", "x")],
    "text after usage": [STARTED, STEP, events.UsageReported(1, 1), events.TextStarted("a")],
    "the end of an open turn": [STARTED, STEP, events.TurnFinished()],
    "anything after the end": [STARTED, events.TurnCancelled(), STEP],
    "a stage inside a stage": [STARTED, events.StageStarted("a"), events.StageStarted("b")],
}


@pytest.mark.parametrize("name", LEGAL)
def test_legal_orders_are_accepted(name: str) -> None:
    grammar = Grammar()
    for event in LEGAL[name]:
        grammar.accept(event)
    assert grammar.state is State.ENDED


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_orders_are_refused_at_the_last_event(name: str) -> None:
    grammar = Grammar()
    *before, wrong = ILLEGAL[name]
    for event in before:
        grammar.accept(event)
    with pytest.raises(IllegalEvent, match=type(wrong).__name__):
        grammar.accept(wrong)


def test_a_broken_turn_closes_the_innermost_part_first() -> None:
    grammar = Grammar()
    for event in (STARTED, events.StageStarted("pois"), STEP, events.TextStarted("a")):
        grammar.accept(event)
    assert grammar.closing_events() == [
        events.TextFinished("a"),
        events.StepFinished("error"),
        events.StageFinished("pois"),
    ]


@given(st.data())
def test_after_any_legal_beginning_the_closing_events_and_an_end_are_legal(data: st.DataObject) -> None:
    grammar = Grammar()
    grammar.accept(STARTED)
    for _ in range(data.draw(st.integers(0, 12))):
        choices = [kind for kind in ALLOWED[grammar.state] if kind not in events.TERMINAL_TYPES]
        grammar.accept(SAMPLES[data.draw(st.sampled_from(choices))])
    for event in [*grammar.closing_events(), events.TurnFailed("X", "x", True)]:
        grammar.accept(event)
    assert grammar.state is State.ENDED
    assert grammar.closing_events() == []


def test_every_event_type_has_a_place_in_the_grammar() -> None:
    placed = {kind for moves in ALLOWED.values() for kind in moves}
    assert placed == set(events.EVENT_TYPES.values()) == set(SAMPLES)
