"""Two instances over one store, without a merge window, so that words and events are one to one."""

from collections.abc import AsyncGenerator, Generator

import pytest
from openai import AsyncOpenAI

from tests.clients.openai_responses.steps import client_of
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack


@pytest.fixture(scope="package")
def pair() -> Generator[Stack]:
    with Stack.start(2, env={"CHAT_COALESCE_MS": "0", **ONE_ATTEMPT}) as running:
        yield running


@pytest.fixture
async def openai(pair: Stack) -> AsyncGenerator[AsyncOpenAI]:
    """At the first instance."""
    async with client_of(pair.urls[0]) as client:
        yield client


@pytest.fixture
async def there(pair: Stack) -> AsyncGenerator[AsyncOpenAI]:
    """At the second."""
    async with client_of(pair.urls[1]) as client:
        yield client
