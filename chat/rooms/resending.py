"""Sends again what the service did not take."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from chat.errors import PushError

LONGEST = 5.0  # seconds between two tries of one frame


async def patiently[T](send: Callable[[], Awaitable[T]], patience: float) -> T:
    """A frame that is left out would be a hole in the answer: it is tried again for so many seconds, and all that come
    after it wait. PushRefused at once, PushError at last."""
    time = asyncio.get_running_loop().time
    deadline = time() + patience
    pause = 0.1
    while True:
        try:
            return await send()
        except PushError as error:
            if not error.retryable or time() > deadline:
                raise
        await asyncio.sleep(random.uniform(pause / 2, pause))
        pause = min(pause * 2, LONGEST)
