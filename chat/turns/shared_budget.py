"""The budget of a day for all users together. Each instance takes a slice of it from one row and works that off by
itself, so that no request waits for the row that all of them share.

Together they never take more than there is; what an instance that dies had left of its slice is lost for the day.
"""

import asyncio

from chat.clock import Clock
from chat.errors import BudgetSpent, StoreError
from chat.quotas import day_of, until_tomorrow
from chat.store.limit_store import EVERYBODY, Account, LimitStore, Spent
from chat.telemetry import record
from chat.turns.accounts import change_account
from chat.turns.tally import HELD
from chat.turns.tasks import TaskSet

SLICES = 200  # into which a day's budget is cut
LEAST = 500  # tokens of a slice, unless the whole budget is smaller
DRY = 1.0  # seconds for which nobody asks again after nothing was left: others may give back
LAST = 1.0  # seconds to give back what is left when the process ends


class SharedBudget:
    """`total` tokens a day; 0 is without a limit."""

    def __init__(self, store: LimitStore, total: int, clock: Clock) -> None:
        self._store, self._total, self._clock = store, total, clock
        self._slice = max(total // SLICES, min(total, LEAST))
        self._day, self._left = "", 0
        self._dry = float("-inf")  # when nothing was left, monotonic
        self._fetching: asyncio.Task[None] | None = None
        self._tasks = TaskSet()

    @property
    def limited(self) -> bool:
        return self._total > 0

    async def take(self, tokens: int, least: int) -> int:
        """So many, or fewer where there are no more, but at least so many. BudgetSpent; StoreError."""
        if not self.limited:
            return tokens
        while True:
            self._turn_day()
            if self._left >= least:
                break
            if self._clock.monotonic() - self._dry < DRY:
                raise self._refusal()
            await self._fetch(max(self._slice, least - self._left))
        taken = min(tokens, self._left)
        self._left -= taken
        if self._left < self._slice // 2 and self._clock.monotonic() - self._dry >= DRY:
            self._fetch_beside()
        return taken

    def give_back(self, tokens: int) -> None:
        """So many of those that were just taken."""
        if self.limited:
            self._left += tokens

    def settle(self, day: str, *, held: int, used: int) -> None:
        """What a turn held is free again, but for what it used. What it used beyond that is paid by the slice."""
        if self.limited and day == self._day:
            self._left += held - used

    async def aclose(self) -> None:
        """Give back what is left."""
        await self._tasks.close()
        if self._left > 0 and self._day == day_of(self._store.now()):
            left, self._left = self._left, 0
            try:
                async with asyncio.timeout(LAST):
                    await self._change(-left)
            except (StoreError, TimeoutError):
                record("slice_not_given_back", tokens=left)

    def _turn_day(self) -> None:
        day = day_of(self._store.now())
        if day != self._day:
            self._day, self._left, self._dry = day, 0, float("-inf")

    def _refusal(self) -> BudgetSpent:
        """What running turns hold may come back, but not if others hold it; so they come again soon, or tomorrow."""
        spent = self._left <= 0
        return BudgetSpent(
            "The tokens that all users may use in a day are used up.",
            retry_after=float(until_tomorrow(self._store.now())) if spent else HELD,
        )

    async def _fetch(self, tokens: int) -> None:
        """Take the next slice. All who wait share one try."""
        if self._fetching is None or self._fetching.done():
            self._fetching = self._tasks.spawn(self._take_slice(tokens))
        await asyncio.shield(self._fetching)

    def _fetch_beside(self) -> None:
        if self._fetching is None or self._fetching.done():
            self._fetching = self._tasks.spawn(self._take_slice(self._slice))

    async def _take_slice(self, tokens: int) -> None:
        day = self._day
        taken = await self._change(tokens)
        if day != self._day:
            return
        self._left += taken
        if not taken:
            self._dry = self._clock.monotonic()

    async def _change(self, tokens: int) -> int:
        """Take so many from the row, or what is left there, or give back. How many that were."""
        day, moved = self._day, 0

        def change(account: Account) -> Account:
            nonlocal moved
            taken = account.spent.get(day, Spent()).used
            moved = min(tokens, self._total - taken) if tokens > 0 else max(tokens, -taken)
            if moved == 0 or (tokens > 0 and moved < 0):
                moved = 0
                return account
            return Account(
                EVERYBODY,
                spent={day: Spent(taken + moved)},
                nonces=account.nonces,
                version=account.version,
            )

        await change_account(self._store, EVERYBODY, change)
        return moved
