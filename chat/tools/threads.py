"""Threads for tools that block, shared fairly among those who ask."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chat.blocking import start_in_thread
from chat.tools.fair import FairSlots, Shares

THREAD = "blocking call"
SHARES = Shares(slots=16, slots_each=4, waiting=128, waiting_each=32)


class BlockingCalls:
    """Each call has a thread, which nobody can stop: it has its slot until it ends, even when nobody waits for it any
    more."""

    def __init__(self, shares: Shares = SHARES) -> None:
        self._slots = FairSlots(shares)

    async def run[T](self, user_id: str, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """What the function returns or raises. ToolError when too many calls wait."""
        await self._slots.take(user_id)
        release = partial(self._slots.release, user_id)
        try:
            answer = start_in_thread(THREAD, partial(function, *args, **named), ended=release)
        except RuntimeError:  # the system has no more
            release()
            raise
        return await answer
