"""The accounts of users, as this process changes them: requests of one user that meet here share one batch.

While a batch of a user is on its way, what comes meanwhile gathers for the next one. An account is kept as it was
written last, so that the next batch needs no read; that somebody else changed it is seen by its version.
"""

import asyncio
import random
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import Context

from chat.clock import Clock
from chat.errors import ChatError, StoreConflict, StoreUnavailable, VersionConflict
from chat.store.limit_store import Account, LimitStore, Override
from chat.telemetry import record, record_error
from chat.turns.tally import Settling, Taken, Taking, Tally, Terms
from chat.turns.tasks import TaskSet

ATTEMPTS = 20  # tries that may meet another instance
LONGEST = 0.15  # seconds between two of them, at most
FRESH = 1.0  # seconds for which an account that was read is good enough to refuse by
GATHER = 0.5  # seconds in which ended turns of one user gather, unless a request comes first
AGAIN = 5.0  # seconds until what ended turns used is noted again, after the store was away
GIVEN_UP = 600.0  # seconds of such tries; what the turns held is then theirs for the day
KEPT = 10_000  # users whose account is kept in mind
LAST = 1.0  # seconds that notes have to be written when the process ends

type Asked = tuple[Taking, asyncio.Future[Taken]]


async def change_account(
    store: LimitStore,
    user_id: str,
    change: Callable[[Account], Account],
    *,
    known: Account | None = None,
    fresh: bool = False,
) -> Account:
    """The account as `change` makes it of what is stored; nothing is written where it gives back what it was given.
    `known` is what the caller believes to be stored, and knows when it is `fresh`. StoreConflict, StoreUnavailable."""
    for attempt in range(ATTEMPTS):
        before = known or await store.load_account(user_id)
        after = change(before)
        if after is before:
            if known is None or fresh:
                return before
            known = None
            continue
        try:
            return await store.save_account(before, after, secrets.token_hex(4))
        except VersionConflict:
            known = None
            await asyncio.sleep(random.uniform(0, min(LONGEST, 0.02 * (attempt + 1))))
    raise StoreConflict("Too many requests of one user at once.")


class Accounts:
    """The accounts of all users that this process has to do with."""

    def __init__(self, store: LimitStore, usual: Terms, clock: Clock) -> None:
        self._store, self._usual, self._clock = store, usual, clock
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._tasks = TaskSet()

    async def take(self, user_id: str, taking: Taking) -> Taken:
        """Let a request of a user in. RateLimited, BudgetSpent; StoreError, when nobody can tell."""
        return await self._line(user_id).take(taking)

    def settle(self, user_id: str, settling: Settling) -> None:
        """Note what was used, beside the caller."""
        self._line(user_id).settle(settling)

    async def look(self, user_id: str) -> Tally:
        """How a user stands now. StoreError."""
        return self._tally(await self._store.load_account(user_id))

    async def override(self, user_id: str, override: Override) -> Tally:
        """What this user may from now on, on every instance. StoreError."""

        def overridden(account: Account) -> Account:
            return self._tally(account).overridden(override)

        account = await change_account(self._store, user_id, overridden)
        if line := self._lines.get(user_id):
            line.read_again()
        return self._tally(account)

    async def aclose(self) -> None:
        """Write what is to be noted, if that is done soon."""
        for line in self._lines.values():
            line.hurry()
        await self._tasks.settle(LAST)
        await self._tasks.close()

    def _tally(self, account: Account) -> Tally:
        return Tally(account, self._usual, self._store.now())

    def _line(self, user_id: str) -> "_Line":
        line = self._lines.get(user_id)
        if line is None:
            line = self._lines[user_id] = _Line(user_id, self._store, self._tally, self._clock, self._tasks)
            self._forget()
        self._lines.move_to_end(user_id)
        return line

    def _forget(self) -> None:
        """Of too many users the one who was not heard of for longest."""
        if len(self._lines) > KEPT:
            idle = next((name for name, line in self._lines.items() if line.idle), None)
            if idle is not None:
                del self._lines[idle]


class _Line:
    """What waits for the account of one user."""

    def __init__(
        self,
        user_id: str,
        store: LimitStore,
        tally: Callable[[Account], Tally],
        clock: Clock,
        tasks: TaskSet,
    ) -> None:
        self._user_id, self._store, self._tally, self._clock, self._tasks = (
            user_id,
            store,
            tally,
            clock,
            tasks,
        )
        self._asked: list[Asked] = []
        self._due: list[Settling] = []
        self._hurried = False
        self._failing: float | None = None  # since when what is due cannot be written
        self._timer: asyncio.TimerHandle | None = None
        self._working: asyncio.Task[None] | None = None
        self._account: Account | None = None
        self._read = 0.0

    @property
    def idle(self) -> bool:
        return not (self._asked or self._due) and (self._working is None or self._working.done())

    async def take(self, taking: Taking) -> Taken:
        outcome: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._asked.append((taking, outcome))
        self._work_on()
        return await outcome

    def settle(self, settling: Settling) -> None:
        self._due.append(settling)
        self._ring_in(GATHER)

    def read_again(self) -> None:
        """What was read of the account is no longer so."""
        self._account, self._read = None, 0.0

    def hurry(self) -> None:
        """Note now what is to be noted."""
        if self._due:
            self._hurried = True
            self._work_on()

    def _ring_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ring, context=Context())

    def _ring(self) -> None:
        self._timer = None
        self.hurry()

    def _work_on(self) -> None:
        if self._working is None or self._working.done():
            self._working = self._tasks.spawn(self._work())

    async def _work(self) -> None:
        """One batch after the other, until nobody waits."""
        while self._asked or (self._due and self._hurried):
            asked, self._asked = self._asked, []
            due, self._due, self._hurried = self._due, [], False
            try:
                await self._flush(asked, due)
            except BaseException as error:
                self._failed(asked, due, error)
                if not isinstance(error, Exception):
                    raise

    async def _flush(self, asked: Sequence[Asked], due: Sequence[Settling]) -> None:
        outcomes: list[Taken | ChatError] = []

        def change(account: Account) -> Account:
            tally = self._tally(account)
            tally.settle_all(due)
            outcomes[:] = [tally.take(taking) for taking, _ in asked]
            return tally.after

        fresh = not asked or self._clock.monotonic() - self._read < FRESH
        before, self._account = self._account, None
        account = await change_account(self._store, self._user_id, change, known=before, fresh=fresh)
        if account is not before or not fresh:  # it was read or written just now
            self._read = self._clock.monotonic()
        self._account, self._failing = account, None
        for (_, future), outcome in zip(asked, outcomes, strict=True):
            if not future.done():
                _set(future, outcome)

    def _failed(self, asked: Sequence[Asked], due: list[Settling], error: BaseException) -> None:
        if not isinstance(error, ChatError):
            record_error("limits_failed", error)
        shown = error if isinstance(error, ChatError) else StoreUnavailable()
        for _, future in asked:
            if not future.done():
                _set(future, shown)
        if not due:
            return
        now = self._clock.monotonic()
        self._failing = now if self._failing is None else self._failing
        if now - self._failing < GIVEN_UP:
            self._due = due + self._due
            self._ring_in(AGAIN)
        else:
            record("usage_not_noted", turns=len(due), tokens=sum(each.used for each in due))


def _set(future: asyncio.Future[Taken], outcome: Taken | ChatError) -> None:
    if isinstance(outcome, ChatError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
