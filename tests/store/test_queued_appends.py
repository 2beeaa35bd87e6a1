"""Appends that are queued together in one process: what is wrong with one fails that one alone."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from chat.errors import StoreRefused, StoreUnavailable
from chat.messages import Message, MessageDraft
from chat.store.tables.table_client import Operation
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import new_session, ports_of, said
from tests.store.conftest import OpenStorage


async def appended(storage: TableStorage, drafts: Sequence[MessageDraft]) -> list[list[Message] | Exception]:
    """What became of each of the appends that came at once."""
    session = await new_session(ports_of(storage))
    appends = (storage.conversations.append_messages("ann", session.id, [draft]) for draft in drafts)
    outcomes = await asyncio.gather(*appends, return_exceptions=True)
    stored = await storage.conversations.list_messages("ann", session.id, limit=999)
    honest = [each for each in outcomes if isinstance(each, list)]
    assert sorted(each.id for each in stored) == sorted(message.id for each in honest for message in each)
    return [each for each in outcomes if isinstance(each, list | Exception)]


async def test_a_draft_that_no_row_can_hold_fails_alone_among_many(open_storage: OpenStorage) -> None:
    drafts = [said(f"text {number}") for number in range(120)]
    drafts[13] = replace(drafts[13], parent_message_id="p" * 33_000)
    outcomes = await appended(open_storage(), drafts)
    failed = {number: type(each) for number, each in enumerate(outcomes) if isinstance(each, Exception)}
    assert failed == {13: StoreRefused}


def refusing(
    storage: TableStorage, monkeypatch: pytest.MonkeyPatch, judge: Callable[[str], None]
) -> list[int]:
    """Has `judge` see the texts of each batch first, as a service with rules that we do not know. How many rows the
    batches had."""
    table = storage.service.sessions
    batch, sizes = table.batch, list[int]()

    async def judged(operations: Sequence[Operation], *, again: bool = False) -> list[str]:
        sizes.append(len(operations) - 1)
        for _, entity, _ in operations:
            judge(str(entity.get("text", "")))
        return await batch(operations, again=again)

    monkeypatch.setattr(table, "batch", judged)
    return sizes


@pytest.mark.parametrize("error", [StoreRefused(), TypeError("a fault of ours")])
async def test_a_refused_batch_is_taken_apart_until_the_one_at_fault_is_alone(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    storage = open_storage()

    def judge(text: str) -> None:
        if text == "bad":
            raise error

    sizes = refusing(storage, monkeypatch, judge)
    drafts = [said("bad" if number in (5, 40) else f"text {number}") for number in range(60)]
    outcomes = await appended(storage, drafts)
    failed = [number for number, each in enumerate(outcomes) if isinstance(each, Exception)]
    assert failed == [5, 40]
    assert len(sizes) < 30  # not one by one


async def test_a_store_that_is_away_is_not_asked_for_each_append(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage()

    def judge(text: str) -> None:
        if text:
            raise StoreUnavailable

    sizes = refusing(storage, monkeypatch, judge)
    monkeypatch.setattr("chat.store.tables.session_writer.OPERATION_TIMEOUT", 0.3)
    outcomes = await appended(storage, [said(f"text {number}") for number in range(20)])
    assert {type(each) for each in outcomes} == {StoreUnavailable}
    assert {*sizes[1:]} == {20}
