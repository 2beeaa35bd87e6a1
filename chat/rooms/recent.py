"""What many ask for at the same moment, read once for all of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from chat.turns.tasks import TaskSet

FRESH = 1.0  # seconds for which a reading is good
READINGS = 100  # that are kept


class Recent[T]:
    """Readings by their key."""

    def __init__(self) -> None:
        self._readings: OrderedDict[str, tuple[float, asyncio.Task[T]]] = OrderedDict()
        self._tasks = TaskSet()

    async def get(self, key: str, read: Callable[[], Coroutine[object, object, T]]) -> T:
        """What `read` says, or said to another a moment ago."""
        now = asyncio.get_running_loop().time()
        began, reading = self._readings.get(key, (now, None))
        if reading is None or now - began > FRESH or _failed(reading):
            reading = self._tasks.spawn(read())
            self._readings[key] = (now, reading)
            self._readings.move_to_end(key)
            while len(self._readings) > READINGS:
                self._readings.popitem(last=False)
        return await asyncio.shield(reading)

    async def aclose(self) -> None:
        await self._tasks.close()
        self._readings.clear()


def _failed(reading: asyncio.Future[Any]) -> bool:
    return reading.done() and (reading.cancelled() or reading.exception() is not None)
