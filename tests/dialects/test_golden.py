"""Every protocol says of twelve named turns what it said when somebody last read it."""

from pathlib import Path

import pytest

from chat.dialects.catalogue import DIALECTS
from chat.events import EVENT_TYPES, NumberedEvent, TurnStarted
from chat.turns.grammar import Grammar
from tests.dialects.golden_turns import GOLDEN, STARTED, TURNS, golden, turn_of
from tests.support.event_samples import SAMPLES


@pytest.mark.parametrize("name", TURNS)
def test_the_turn_is_one_that_the_log_takes(name: str) -> None:
    grammar = Grammar()
    for event in [STARTED, *TURNS[name]]:
        grammar.accept(event)
    assert grammar.state.name == "ENDED"


def test_all_kinds_of_events_are_in_some_turn() -> None:
    assert {type(each) for events in TURNS.values() for each in events} | {TurnStarted} == set(
        EVENT_TYPES.values()
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [*golden()],
    ids=lambda each: each.parent.name + "-" + each.stem if isinstance(each, Path) else "",
)
def test_a_protocol_says_what_it_said(path: Path, body: bytes) -> None:
    assert path.is_file(), (
        f"{path.name} is new: python -m tests.dialects.golden_turns writes it, then read it"
    )
    assert body == path.read_bytes()


def test_no_file_is_left_over() -> None:
    assert set(GOLDEN.glob("*/*")) == {path for path, _ in golden()}


@pytest.mark.parametrize("name", DIALECTS)
def test_a_turn_that_breaks_off_anywhere_is_encoded(name: str) -> None:
    """By events that have no number: `written` makes them."""
    for event in SAMPLES.values():
        encoder = DIALECTS[name].encoder(turn_of(DIALECTS[name]))
        list(encoder.encode(NumberedEvent(1, STARTED)))
        list(encoder.encode(NumberedEvent(0, event)))
