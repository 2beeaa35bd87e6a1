"""The tables keep the rules of the ports, against the real SDK and Azurite."""

from datetime import UTC, datetime, timedelta

import pytest

from chat.store.table_client import age_of
from chat.store.table_storage import TableStorage
from tests.store.builders import Stores, ending, new_session, new_turn, said
from tests.store.conftest import OpenStorage
from tests.store.contract import ConversationStoreContract, InstanceStoreContract
from tests.store.room_contract import MembersContract, PresenceContract, WaitingContract
from tests.store.turn_contract import TurnStoreContract


class TableStoreFixture:
    @pytest.fixture
    async def store(self, open_storage: OpenStorage) -> Stores:
        storage = open_storage()
        return Stores(
            storage.conversations, storage.turns, storage.instances, storage.presence, storage.errands
        )


class TestTableConversations(TableStoreFixture, ConversationStoreContract):
    pass


class TestTableTurns(TableStoreFixture, TurnStoreContract):
    pass


class TestTableInstances(TableStoreFixture, InstanceStoreContract):
    pass


class TestTableMembers(TableStoreFixture, MembersContract):
    pass


class TestTableWaiting(TableStoreFixture, WaitingContract):
    pass


class TestTablePresence(TableStoreFixture, PresenceContract):
    pass


def ports_of(storage: TableStorage) -> Stores:
    return Stores(storage.conversations, storage.turns, storage.instances, storage.presence, storage.errands)


async def test_the_head_carries_the_version_of_the_schema(open_storage: OpenStorage) -> None:
    storage = open_storage()
    session = await new_session(ports_of(storage))
    row = await storage.service.sessions.get(session.id, "session")
    assert row is not None
    assert row.values["schema"] == 1


async def test_an_ended_turn_has_one_row_of_usage_that_says_what_was_stored(
    open_storage: OpenStorage,
) -> None:
    storage = open_storage()
    store = ports_of(storage)
    started = await new_turn(store)
    first = ending(started)
    await store.turns.end_turn(first)
    assert first.ended.ended_at
    late = ending(started, state="failed", ended_at=first.ended.ended_at + timedelta(days=2))
    await store.turns.end_turn(late)
    [row] = await storage.service.usage.rows(f"RowKey eq '{started.turn.id}'")
    assert (row.values["state"], row.values["ended_at"]) == ("finished", first.ended.ended_at)
    assert row.partition.startswith("20261120-")


@pytest.mark.parametrize(
    "user_id", ["a/b\\c#d?e%f+g", "ann@example.com", "语言" * 100, "\ue000\x00'\U0010ffff" * 60]
)
async def test_any_user_id_can_own_sessions(open_storage: OpenStorage, user_id: str) -> None:
    conversations = open_storage().conversations
    session = await new_session(ports_of(open_storage()), "one", user=user_id)
    await conversations.append_messages(user_id, session.id, [said("two")])
    listed = (await conversations.list_sessions(user_id, limit=9)).items
    assert [(each.id, each.user_id) for each in listed] == [(session.id, user_id)]
    await conversations.delete_session(user_id, session.id)


@pytest.mark.parametrize(
    ("date", "age"),
    [("Fri, 20 Nov 2026 08:15:12 GMT", 11.5), ("Fri, 20 Nov 2026 08:15:00 GMT", 0.0), ("", 0.0)],
)
def test_the_age_of_a_row_is_by_the_clock_of_the_service(date: str, age: float) -> None:
    assert age_of(datetime(2026, 11, 20, 8, 15, 0, 500_000, tzinfo=UTC), date) == age
