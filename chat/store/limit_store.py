"""The port of what users have used of their limits: one account each, changed under its version by every instance.

The account of EVERYBODY counts what instances took of the budget for all. Beside the account its partition has room for
other rows that are to be written with it, such as those of idempotency keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

EVERYBODY = ""
"""No user has this id."""

NONCES = 16
"""Changes that an account remembers, so that one whose reply got lost is recognised."""


@dataclass(frozen=True, slots=True)
class Override:
    """What one user may instead of what the settings say. None is as the settings say, 0 is without a limit."""

    requests: int | None = None
    per_seconds: float | None = None
    tokens_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of a day."""

    used: int = 0
    held: int = 0  # by turns that run

    @property
    def taken(self) -> int:
        return self.used + self.held


@dataclass(frozen=True, slots=True)
class Account:
    """What a user has used. `version` is opaque: it changes whenever the stored account does."""

    user_id: str
    left: float | None = None  # requests that were in the bucket at `at`; None is a bucket nobody took from
    at: float = 0.0  # seconds since 1970, by the clock of the store
    spent: Mapping[str, Spent] = field(default_factory=dict[str, Spent])  # by day, as `20261120`
    override: Override = Override()
    nonces: tuple[str, ...] = ()  # of the newest changes
    version: str = ""  # "" is one that is not stored yet


class LimitStore(Protocol):
    """The accounts of users, and of EVERYBODY."""

    def now(self) -> datetime:
        """The time, UTC, by the clock of the store, which all instances share: good to a second once it was asked for
        anything."""
        ...

    async def load_account(self, user_id: str) -> Account:
        """The account; an empty one where none is stored. StoreUnavailable."""
        ...

    async def save_account(self, before: Account, after: Account, nonce: str) -> Account:
        """Store what became of an account, all of it or nothing: the account as it is stored then. A change that
        landed although its reply got lost is recognised by its nonce. Days that `after` has no more are removed.
        VersionConflict when it is not any more as it was before; StoreUnavailable."""
        ...
