"""Two instances over one store, without a merge window, and a client at each of them."""

from collections.abc import AsyncGenerator, Generator

import pytest

from tests.support.clients import ChatClient, connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack


@pytest.fixture(scope="package")
def pair() -> Generator[Stack]:
    with Stack.start(2, env={"CHAT_COALESCE_MS": "0", **ONE_ATTEMPT}) as running:
        yield running


@pytest.fixture
async def here(pair: Stack) -> AsyncGenerator[ChatClient]:
    """At the first instance, where the tests start their turns."""
    async with connected(pair.urls[0]) as client:
        yield client


@pytest.fixture
def there(pair: Stack, here: ChatClient) -> ChatClient:
    """At the second."""
    return here.at(pair.urls[1])
