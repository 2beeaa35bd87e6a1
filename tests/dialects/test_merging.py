"""Pieces of text that go out together."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from chat.dialects.merging import PIECE, squeezed
from chat.events import NumberedEvent, ReasoningDelta, TextDelta, TextFinished, TurnEvent

EVENTS = st.lists(
    st.builds(TextDelta, st.sampled_from("ab"), st.text(max_size=3))
    | st.builds(ReasoningDelta, st.sampled_from("ab"), st.text(max_size=3))
    | st.builds(TextFinished, st.sampled_from("ab"))
)


def numbered(events: list[TurnEvent]) -> list[NumberedEvent]:
    return [NumberedEvent(number, each) for number, each in enumerate(events, 1)]


def apart(events: list[TurnEvent]) -> list[object]:
    """Letter by letter."""
    found: list[object] = []
    for each in events:
        match each:
            case TextDelta(name, text) | ReasoningDelta(name, text):
                found += [(type(each), name, letter) for letter in text]
            case _:
                found.append(each)
    return found


@given(EVENTS)
def test_nothing_is_lost_moved_or_mixed(events: list[TurnEvent]) -> None:
    found = [*squeezed(numbered(events))]
    assert apart([each.event for each in found]) == apart(events)
    assert not events or found[-1].number == len(events)
    kinds = [(type(each.event), getattr(each.event, "text_id", "")) for each in found]
    assert not [one for one, other in itertools.pairwise(kinds) if one == other and one[0] is TextDelta]


def test_a_piece_fits_into_a_frame() -> None:
    found = [*squeezed(numbered([TextDelta("a", "x" * (PIECE // 3 * 2))] * 5))]
    assert [len(each.event.text) for each in found if isinstance(each.event, TextDelta)] == [
        PIECE // 3 * 2
    ] * 5
