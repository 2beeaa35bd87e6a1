"""Starts that are queued together in one process: what is told to the second must be true when it is told."""

import asyncio
from dataclasses import replace

import pytest

from chat.clock import SystemClock, UlidIds
from chat.errors import TurnInProgress
from chat.messages import MessageDraft
from chat.store.conversation_store import SessionDraft
from chat.store.tables.table_client import Operation, Row
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import ending, turn_draft
from tests.store.conftest import OpenStorage


@pytest.fixture
def storage(open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch) -> TableStorage:
    """Tables whose batches take longer than their reads."""
    storage = open_storage()
    table = storage.service.sessions
    batch = table.batch

    async def slow_batch(operations: list[Operation], *, again: bool = False) -> list[str]:
        await asyncio.sleep(0.05)
        return await batch(operations, again=again)

    monkeypatch.setattr(table, "batch", slow_batch)
    return storage


async def test_two_starts_with_one_nonce_are_one_turn(storage: TableStorage) -> None:
    session = await storage.conversations.create_session("ann", SessionDraft(UlidIds(SystemClock()).new()))
    drafts = [replace(turn_draft(session), nonce="key") for _ in range(2)]
    first, second = await asyncio.gather(*(storage.turns.start_turn(draft) for draft in drafts))
    assert first.turn.id == second.turn.id


async def test_a_start_is_refused_for_a_turn_that_can_be_read(storage: TableStorage) -> None:
    session = await storage.conversations.create_session("ann", SessionDraft(UlidIds(SystemClock()).new()))

    async def state_of_what_is_in_the_way(nonce: str) -> str:
        try:
            return (await storage.turns.start_turn(replace(turn_draft(session), nonce=nonce))).turn.state
        except TurnInProgress as refused:
            return (await storage.turns.get_turn("ann", refused.turn_id)).state

    assert await asyncio.gather(*map(state_of_what_is_in_the_way, ("one", "two"))) == ["running", "running"]


async def test_nothing_is_before_the_first_message(open_storage: OpenStorage) -> None:
    storage = open_storage()
    session = await storage.conversations.create_session(
        "ann", SessionDraft(UlidIds(SystemClock()).new()), [MessageDraft("user", "one")]
    )
    assert await storage.conversations.list_messages("ann", session.id, limit=3, before=0, newest=True) == []


async def test_a_start_whose_session_was_just_read_reads_no_head(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()
    made = await storage.conversations.create_session("ann", SessionDraft(UlidIds(SystemClock()).new()))
    session = await storage.conversations.get_session("ann", made.id)

    async def not_read(partition: str, key: str) -> Row | None:
        raise AssertionError(key)

    with monkeypatch.context() as patch:
        patch.setattr(storage.service.sessions, "get", not_read)
        started = await storage.turns.start_turn(turn_draft(session))
    assert started.session == await storage.conversations.get_session("ann", made.id)
    assert started.turn == await storage.turns.load_turn(started.turn.id)


async def test_a_session_that_became_free_can_be_started_in_by_who_read_it_before(
    open_storage: OpenStorage,
) -> None:
    storage = open_storage()
    session = await storage.conversations.create_session("ann", SessionDraft(UlidIds(SystemClock()).new()))
    started = await storage.turns.start_turn(turn_draft(session))
    busy = started.session
    await storage.turns.end_turn(ending(started))
    assert (await storage.turns.start_turn(turn_draft(busy, nonce="next"))).turn.running
