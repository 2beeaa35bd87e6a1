"""The tables keep the rules of the ports, against the real SDK and Azurite."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from chat.errors import StoreRefused
from chat.store.drafts import directory_key
from chat.store.key_store import KeyStore
from chat.store.presence_store import Connection, Person, Ticket
from chat.store.tables.table_client import upserting
from chat.store.tables.table_lists import READS
from chat.store.tables.table_reads import Row, age_of
from tests.store.audit_contract import AuditContract
from tests.store.builders import NOW, Stores, ending, new_session, new_turn, ports_of, said, turn_draft
from tests.store.conftest import OpenStorage
from tests.store.contract import ConversationStoreContract, InstanceStoreContract
from tests.store.key_contract import KeyContract
from tests.store.member_contract import InvitationsContract, MembersContract, OwnersContract
from tests.store.request_contract import RequestContract
from tests.store.room_contract import PresenceContract, WaitingContract
from tests.store.turn_contract import TurnStoreContract
from tests.store.unlisted_contract import UnlistedContract
from tests.support.members import let_into


class TableStoreFixture:
    @pytest.fixture
    async def store(self, open_storage: OpenStorage) -> Stores:
        return ports_of(open_storage())


class TestTableConversations(TableStoreFixture, ConversationStoreContract):
    pass


class TestTableTurns(TableStoreFixture, TurnStoreContract):
    pass


class TestTableUnlisted(TableStoreFixture, UnlistedContract):
    pass


class TestTableInstances(TableStoreFixture, InstanceStoreContract):
    pass


class TestTableMembers(TableStoreFixture, MembersContract):
    pass


class TestTableInvitations(TableStoreFixture, InvitationsContract):
    pass


class TestTableOwners(TableStoreFixture, OwnersContract):
    pass


class TestTableWaiting(TableStoreFixture, WaitingContract):
    pass


class TestTableAudit(TableStoreFixture, AuditContract):
    pass


class TestTableRequests(TableStoreFixture, RequestContract):
    pass


class TestTablePresence(TableStoreFixture, PresenceContract):
    pass


class TestTableKeys(KeyContract):
    @pytest.fixture
    async def keys(self, open_storage: OpenStorage) -> KeyStore:
        return open_storage().keys


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
    "user_id",
    [
        "a/b\\c#d?e%f+g",
        "ann@example.com",
        "Zoë O'Neil",
        " a%2Fb ",
        "..",
        "".join(map(chr, (*range(1, 0x20), *range(0x7F, 0xA0)))),
        "语言" * 100,
        "\ue000\x00'\U0010ffff" * 60,
        "\U0001f600" * 255,  # 510 UTF-16 units, and 1,020 bytes of UTF-8
        "\ue100" * 255,  # as long as a key can get: with a prefix of two, 512 units
        "/" * 255,
    ],
)
async def test_any_user_id_can_do_everything(open_storage: OpenStorage, user_id: str) -> None:
    storage = open_storage()
    store = ports_of(storage)
    conversations, presence = storage.conversations, storage.presence
    session = await new_session(store, "one", user=user_id)
    await conversations.append_messages(user_id, session.id, [said("two")])
    listed = (await conversations.list_sessions(user_id, limit=9)).items
    assert [(each.id, each.user_id) for each in listed] == [(session.id, user_id)]

    shared = await new_session(store, user="owner")
    await let_into(store.members, shared.id, user_id, owner="owner")
    assert (await conversations.get_session(user_id, shared.id)).members == {user_id: "editor"}
    assert len((await conversations.list_sessions(user_id, limit=9)).items) == 2

    assert await conversations.claim_session(user_id, user_id, session.id) == session.id
    assert await conversations.claim_session(user_id, user_id, shared.id) == session.id

    ticket = Ticket("t", shared.id, user_id, "chat", NOW)
    await presence.issue(ticket)
    assert await presence.take(shared.id, "t") == ticket
    socket = Connection(user_id[:100], shared.id, user_id, "chat", NOW, NOW)
    await presence.enter(socket)
    assert await presence.connections(shared.id) == (socket,)
    await presence.change_person(shared.id, user_id, lambda _: Person({}, NOW))
    await presence.leave(socket)
    assert (await presence.present(shared.id)).last_seen == {user_id: NOW}

    draft = turn_draft(await conversations.get_session(user_id, session.id))
    started = await store.turns.start_turn(draft)
    await store.turns.end_turn(ending(started))
    assert (await store.turns.get_turn(user_id, started.turn.id)).user_id == user_id

    await store.members.remove_member("owner", shared.id, user_id)
    await conversations.delete_session(user_id, session.id)
    assert (await conversations.list_sessions(user_id, limit=9)).items == ()


async def test_a_user_id_that_fits_into_no_key_is_refused_and_not_taken_for_a_store_that_is_away(
    open_storage: OpenStorage,
) -> None:
    with pytest.raises(StoreRefused):
        await new_session(ports_of(open_storage()), user="x" * 513)


async def test_a_list_reads_so_many_heads_at_once_and_no_more(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    sessions = [await new_session(ports_of(storage)) for _ in range(2 * READS + 5)]
    get, reading, most = storage.service.sessions.get, 0, 0

    async def counted(partition: str, key: str) -> Row | None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        try:
            return await get(partition, key)
        finally:
            reading -= 1

    monkeypatch.setattr(storage.service.sessions, "get", counted)
    lists = await asyncio.gather(*(storage.conversations.list_sessions("ann", limit=99) for _ in range(2)))
    assert [len(page.items) for page in lists] == [len(sessions)] * 2
    assert most == READS


async def test_sessions_are_counted_page_by_page_and_not_for_ever(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    keys = [directory_key(str(number).zfill(26)) for number in range(1100)]
    for some in itertools.batched(keys, 100, strict=False):
        await storage.service.directory.batch(
            [upserting({"PartitionKey": "ann", "RowKey": key, "session_id": "x"}) for key in some]
        )
    assert await storage.conversations.count_sessions("ann") == 1100
    monkeypatch.setattr("chat.store.tables.table_lists.COUNTED", 1099)
    assert await storage.conversations.count_sessions("ann") is None


@pytest.mark.parametrize(
    ("date", "age"),
    [("Fri, 20 Nov 2026 08:15:12 GMT", 11.5), ("Fri, 20 Nov 2026 08:15:00 GMT", 0.0), ("", 0.0)],
)
def test_the_age_of_a_row_is_by_the_clock_of_the_service(date: str, age: float) -> None:
    assert age_of(datetime(2026, 11, 20, 8, 15, 0, 500_000, tzinfo=UTC), date) == age
