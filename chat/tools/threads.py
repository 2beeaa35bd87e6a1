"""Threads for functions that block: not asyncio's own, in which every connection looks up names."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from chat.tools.fair import FairSlots, Shares

THREAD = "blocking call"
SHARES = Shares(slots=16, slots_each=4, waiting=128, waiting_each=32)


class BlockingCalls:
    """Each call has a thread, which nobody can stop: it has its slot until it ends, even when nobody waits for it any
    more. The threads are daemons, so that none of them holds the end of the process."""

    def __init__(self, shares: Shares = SHARES) -> None:
        self._slots = FairSlots(shares)

    async def run[T](self, user_id: str, function: Callable[..., T], *args: Any, **named: Any) -> T:
        """What the function returns or raises. ToolError when too many calls wait."""
        await self._slots.take(user_id)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def end(set_answer: Callable[[], None]) -> None:
            self._slots.release(user_id)
            if not answer.done():
                set_answer()

        call = partial(copy_context().run, function, *args, **named)
        try:
            threading.Thread(target=_work, args=(call, answer, loop, end), name=THREAD, daemon=True).start()
        except RuntimeError:  # the system has no more
            self._slots.release(user_id)
            raise
        return await answer


def _work[T](
    call: Callable[[], T],
    answer: asyncio.Future[T],
    loop: asyncio.AbstractEventLoop,
    end: Callable[[Callable[[], None]], None],
) -> None:
    try:
        set_answer = partial(answer.set_result, call())
    except StopIteration:  # no future takes it
        set_answer = partial(answer.set_exception, RuntimeError("StopIteration"))
    except BaseException as error:
        set_answer = partial(answer.set_exception, error)
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
        loop.call_soon_threadsafe(end, set_answer)
