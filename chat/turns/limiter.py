"""The door to limits: who asks for a turn gets an allowance here. Without limits there is nothing to ask."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from chat.clock import Clock
from chat.errors import Conflict
from chat.settings import Settings
from chat.store.limit_store import Account, LimitStore, Override
from chat.turns.accounts import Accounts
from chat.turns.allowance import FREE, STEP, Allowance, Hold, Ledger, LimitedAllowance
from chat.turns.shared_budget import SharedBudget
from chat.turns.tally import Settling, Taking, Tally, Terms
from chat.turns.tasks import TaskSet

FIRST = 1000  # tokens that a turn holds at first, where nothing is known of its user
ROOM = 1.25  # of what the user's last turn used, which the next one holds at first
KNOWN = 10_000  # users of whom that is known


class Limiter(Protocol):
    """What users may, and how they stand."""

    @property
    def on(self) -> bool:
        """Whether there are any limits."""
        ...

    def ask(self, user_id: str, *, requests: int = 1) -> Allowance:
        """Begin to take a request, and tokens for its turn; what comes of it is `granted`."""
        ...

    async def look(self, user_id: str) -> Tally:
        """How a user stands. StoreError."""
        ...

    async def override(self, user_id: str, override: Override) -> Tally:
        """What a user may from now on. Conflict without limits; StoreError."""
        ...

    async def aclose(self) -> None:
        """Note what is to be noted."""
        ...


class NoLimiter(Limiter):
    """Where the settings name no limit: that costs nothing."""

    @property
    def on(self) -> bool:
        return False

    def ask(self, user_id: str, *, requests: int = 1) -> Allowance:
        return FREE

    async def look(self, user_id: str) -> Tally:
        return Tally(Account(user_id), Terms(), datetime.now(UTC))

    async def override(self, user_id: str, override: Override) -> Tally:
        raise Conflict("Nothing is limited here: see the setting CHAT_LIMIT_REQUESTS.")

    async def aclose(self) -> None:
        return


class StoredLimiter(Limiter, Ledger):
    """Limits that all instances share. `budget` is the one of all users together, 0 without."""

    def __init__(self, store: LimitStore, usual: Terms, *, budget: int, clock: Clock) -> None:
        self._accounts = Accounts(store, usual, clock)
        self._shared = SharedBudget(store, budget, clock)
        self._tasks = TaskSet()
        self._used: OrderedDict[str, int] = OrderedDict()  # by the last turn of a user

    @property
    def on(self) -> bool:
        return True

    def ask(self, user_id: str, *, requests: int = 1) -> Allowance:
        expected = max(STEP, round(self._used.get(user_id, FIRST / ROOM) * ROOM))
        return LimitedAllowance(
            self, self._tasks, user_id, Taking(requests, expected), on_settled=self._learns(user_id)
        )

    async def look(self, user_id: str) -> Tally:
        return await self._accounts.look(user_id)

    async def override(self, user_id: str, override: Override) -> Tally:
        return await self._accounts.override(user_id, override)

    async def take(self, user_id: str, taking: Taking) -> Hold:
        """From the budget for all, mostly without any waiting, and from the user's account."""
        shared = await self._shared.take(taking.tokens, taking.least)
        try:
            taken = await self._accounts.take(user_id, replace(taking, tokens=shared))
        except BaseException:
            self._shared.give_back(shared)
            raise
        if taken.held is not None:
            self._shared.give_back(shared - taken.held)
            return Hold(taken.day, taken.held, taken.standing)
        return Hold(taken.day, shared if self._shared.limited else None, taken.standing)

    def settle(self, user_id: str, hold: Hold, *, used: int, requests: int = 0) -> None:
        held = hold.tokens or 0
        self._shared.settle(hold.day, held=held, used=used)
        self._accounts.settle(user_id, Settling(hold.day, held, used, requests))

    async def aclose(self) -> None:
        await self._tasks.close()
        await self._accounts.aclose()
        await self._shared.aclose()

    def _learns(self, user_id: str) -> Callable[[int], None]:
        def learn(used: int) -> None:
            self._used[user_id] = used
            self._used.move_to_end(user_id)
            if len(self._used) > KNOWN:
                self._used.popitem(last=False)

        return learn


def open_limiter(settings: Settings, store: LimitStore, clock: Clock) -> Limiter:
    """What counts requests and tokens, where the settings name a limit."""
    if not (settings.limit_requests or settings.user_budget or settings.budget):
        return NoLimiter()
    usual = Terms(settings.limit_requests, settings.user_budget)
    return StoredLimiter(store, usual, budget=settings.budget, clock=clock)
