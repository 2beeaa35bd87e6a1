"""The arithmetic of limits: buckets that fill, budgets of days, what is held and what is settled."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat.errors import BudgetSpent, LimitReached, RateLimited
from chat.quotas import Quota, Rate, request_quota, token_quota
from chat.store.limit_store import Account, Override, Spent
from chat.turns.tally import HELD, Settling, Taken, Taking, Tally, Terms, terms_of

NOW = datetime(2026, 11, 20, 22, 0, 0, tzinfo=UTC)
TODAY, YESTERDAY = "20261120", "20261119"
TEN = Rate(10, 60)
BOTH = Terms(TEN, 1000)


def tally(terms: Terms = BOTH, *, at: float = 0.0, **fields: Any) -> Tally:
    """The account as it was `at` seconds ago."""
    return Tally(Account("ann", at=NOW.timestamp() - at, **fields), terms, NOW)


@pytest.mark.parametrize(
    ("left", "ago", "let_in"),
    [
        (None, 0, 10),
        (10.0, 0, 10),
        (0.0, 0, 0),
        (0.9, 0, 0),
        (0.0, 5.9, 0),
        (0.0, 6.0, 1),
        (0.0, 13, 2),
        (3.0, 900, 10),
    ],
)
def test_a_bucket_lets_in_what_is_in_it_and_fills_with_time(
    left: float | None, ago: float, let_in: int
) -> None:
    here = tally(Terms(TEN), left=left, at=ago)
    outcomes = [here.take(Taking(1, 0)) for _ in range(12)]
    assert [isinstance(each, Taken) for each in outcomes] == [True] * let_in + [False] * (12 - let_in)


def test_a_clock_that_goes_back_fills_nothing_and_takes_nothing_away() -> None:
    here = tally(Terms(TEN), left=1.0, at=-30)
    assert isinstance(here.take(Taking(1, 0)), Taken)
    assert (here.after.left, here.after.at) == (0.0, NOW.timestamp() + 30)


@pytest.mark.parametrize(
    ("before", "override", "left", "after"),
    [
        (TEN, Override(requests=15), 0.0, 5.0),  # what is more is there at once
        (TEN, Override(requests=15), 4.0, 9.0),
        (TEN, Override(requests=3), 10.0, 3.0),
        (TEN, Override(requests=3), 0.0, 0.0),
        (TEN, Override(per_seconds=1), 0.0, 0.0),
        (TEN, Override(requests=15), None, 15.0),
        (None, Override(requests=15, per_seconds=60), None, 15.0),
    ],
)
def test_what_an_admin_gives_is_in_the_bucket_at_once(
    before: Rate | None, override: Override, left: float | None, after: float
) -> None:
    account = tally(Terms(before), left=left).overridden(override)
    assert (standing := Tally(account, Terms(before), NOW).standing.requests)
    assert standing.left == after


def test_a_long_time_is_told_in_plain_figures() -> None:
    refused = tally(Terms(Rate(10, 31_536_000)), left=0.0).take(Taking(1, 0))
    assert isinstance(refused, RateLimited) and "10 requests in 31536000 s" in str(refused)


def test_who_is_refused_learns_when_to_come_back() -> None:
    refused = tally(Terms(TEN), left=0.25).take(Taking(1, 0))
    assert isinstance(refused, RateLimited) and refused.retry_after == 4.5
    assert refused.standing and refused.standing.requests == Quota(10, 0, 60, more=5, whole=59)


def test_a_refused_request_changes_nothing() -> None:
    here = tally(left=0.0, spent={TODAY: Spent(5)})
    before = here.after
    assert isinstance(here.take(Taking(1, 10)), LimitReached)
    assert here.after is before


@pytest.mark.parametrize(
    ("spent", "wanted", "least", "held"),
    [
        (Spent(), 300, 1, 300),
        (Spent(800), 300, 1, 200),
        (Spent(0, 999), 300, 1, 1),
        (Spent(800, 100), 300, 101, None),
        (Spent(1000), 300, 1, None),
        (Spent(2000), 300, 1, None),
    ],
)
def test_a_turn_holds_what_is_left_of_the_day(
    spent: Spent, wanted: int, least: int, held: int | None
) -> None:
    taken = tally(spent={TODAY: spent}).take(Taking(1, wanted, least))
    assert (taken.held if isinstance(taken, Taken) else None) == held


@pytest.mark.parametrize(("spent", "wait"), [(Spent(1000), 7200.0), (Spent(400, 600), HELD)])
def test_an_empty_budget_says_when_there_is_more(spent: Spent, wait: float) -> None:
    refused = tally(spent={TODAY: spent}).take(Taking(1, 1))
    assert isinstance(refused, BudgetSpent) and refused.retry_after == wait


def test_a_request_that_the_budget_refuses_costs_no_request() -> None:
    here = tally(left=5.0, spent={TODAY: Spent(1000)})
    here.take(Taking(1, 1))
    assert here.standing.requests and here.standing.requests.left == 5


def test_what_was_really_used_takes_the_place_of_what_was_held() -> None:
    here = tally(spent={TODAY: Spent(10, 300)})
    here.settle_all([Settling(TODAY, 200, 50), Settling(TODAY, 100, 120)])
    assert here.after.spent == {TODAY: Spent(180, 0)}


def test_a_turn_over_midnight_is_settled_on_the_day_on_which_it_began() -> None:
    here = tally(spent={YESTERDAY: Spent(10, 300)})
    here.settle(Settling(YESTERDAY, 300, 200))
    taken = here.take(Taking(1, 100))
    assert isinstance(taken, Taken) and taken.held == 100
    assert here.after.spent == {YESTERDAY: Spent(210), TODAY: Spent(0, 100)}


def test_days_before_yesterday_are_forgotten_with_the_next_change() -> None:
    here = tally(spent={"20261118": Spent(10, 300), YESTERDAY: Spent(1)})
    here.take(Taking(1, 100))
    assert here.after.spent.keys() == {YESTERDAY, TODAY}


def test_requests_that_come_back_do_not_overfill_the_bucket() -> None:
    here = tally(left=9.5)
    here.settle(Settling(TODAY, 0, 0, requests=1))
    assert here.after.left == 10.0


DEFAULT = Terms(Rate(10, 60), 1000)
TERMS = [
    (Override(), DEFAULT, DEFAULT),
    (Override(5), DEFAULT, Terms(Rate(5, 60), 1000)),
    (Override(None, 30), DEFAULT, Terms(Rate(10, 30), 1000)),
    (Override(0), DEFAULT, Terms(None, 1000)),
    (Override(tokens_per_day=7), DEFAULT, Terms(Rate(10, 60), 7)),
    (Override(tokens_per_day=0), DEFAULT, Terms(Rate(10, 60), 0)),
    (Override(5, 1), Terms(), Terms(Rate(5, 1))),
    (Override(5), Terms(), Terms()),
]


@pytest.mark.parametrize(("override", "usual", "found"), TERMS)
def test_what_an_admin_says_of_a_user_counts_before_the_settings(
    override: Override, usual: Terms, found: Terms
) -> None:
    assert terms_of(override, usual) == found


def test_without_limits_nothing_is_held_or_written() -> None:
    here = tally(Terms())
    taken = here.take(Taking(1, 100))
    assert isinstance(taken, Taken) and taken.held is None
    assert here.after.version == "" and not here.after.spent


def test_a_full_bucket_has_nothing_to_come() -> None:
    assert request_quota(TEN, 10.0) == Quota(10, 10, 60, 0, 0)
    assert request_quota(TEN, 9.0) == Quota(10, 9, 60, 6, 6)
    assert request_quota(TEN, 2.5) == Quota(10, 2, 60, 3, 45)
    assert token_quota(100, 0, NOW + timedelta(hours=1)) == Quota(100, 100, 86400, 0, 0)
    assert token_quota(100, 130, NOW) == Quota(100, 0, 86400, 7200, 7200)
