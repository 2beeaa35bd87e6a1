"""Times and ids."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.clock import ALPHABET, SystemClock, UlidIds, derived_id, from_iso, iso

MOMENT = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
moments = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))


class SetClock(SystemClock):
    """A clock that is set by hand."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def test_the_alphabet_is_crockfords() -> None:
    assert sorted(ALPHABET) == list(ALPHABET)
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), MOMENT, LAST])
def test_an_id_has_26_letters_of_the_alphabet(moment: datetime) -> None:
    assert re.fullmatch(f"[0-7][{ALPHABET}]{{25}}", UlidIds(SetClock(moment)).new())


def test_the_time_in_an_id_is_that_of_the_specification() -> None:
    """The example of the specification: 1469918176385 is 01ARYZ6S41."""
    moment = datetime.fromtimestamp(1_469_918_176, UTC) + timedelta(milliseconds=385)
    assert UlidIds(SetClock(moment)).new().startswith("01ARYZ6S41")


def test_ids_of_one_millisecond_differ() -> None:
    ids = UlidIds(SetClock(MOMENT))
    assert len({ids.new() for _ in range(1000)}) == 1000


def test_an_id_that_is_derived_is_the_same_again_and_another_for_another_name() -> None:
    derived = derived_id(MOMENT, "one")
    assert derived == derived_id(MOMENT, "one") != derived_id(MOMENT, "two")
    assert derived[:10] == UlidIds(SetClock(MOMENT)).new()[:10]
    assert derived_id(MOMENT + timedelta(hours=1), "one")[10:] == derived[10:]


@given(moments, st.integers(1, 10**9))
def test_an_id_of_a_later_millisecond_sorts_later(moment: datetime, later: int) -> None:
    clock = SetClock(moment)
    ids = UlidIds(clock)
    before = ids.new()
    clock.moment = min(moment + timedelta(milliseconds=later), LAST)
    assert before < ids.new()


def test_times_are_shown_in_utc_with_milliseconds() -> None:
    assert iso(MOMENT) == "2026-11-20T08:15:00.000Z"
    assert iso(MOMENT.astimezone(timezone(timedelta(hours=9)))) == "2026-11-20T08:15:00.000Z"


@given(moments)
def test_a_time_comes_back_from_its_text(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert from_iso(iso(moment)) == moment


def test_the_system_clock_is_aware_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() <= clock.monotonic()
