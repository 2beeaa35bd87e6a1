"""What is due goes, however much it is, and nothing else; what was cut off goes on."""

import asyncio
import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chat.errors import StoreUnavailable
from chat.store.tables.table_client import Operation, Row, creating
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_events import events_to_rows
from chat.store.tables.table_properties import Entity
from chat.store.tables.table_rows import turn_to_row
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import NOW, deltas, ending, new_turn, ports_of, terminal
from tests.store.conftest import OpenStorage
from tests.store.unlisted_contract import unlisted_turn

DAY = timedelta(days=1)
TURNS = 50  # of each session that is written as bare rows


async def old_turns(storage: TableStorage, sessions: int, when: datetime = NOW - 3 * DAY) -> None:
    """So many sessions with 50 ended turns each, as rows: to have them made would take minutes."""
    for _ in range(sessions):
        started = await new_turn(ports_of(storage))
        session_id = started.session.id
        rows: list[Operation] = []
        due: list[Operation] = []
        for seq in range(4, 4 + TURNS):
            turn = replace(
                started.turn, id=f"{session_id}-{seq:08d}", state="finished", started_at=when, ended_at=when
            )
            rows.append(creating(turn_to_row(turn, seq)))
            rows += [creating(row) for row in events_to_rows(session_id, seq, [*deltas(1, 3), terminal()])]
            key = f"{int(when.timestamp() * 1000):013d}-{turn.id}"
            due.append(creating({"PartitionKey": "due-events", "RowKey": key, "turn_id": turn.id}))
        for group in itertools.batched(rows, 100, strict=False):
            await storage.service.sessions.batch(group)
        await storage.service.usage.batch(due)


async def count(storage: TableStorage, kind: str) -> int:
    query = f"RowKey ge '{kind}' and RowKey lt '{kind}~'"
    return len(await storage.service.sessions.rows(query, select=("RowKey",)))


async def due_rows(storage: TableStorage, kind: str = "due-events") -> list[Row]:
    return await storage.service.usage.rows(f"PartitionKey eq '{kind}'")


async def test_a_backlog_goes_in_one_call_page_by_page_and_leaves_all_else(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    monkeypatch.setattr("chat.store.tables.table_due.PAGE", 200)
    await old_turns(storage, 11)
    await old_turns(storage, 1, NOW)
    assert await storage.turns.purge_events(ended_before=NOW - DAY) == 11 * TURNS
    assert (await count(storage, "e-"), await count(storage, "t-")) == (TURNS, 12 * (TURNS + 1))
    assert await count(storage, "m-") == 12 * 2
    assert len(await due_rows(storage)) == TURNS


async def test_what_is_left_after_the_time_of_a_call_goes_with_the_next(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    await old_turns(storage, 2)
    monkeypatch.setattr("chat.store.tables.table_due.WORKING", 0.0)
    counts = [await storage.turns.purge_events(ended_before=NOW) for _ in range(5)]
    assert counts == [32, 32, 32, 4, 0]
    assert await count(storage, "e-") == 0


async def test_a_purge_that_was_cut_off_anywhere_goes_on(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    await old_turns(storage, 2)
    table = storage.service.sessions
    delete_all, deletes = table.delete_all, itertools.count()

    async def cut_off(query: str) -> None:
        await delete_all(query)
        if next(deletes) % 40 == 39:
            raise StoreUnavailable

    monkeypatch.setattr(table, "delete_all", cut_off)
    for _ in range(9):
        try:
            await storage.turns.purge_events(ended_before=NOW)
        except StoreUnavailable:
            continue
    assert (await count(storage, "e-"), await due_rows(storage)) == (0, [])


async def test_two_purges_at_once_do_not_hinder_each_other(open_storage: OpenStorage) -> None:
    storage, other = open_storage(), open_storage()
    await old_turns(storage, 2)
    await asyncio.gather(*(each.turns.purge_events(ended_before=NOW) for each in (storage, other)))
    assert (await count(storage, "e-"), await due_rows(storage)) == (0, [])


async def test_events_are_never_stored_before_the_row_by_which_the_purge_finds_them(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    store = ports_of(storage)
    flushed, short = await new_turn(store), await new_turn(store)

    async def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(DueRows, "note", away)
        with pytest.raises(StoreUnavailable):
            await store.turns.append_events(flushed.turn, deltas(1, 3))
        with pytest.raises(StoreUnavailable):
            await store.turns.end_turn(replace(ending(short), events=(*deltas(1, 2), terminal()), follows=0))
    assert await count(storage, "e-") == 0
    assert (await store.turns.load_turn(short.turn.id)).running
    await store.turns.append_events(flushed.turn, deltas(1, 3))
    assert [row.values["turn_id"] for row in await due_rows(storage)] == [flushed.turn.id]


async def test_a_turn_that_still_runs_keeps_its_events_and_its_place_in_the_queue(
    open_storage: OpenStorage,
) -> None:
    store = ports_of(open_storage())
    started = await new_turn(store)
    await store.turns.append_events(started.turn, deltas(1, 3))
    assert await store.turns.purge_events(ended_before=NOW + DAY) == 0
    await store.turns.end_turn(replace(ending(started), events=(*deltas(4, 5), terminal()), follows=3))
    assert await store.turns.purge_events(ended_before=NOW + DAY) == 1
    assert await store.turns.read_events(started.turn) == []


async def test_the_turns_of_a_deleted_session_leave_the_queue(open_storage: OpenStorage) -> None:
    storage = open_storage()
    store = ports_of(storage)
    started = await new_turn(store)
    await store.turns.end_turn(ending(started))
    await store.conversations.delete_session("ann", started.session.id)
    await store.turns.purge_events(ended_before=NOW + DAY)
    assert await due_rows(storage) == []


async def test_one_row_that_cannot_be_worked_off_does_not_keep_the_others(open_storage: OpenStorage) -> None:
    storage = open_storage()
    await old_turns(storage, 1)
    early: Entity = {"PartitionKey": "due-events", "RowKey": "0000000000001-x"}
    await storage.service.usage.upsert(early)  # names no turn
    assert await storage.turns.purge_events(ended_before=NOW) == TURNS
    assert [row.key for row in await due_rows(storage)] == ["0000000000001-x"]


async def test_a_session_that_is_not_listed_leaves_no_row_wherever_its_removal_was_cut_off(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    store = ports_of(storage)
    started = await unlisted_turn(store)
    await store.turns.end_turn(ending(started))
    table, failing = storage.service.sessions, itertools.count()
    delete_all = table.delete_all

    async def cut_off(query: str) -> None:
        if next(failing) % 2:
            raise StoreUnavailable
        await delete_all(query)

    with monkeypatch.context() as patched:
        patched.setattr(table, "delete_all", cut_off)
        with pytest.raises(StoreUnavailable):
            await store.turns.purge_events(ended_before=NOW + DAY)
    await store.turns.purge_events(ended_before=NOW + DAY)
    await store.conversations.tidy(before=NOW + 9999 * DAY)
    rows = await table.rows(f"PartitionKey eq '{started.session.id}'")
    assert (rows, await due_rows(storage), await due_rows(storage, "due-deletions")) == ([], [], [])


async def test_a_head_from_before_there_were_unlisted_sessions_is_listed(open_storage: OpenStorage) -> None:
    storage = open_storage()
    store = ports_of(storage)
    session = (await new_turn(store)).session
    row = await storage.service.sessions.get(session.id, "session")
    assert row is not None
    old = {name: value for name, value in row.values.items() if name != "listed"}
    await storage.service.sessions.replace(old, row.etag)
    assert (await store.conversations.load_session(session.id)).listed
