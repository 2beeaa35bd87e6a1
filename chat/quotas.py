"""What a user may have of what costs, and how much of it is left."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and as many more in so many seconds."""

    requests: int
    seconds: float

    @property
    def a_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True)
class Quota:
    """How one limit stands."""

    limit: int
    left: int
    window: int  # seconds in which `limit` is given
    more: int  # seconds until there is more than is left now; 0 when all of it is left
    whole: int  # seconds until all of it is there again


@dataclass(frozen=True, slots=True)
class Standing:
    """How a user's limits stand; None is one that there is not."""

    requests: Quota | None = None
    tokens: Quota | None = None


def request_quota(rate: Rate, left: float) -> Quota:
    """The bucket of a user, with so much in it."""
    missing = max(0.0, rate.requests - left)
    more = 1.0 - (left - math.floor(left)) if missing else 0.0
    return Quota(
        rate.requests,
        max(0, math.floor(left)),
        math.ceil(rate.seconds),
        math.ceil(more / rate.a_second),
        math.ceil(missing / rate.a_second),
    )


def token_quota(limit: int, taken: int, now: datetime) -> Quota:
    """The budget of a day of which so much is taken."""
    until = until_tomorrow(now) if taken else 0
    return Quota(limit, max(0, limit - taken), DAY, until, until)


def until_tomorrow(now: datetime) -> int:
    """Seconds until the day ends, UTC."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return math.ceil((midnight - now).total_seconds())


def day_of(now: datetime) -> str:
    """`20261120`"""
    return f"{now:%Y%m%d}"
