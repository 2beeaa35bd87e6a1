"""One stack for the tests of the HTTP edge, with a model that must not think long, and a view of its tables."""

from collections import Counter
from collections.abc import AsyncGenerator, Generator

import pytest
from azure.data.tables import TableServiceClient

from tests.support.clients import ChatClient, connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

FIRST_TOKEN = "0.6"  # seconds


@pytest.fixture(scope="package")
def stack() -> Generator[Stack]:
    with Stack.start(env={"AZURE_AI_FIRST_TOKEN_TIMEOUT_S": FIRST_TOKEN, **ONE_ATTEMPT}) as running:
        yield running


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(stack.url) as connection:
        yield connection


class Tables:
    """What is stored, as Azurite shows it."""

    def __init__(self, service: TableServiceClient) -> None:
        self._service = service

    def rows(self) -> Counter[str]:
        """How many rows there are by table, without leases, events, and what is due one day: they change while a turn
        runs, whatever else is asked for."""
        return Counter(
            table.name
            for table in self._service.list_tables()
            for row in self._service.get_table_client(table.name).list_entities(
                select=["PartitionKey", "RowKey"]
            )
            if table.name != "chatinstances"
            and not row["RowKey"].startswith("e-")
            and not row["PartitionKey"].startswith("due-")
        )


@pytest.fixture(scope="package")
def tables(stack: Stack) -> Generator[Tables]:
    with TableServiceClient.from_connection_string(stack.storage) as service:
        yield Tables(service)
