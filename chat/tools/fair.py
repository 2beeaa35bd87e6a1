"""Work of which only so much may be done at a time, shared out among users in turn."""

import asyncio
from collections import Counter, deque
from dataclasses import dataclass

from chat.tools.base import ToolError

BUSY = "Not run: too much is waiting already. Try again in a while."


@dataclass(frozen=True, slots=True)
class Shares:
    """How much is done at a time, and how much may wait: of all users together, and of one."""

    slots: int
    slots_each: int
    waiting: int
    waiting_each: int


class FairSlots:
    """Who waits is served in turn, user by user: whatever one of them asks for costs another one place in line."""

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._taken: Counter[str] = Counter()
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # the user whose turn is next comes first

    async def take(self, user_id: str) -> None:
        """Returns with a slot, which `release` gives back. ToolError when too many wait."""
        if self._may_take(user_id):  # then nobody waits who could go before
            self._taken[user_id] += 1
            return
        line = self._lines.get(user_id, ())
        full = sum(map(len, self._lines.values())) >= self._shares.waiting
        if full or len(line) >= self._shares.waiting_each:
            raise ToolError(BUSY)
        place = asyncio.get_running_loop().create_future()
        self._lines.setdefault(user_id, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._leave(user_id, place)
            else:  # it was given the slot at the same moment
                self.release(user_id)
            raise

    def release(self, user_id: str) -> None:
        self._taken[user_id] -= 1
        if not self._taken[user_id]:
            del self._taken[user_id]
        self._to_the_end(user_id)
        for user in list(self._lines):
            if self._may_take(user):
                self._serve(user)

    def _may_take(self, user_id: str) -> bool:
        return self._taken.total() < self._shares.slots and self._taken[user_id] < self._shares.slots_each

    def _serve(self, user_id: str) -> None:
        line = self._lines[user_id]
        while line:
            place = line.popleft()
            if not place.done():
                place.set_result(None)
                self._taken[user_id] += 1
                break
        self._to_the_end(user_id)

    def _to_the_end(self, user_id: str) -> None:
        line = self._lines.pop(user_id, None)
        if line:
            self._lines[user_id] = line

    def _leave(self, user_id: str, place: asyncio.Future[None]) -> None:
        line = self._lines.get(user_id, deque[asyncio.Future[None]]())
        if place in line:
            line.remove(place)
        if not line:
            self._lines.pop(user_id, None)
