"""Calls that block, each in a thread of its own: not in asyncio's, in which every connection looks up names."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial


def start_in_thread[T](
    name: str, call: Callable[[], T], *, ended: Callable[[], object] = lambda: None
) -> asyncio.Future[T]:
    """What the call returns or raises; `ended` is called with its end, in the loop. Nobody can stop the thread, but it
    is a daemon, which does not hold the end of the process. RuntimeError when the system has no more."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def end(set_answer: Callable[[], None]) -> None:
        ended()
        if not answer.done():
            set_answer()

    work = partial(_work, partial(copy_context().run, call), answer, loop, end)
    threading.Thread(target=work, name=name, daemon=True).start()
    return answer


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
