"""Events are what they were, wherever they are kept."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.events import TextDelta, ToolOutput, TurnEvent
from chat.turns.event_pages import PAGE, EventPages
from tests.support.event_samples import SAMPLES


def pages_of(events: list[TurnEvent]) -> EventPages:
    pages = EventPages()
    for event in events:
        pages.append(event)
    return pages


@given(st.lists(st.sampled_from([*SAMPLES.values()]), max_size=5 * PAGE), st.integers(0, 6 * PAGE))
def test_what_follows_a_place_is_what_a_list_would_give(events: list[TurnEvent], place: int) -> None:
    pages = pages_of(events)
    assert pages.since(place) == events[place:]
    assert len(pages) == len(events)


@pytest.mark.parametrize("count", [1, PAGE, 2 * PAGE - 1, 2 * PAGE, 2 * PAGE + 1, 7 * PAGE])
def test_every_place_of_a_long_turn_can_be_read_from(count: int) -> None:
    events: list[TurnEvent] = [TextDelta("t", f"{number} \U0001f600\u2028") for number in range(count)]
    pages = pages_of(events)
    assert all(pages.since(place) == events[place:] for place in range(count + 1))
    assert pages.last == events[-1]


def test_a_large_output_survives() -> None:
    events: list[TurnEvent] = [ToolOutput("c", "query", "x" * 1_000_000), *[TextDelta("t", "a")] * 3 * PAGE]
    assert pages_of(events).since(0) == events


def test_what_is_packed_takes_a_tenth_of_the_room() -> None:
    def size(keep: object) -> int:
        tracemalloc.start()
        kept = [TextDelta("0.0", f"word{number} ") for number in range(4096)] if keep is list else None
        pages = None if keep is list else EventPages()
        if pages is not None:
            for number in range(4096):
                pages.append(TextDelta("0.0", f"word{number} "))
        used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        del kept, pages
        return used

    assert size(EventPages) < size(list) / 5
