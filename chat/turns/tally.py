"""What requests and turns that ended make of a user's account. Nothing is read or written here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chat.errors import BudgetSpent, LimitReached, RateLimited
from chat.quotas import Rate, Standing, day_of, request_quota, token_quota, until_tomorrow
from chat.store.limit_store import Account, Override, Spent

HELD = 10.0  # seconds after which to ask again where nothing is left but what running turns may give back


@dataclass(frozen=True, slots=True)
class Terms:
    """What a user may: None and 0 are without a limit."""

    rate: Rate | None = None
    tokens: int = 0  # a day


@dataclass(frozen=True, slots=True)
class Taking:
    """A request that starts a turn, or a turn that goes on: `tokens` are to be held for it, or at least so many."""

    requests: int
    tokens: int
    least: int = 1


@dataclass(frozen=True, slots=True)
class Settling:
    """What a turn held and what it really used, on the day on which it took that; requests that come back."""

    day: str
    held: int
    used: int
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was let in. `held` are the tokens that it may use, None without a limit."""

    day: str
    held: int | None
    standing: Standing


def terms_of(override: Override, usual: Terms) -> Terms:
    """What a user may of whom an admin said something."""
    tokens = usual.tokens if override.tokens_per_day is None else override.tokens_per_day
    requests, seconds = override.requests, override.per_seconds
    if requests == 0:
        return Terms(None, tokens)
    if usual.rate is not None:
        requests = usual.rate.requests if requests is None else requests
        seconds = usual.rate.seconds if seconds is None else seconds
    rate = Rate(requests, seconds) if requests is not None and seconds is not None else None
    return Terms(rate, tokens)


class Tally:
    """An account, and what becomes of it at a time."""

    def __init__(self, account: Account, usual: Terms, now: datetime) -> None:
        self.terms = terms_of(account.override, usual)
        self._before, self._usual, self._now = account, usual, now
        self._left = _refilled(account, self.terms.rate, now)
        self._took = False  # from the bucket, or gave back to it
        self._spent = dict(account.spent)
        self.day = day_of(now)

    @property
    def after(self) -> Account:
        """The account as it is then; the same one when nothing happened. Days before yesterday are forgotten."""
        if not self._took and self._spent == self._before.spent:
            return self._before
        yesterday = day_of(self._now - timedelta(days=1))
        spent = {day: each for day, each in self._spent.items() if day >= yesterday}
        if not self._took:
            return replace(self._before, spent=spent)
        return replace(self._before, left=self._left, at=self._at, spent=spent)

    @property
    def standing(self) -> Standing:
        """How the user's limits stand."""
        rate, tokens = self.terms.rate, self.terms.tokens
        return Standing(
            request_quota(rate, self._left) if rate else None,
            token_quota(tokens, self.today.taken, self._now) if tokens else None,
        )

    def take(self, taking: Taking) -> Taken | LimitReached:
        """Let a request in, or say why not."""
        rate, tokens = self.terms.rate, self.terms.tokens
        if rate and self._left < taking.requests:
            wait = (taking.requests - self._left) / rate.a_second
            return RateLimited(
                f"Only {rate.requests} requests in {rate.seconds:.15g} s: wait a little.",
                retry_after=round(wait, 3),
                standing=self.standing,
            )
        left = tokens - self.today.taken
        if tokens and left < taking.least:
            spent = self.today.used + taking.least > tokens
            return BudgetSpent(
                retry_after=float(until_tomorrow(self._now)) if spent else HELD, standing=self.standing
            )
        if rate and taking.requests:
            self._left -= taking.requests
            self._took = True
        held = min(taking.tokens, left) if tokens else None
        if held is not None:
            self._add(self.day, held=held)
        return Taken(self.day, held, self.standing)

    def overridden(self, override: Override) -> Account:
        """The account under what an admin says. What that gives more is in the bucket at once."""
        before, after = self.terms.rate, terms_of(override, self._usual).rate
        account = replace(self._before, override=override)
        if before is None or after is None or account.left is None:
            return account
        more = max(0, after.requests - before.requests)
        return replace(account, left=min(after.requests, self._left + more), at=self._at)

    def settle(self, settling: Settling) -> None:
        """Note what was used."""
        if self.terms.tokens and (settling.held or settling.used):
            self._add(settling.day, held=-settling.held, used=settling.used)
        if settling.requests and self.terms.rate:
            self._left = min(self.terms.rate.requests, self._left + settling.requests)
            self._took = True

    def settle_all(self, settlings: Iterable[Settling]) -> None:
        for each in settlings:
            self.settle(each)

    @property
    def today(self) -> Spent:
        """The tokens of this day."""
        return self._spent.get(self.day, Spent())

    @property
    def _at(self) -> float:
        return max(self._before.at, self._now.timestamp())

    def _add(self, day: str, *, held: int = 0, used: int = 0) -> None:
        before = self._spent.get(day, Spent())
        self._spent[day] = Spent(before.used + used, max(0, before.held + held))


def _refilled(account: Account, rate: Rate | None, now: datetime) -> float:
    """What is in the bucket by now."""
    if rate is None:
        return 0.0
    if account.left is None:
        return float(rate.requests)
    since = max(0.0, now.timestamp() - account.at)
    return min(float(rate.requests), account.left + since * rate.a_second)
