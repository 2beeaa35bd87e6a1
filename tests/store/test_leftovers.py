"""What was begun and came to nothing does not stay for ever: rows that only the tables have."""

from datetime import timedelta
from typing import Any

import pytest

from chat.clock import SystemClock
from chat.errors import StoreUnavailable
from chat.store.conversation_store import SessionDraft
from chat.store.drafts import directory_key
from chat.store.errand_store import Errand
from chat.store.presence_store import Ticket
from chat.store.tables.table_client import Table
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import IDS, NOW, new_session, new_turn, ports_of
from tests.store.conftest import OpenStorage

SOON = timedelta(minutes=1)


async def rows_of(table: Table, partition: str = "") -> list[str]:
    query = f"PartitionKey eq '{partition}'" if partition else "PartitionKey ge ''"
    return [f"{row.partition} {row.key}" for row in await table.rows(query)]


async def tidy(storage: TableStorage) -> None:
    await storage.conversations.tidy(before=SystemClock().now() + SOON)


async def test_a_removal_that_was_cut_off_is_finished(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    session = await new_session(ports_of(storage), "one", "two")

    async def away(_: str) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(storage.service.sessions, "delete_all", away)
        with pytest.raises(StoreUnavailable):
            await storage.conversations.delete_session("ann", session.id)
    await storage.conversations.tidy(before=SystemClock().now() - SOON)
    assert len(await rows_of(storage.service.sessions)) == 3
    await tidy(storage)
    for table in (storage.service.sessions, storage.service.directory, storage.service.usage):
        assert await rows_of(table) == []


async def test_a_session_whose_removal_was_refused_stays(open_storage: OpenStorage) -> None:
    storage = open_storage()
    started = await new_turn(ports_of(storage))
    with pytest.raises(Exception, match="already running"):
        await storage.conversations.delete_session("ann", started.session.id)
    before = await rows_of(storage.service.sessions)
    await storage.service.usage.upsert(
        {
            "PartitionKey": "due-deletions",
            "RowKey": f"0-{started.session.id}",
            "session_id": started.session.id,
        }
    )
    await tidy(storage)
    assert await rows_of(storage.service.sessions) == before
    assert await rows_of(storage.service.usage) == []


async def test_the_alias_of_a_deleted_session_goes_when_it_is_looked_at_again(
    open_storage: OpenStorage,
) -> None:
    storage = open_storage()
    session = await storage.conversations.create_session("ann", SessionDraft("0" * 25 + "A"))  # an old one
    await storage.conversations.claim_session("ann", "key", session.id)
    await tidy(storage)
    await storage.conversations.delete_session("ann", session.id)
    await tidy(storage)
    assert await rows_of(storage.service.directory) == ["ann a-key"]
    assert await storage.conversations.claim_session("ann", "key", after := IDS.new()) == after
    await storage.conversations.tidy(before=SystemClock().now() + timedelta(days=31))
    assert await rows_of(storage.service.directory) == []
    assert await rows_of(storage.service.usage) == []


async def test_a_line_of_a_list_that_leads_nowhere_goes_in_a_day(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    nowhere = SessionDraft(IDS.new()).id
    keys = {"PartitionKey": "ann", "RowKey": directory_key(nowhere)}
    await storage.service.directory.upsert({**keys, "session_id": nowhere})
    session = await new_session(ports_of(storage))
    for abandoned, left in ((86_400.0, 2), (-1.0, 1)):
        monkeypatch.setattr("chat.store.tables.table_lists.ABANDONED", abandoned)
        listed = await storage.conversations.list_sessions("ann", limit=9)
        assert [each.id for each in listed.items] == [session.id]
        assert len(await rows_of(storage.service.directory)) == left


async def test_mail_for_an_instance_that_has_ended_goes_in_an_hour(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    instances: Any = storage.instances
    await instances.register("alive")
    for name in ("alive", "ended"):
        await instances.post_cancel(name, "t")
        await instances.post_watch(name, "t")
    await storage.errands.note_errand(Errand("evict", "s"))
    for stray, left in ((3600.0, 6), (-1.0, 4)):
        monkeypatch.setattr("chat.store.tables.table_instances.STRAY", stray)
        await instances.forget_strays()
        assert len(await rows_of(storage.service.instances)) == left


async def test_a_ticket_leaves_nothing(open_storage: OpenStorage) -> None:
    storage = open_storage()
    started = await new_turn(ports_of(storage))
    await storage.presence.issue(Ticket("t", started.session.id, "ann", "chat", NOW))
    assert len(await rows_of(storage.service.usage)) == 1
    await storage.presence.purge_tickets(expired_before=NOW + SOON)
    assert await rows_of(storage.service.usage) == []
