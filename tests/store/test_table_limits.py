"""What the Table service does not keep is refused before it is sent, and told apart from a service that is away."""

from dataclasses import replace
from typing import Any

import pytest

from chat.errors import StoreRefused
from chat.store.tables.table_client import Operation, creating
from chat.store.tables.table_limits import REQUEST_BYTES, check_batch, check_entity
from tests.store.builders import PLANES, Stores, ending, new_session, new_turn, ports_of, said
from tests.store.conftest import OpenStorage

KEYS: dict[str, Any] = {"PartitionKey": "p", "RowKey": "k"}
HALF = "\ud83d"
WIDE = "\U0001f600"


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 32_769},
        {"text": WIDE * 16_385},
        {"data": b"x" * 65_537},
        {"RowKey": "x" * 513},
        {"RowKey": WIDE * 257},
        {"PartitionKey": "x" * 513},
        {"RowKey": "a/b"},
        {"RowKey": "a\x00b"},
        {"RowKey": HALF},
        {"number": 2**31},
        {"number": (2**63, "Edm.Int64")},
        {f"text{index}": "x" * 32_000 for index in range(17)},
        {f"data{index}": b"x" * 60_000 for index in range(18)},
    ],
)
def test_a_row_that_the_service_would_refuse_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(StoreRefused) as refused:
        check_entity(KEYS | fields)
    assert (refused.value.status, refused.value.retryable) == (500, False)


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x" * 32_768},
        {"text": WIDE * 16_384},
        {"data": b"x" * 65_536},
        {"RowKey": WIDE * 256},
        {"number": -(2**31), "yes": True},
        {"number": (2**63 - 1, "Edm.Int64")},
        {f"text{index}": "x" * 32_000 for index in range(16)},
    ],
)
async def test_a_row_at_the_limits_is_kept(open_storage: OpenStorage, fields: dict[str, Any]) -> None:
    table = open_storage().service.instances
    await table.upsert(KEYS | fields)
    row = await table.get("p", fields.get("RowKey", "k"))
    assert row is not None
    assert dict(row.values) == KEYS | fields


def test_a_batch_of_more_than_a_hundred_rows_is_refused() -> None:
    check_batch([KEYS] * 100)
    with pytest.raises(StoreRefused):
        check_batch([KEYS] * 101)


async def test_a_batch_that_is_too_large_as_a_request_is_refused(open_storage: OpenStorage) -> None:
    table = open_storage().service.instances
    row = KEYS | {f"data{index}": b"x" * 60_000 for index in range(12)}
    operations: list[Operation] = [creating(row | {"RowKey": f"k{index}"}) for index in range(5)]
    assert REQUEST_BYTES > 5 * 12 * 60_000  # but not in base 64
    with pytest.raises(StoreRefused):
        await table.batch(operations)


async def test_a_value_that_no_row_can_hold_ends_no_turn_and_is_no_absence(open_storage: OpenStorage) -> None:
    store = ports_of(open_storage())
    started = await new_turn(store)
    end = ending(started)
    with pytest.raises(StoreRefused):
        await store.turns.end_turn(replace(end, message=replace(end.message, llm_model="m" * 40_000)))
    assert (await store.turns.load_turn(started.turn.id)).running
    ended = await store.turns.end_turn(end)  # another way is open
    assert ended.state == "finished"


async def test_an_end_that_is_refused_leaves_nothing_of_itself(open_storage: OpenStorage) -> None:
    storage = open_storage()
    started = await new_turn(ports_of(storage))

    async def stored() -> list[tuple[str, str]]:
        return [(row.key, row.etag) for row in await storage.service.sessions.rows("PartitionKey ge ''")]

    before = await stored()
    end = ending(started, "x" * 5_000_000)  # more than one batch takes
    with pytest.raises(StoreRefused):
        await storage.turns.end_turn(replace(end, message=replace(end.message, thread_id="t" * 40_000)))
    assert await stored() == before


async def test_a_draft_that_no_row_can_hold_is_refused(open_storage: OpenStorage) -> None:
    store: Stores = ports_of(open_storage())
    session = await new_session(store)
    with pytest.raises(StoreRefused):
        draft = replace(said(PLANES), parent_message_id="p" * 33_000)
        await store.conversations.append_messages("ann", session.id, [draft])
