"""Azurite for the tests of this folder: one process for all of them, and tables of its own for each test."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count

import pytest

from chat.clock import SystemClock
from chat.store.tables.table_service import TableService
from chat.store.tables.table_storage import TableStorage
from tests.support.azurite import Azurite, missing, running_azurite

NUMBERS = count(1)

type OpenStorage = Callable[..., TableStorage]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    if reason := missing():
        pytest.skip(f"Azurite is not installed ({reason}); `make test` installs it")
    with running_azurite() as service:
        yield service


@pytest.fixture
def prefix() -> str:
    return f"test{next(NUMBERS)}"


@pytest.fixture
async def open_storage(azurite: Azurite, prefix: str) -> AsyncGenerator[OpenStorage]:
    """Opens the tables of this test, as often as processes shall be played; closes all at its end."""
    async with AsyncExitStack() as stack:

        def open_storage(connection_string: str = "") -> TableStorage:
            values = {"": connection_string or azurite.connection_string}
            storage = TableStorage(TableService(values, prefix), SystemClock())
            stack.push_async_callback(storage.aclose)
            return storage

        yield open_storage
