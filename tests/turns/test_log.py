"""Numbers, merging, and what followers of the log see."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import events
from chat.errors import StoreUnavailable
from chat.events import TERMINAL_NUMBER, NumberedEvent, TextDelta, event_from_json, event_to_json
from chat.turns.feed import EventFeed
from chat.turns.grammar import Grammar, IllegalEvent
from chat.turns.log import MAX_DELTA, TurnLog
from tests.support.event_samples import SAMPLES, STARTED, STEP
from tests.support.turns import kinds, read, text_of
from tests.support.virtual_time import virtual


def open_log(window: float = 0.0) -> TurnLog:
    """A log in which a text is open."""
    log = TurnLog(EventFeed(), window=window)
    for event in (STARTED, STEP, events.TextStarted("a")):
        log.append(event)
    return log


def say(log: TurnLog, *texts: str) -> None:
    for text in texts:
        log.append(TextDelta("a", text))


def deltas(log: TurnLog) -> list[str]:
    return [each.event.text for each in log.feed.events if isinstance(each.event, TextDelta)]


def finish(log: TurnLog) -> None:
    log.close_open_parts("error")
    log.feed.publish([log.terminal(events.TurnFinished())])


@virtual
async def test_events_are_numbered_from_one_and_the_last_is_the_terminal_number() -> None:
    log = open_log()
    say(log, "x")
    finish(log)
    numbers = [each.number for each in log.feed.events]
    assert numbers == [1, 2, 3, 4, 5, 6, TERMINAL_NUMBER]


@virtual
async def test_the_first_delta_goes_out_at_once_and_the_next_ones_are_merged() -> None:
    log = open_log(window=0.02)
    say(log, "one ", "two ", "three ")
    assert deltas(log) == ["one "]
    await asyncio.sleep(0.021)
    assert deltas(log) == ["one ", "two three "]


@virtual
async def test_a_slow_model_is_not_slowed_down_by_the_window() -> None:
    log = open_log(window=0.02)
    for text in ("a", "b", "c"):
        say(log, text)
        assert deltas(log)[-1] == text
        await asyncio.sleep(0.05)


@virtual
async def test_without_a_window_nothing_is_merged() -> None:
    log = open_log()
    say(log, "a", "b", "c")
    assert deltas(log) == ["a", "b", "c"]


@virtual
async def test_any_other_event_lets_held_text_out_first() -> None:
    log = open_log(window=0.02)
    say(log, "a", "b")
    log.append(events.TextFinished("a"))
    assert kinds(log.feed.events)[-3:] == ["TextDelta", "TextDelta", "TextFinished"]


@virtual
async def test_a_delta_that_is_too_long_for_a_row_is_split() -> None:
    log = open_log()
    text = "x" * (2 * MAX_DELTA + 5)
    say(log, text)
    assert [len(each) for each in deltas(log)] == [MAX_DELTA, MAX_DELTA, 5]


@virtual
async def test_merged_text_is_let_out_before_it_is_too_long() -> None:
    log = open_log(window=1.0)
    say(log, "first", *["y" * 1000] * 20)
    await asyncio.sleep(1.1)
    assert max(len(each) for each in deltas(log)) <= MAX_DELTA
    assert "".join(deltas(log)) == "first" + "y" * 20_000


@virtual
async def test_an_event_out_of_order_is_refused_and_not_numbered() -> None:
    log = open_log()
    with pytest.raises(IllegalEvent):
        log.append(events.TurnFinished())
    assert log.feed.last_number == 3


@given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.sampled_from([0.0, 0.005, 0.03]))))
def test_whatever_is_merged_the_joined_text_is_the_same(said: list[tuple[str, float]]) -> None:
    @virtual
    async def check() -> None:
        log = open_log(window=0.02)
        for text, pause in said:
            say(log, text)
            await asyncio.sleep(pause)
        finish(log)
        grammar = Grammar()
        for _, event in log.feed.events:
            grammar.accept(event)
        assert text_of(log.feed.events) == "".join(text for text, _ in said)

    check()


@virtual
async def test_following_after_every_number_gives_exactly_the_rest() -> None:
    log = open_log()
    say(log, "a", "b", "c")
    finish(log)
    for after in (*range(len(log.feed.events)), TERMINAL_NUMBER):
        expected = [each for each in log.feed.events if each.number > after]
        assert await read(log.feed, after=after) == expected


@virtual
async def test_a_follower_gets_events_as_they_come_and_a_late_one_gets_them_all() -> None:
    log = open_log()
    early = asyncio.create_task(read(log.feed))
    await asyncio.sleep(0.1)
    say(log, "a")
    await asyncio.sleep(0.1)
    say(log, "b")
    finish(log)
    assert await early == await read(log.feed) == log.feed.events


@virtual
async def test_a_follower_that_leaves_changes_nothing() -> None:
    log = open_log()
    await read(log.feed, until=2)
    assert log.feed.followers == 0
    finish(log)
    assert kinds(await read(log.feed))[-1] == "TurnFinished"


@virtual
async def test_silence_is_an_empty_batch_for_every_idle_period() -> None:
    log = open_log()
    batches = log.feed.follow(idle=15)
    await anext(batches)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await anext(batches) == ()
    assert loop.time() - began == pytest.approx(15, abs=0.01)
    assert await anext(batches) == ()
    assert loop.time() - began == pytest.approx(30, abs=0.01)
    await batches.aclose()


@virtual
async def test_an_event_starts_the_silence_anew() -> None:
    log = open_log()
    batches = log.feed.follow(idle=15)
    loop = asyncio.get_running_loop()
    await anext(batches)
    loop.call_later(10, say, log, "x")
    assert len(await anext(batches)) == 1
    began = loop.time()
    assert await anext(batches) == ()
    assert loop.time() - began == pytest.approx(15, abs=0.01)
    await batches.aclose()


@virtual
async def test_a_feed_that_fails_gives_what_it_has_and_then_the_error() -> None:
    log = open_log()
    log.feed.fail(StoreUnavailable())
    batches = log.feed.follow()
    assert len(await anext(batches)) == 3
    with pytest.raises(StoreUnavailable):
        await anext(batches)


@virtual
async def test_publishing_what_is_there_already_changes_nothing() -> None:
    log = open_log()
    before = list(log.feed.events)
    log.feed.publish(before)
    assert log.feed.events == before


OPENINGS = [
    (events.TextDelta("a", "x"), None),
    (events.TurnFinished(), None),
    (events.TurnFailed("X", "x", True, 503), events.TurnFailed("X", "x", True, 503)),
]


@pytest.mark.parametrize(("event", "expected"), OPENINGS)
def test_the_opening_of_a_feed_is_the_first_thing_said_or_the_failure(
    event: events.TurnEvent, expected: events.TurnFailed | None
) -> None:
    @virtual
    async def check() -> None:
        feed = EventFeed([NumberedEvent(1, STARTED)])
        loop = asyncio.get_running_loop()
        number = TERMINAL_NUMBER if type(event) in events.TERMINAL_TYPES else 2
        loop.call_later(3, feed.publish, [NumberedEvent(number, event)])
        began = loop.time()
        assert await feed.opening(10) == expected
        assert loop.time() - began == pytest.approx(3, abs=0.01)

    check()


@virtual
async def test_the_opening_is_waited_for_no_longer_than_asked() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await EventFeed([NumberedEvent(1, STARTED)]).opening(10) is None
    assert loop.time() - began == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize("event", SAMPLES.values(), ids=lambda event: type(event).__name__)
def test_every_event_survives_json(event: events.TurnEvent) -> None:
    assert event_from_json(event_to_json(NumberedEvent(7, event))) == NumberedEvent(7, event)


def test_a_field_of_a_newer_version_is_ignored() -> None:
    row = event_to_json(NumberedEvent(1, events.Progress(5))) | {"note": "new"}
    assert event_from_json(row).event == events.Progress(5)
