"""A question to a model, and its reply read to the end."""

import asyncio
from contextlib import aclosing

from chat.providers.base import ModelDelta, ModelMessage, ModelProvider, ModelRequest

QUESTION = ModelRequest(messages=(ModelMessage("user", "Hi"),))


async def read(
    provider: ModelProvider, request: ModelRequest = QUESTION, *, within: float = 5
) -> list[ModelDelta]:
    """Every delta of one reply."""
    async with asyncio.timeout(within), aclosing(provider.stream(request)) as deltas:
        return [delta async for delta in deltas]


async def read_until_error(
    provider: ModelProvider, *, within: float = 5
) -> tuple[list[ModelDelta], Exception]:
    """The deltas that came before the error, and the error."""
    said: list[ModelDelta] = []
    async with asyncio.timeout(within), aclosing(provider.stream(QUESTION)) as deltas:
        try:
            async for delta in deltas:
                said.append(delta)
        except Exception as error:
            return said, error
    raise AssertionError(f"no error after {said}")
