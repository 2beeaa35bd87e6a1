"""The tables keep the rules of the ports, against the real SDK and Azurite."""

import pytest

from tests.store.conftest import OpenStorage
from tests.store.contract import (
    ConversationStoreContract,
    InstanceStoreContract,
    Stores,
    TurnStoreContract,
)


class TableStoreFixture:
    @pytest.fixture
    async def store(self, open_storage: OpenStorage) -> Stores:
        storage = open_storage()
        return Stores(storage.conversations, storage.turns, storage.instances)


class TestTableConversations(TableStoreFixture, ConversationStoreContract):
    pass


class TestTableTurns(TableStoreFixture, TurnStoreContract):
    pass


class TestTableInstances(TableStoreFixture, InstanceStoreContract):
    pass
