"""Tasks that outlive the invocation that began them."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context


class TaskSet:
    """Holds its tasks until they are done, since the event loop alone would let them be collected. They take none of
    the invocation's context variables along."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def spawn[T](self, coroutine: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """Run something. What it raises goes to whoever awaits the task, and to nobody when nobody does."""
        task = asyncio.create_task(coroutine, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def settle(self, timeout: float) -> None:
        """Wait until all of them are done, at most so many seconds."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    async def close(self) -> None:
        """Cancel what still runs, and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()
