"""The accounts of users keep the rules of their port, in memory and on tables; and no change is made twice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chat.errors import StoreUnavailable, VersionConflict
from chat.store.limit_store import Account, LimitStore, Spent
from chat.store.tables.table_clock import ServiceClock
from chat.store.tables.table_storage import TableStorage
from tests.store.conftest import OpenStorage
from tests.store.limit_contract import LimitStoreContract, saved
from tests.support.memory.limits import MemoryLimits


class TestMemoryLimits(LimitStoreContract):
    @pytest.fixture
    def limits(self) -> LimitStore:
        return MemoryLimits()


class TestTableLimits(LimitStoreContract):
    @pytest.fixture
    async def limits(self, open_storage: OpenStorage) -> LimitStore:
        return open_storage().limits


def lose_replies(storage: TableStorage, monkeypatch: pytest.MonkeyPatch, *, landed: bool) -> list[int]:
    """The next batch is written, or not, and its reply gets lost. Counts the tries."""
    batch, tries = storage.service.limits.batch, list[int]()

    async def lost(operations: Sequence[Any]) -> list[str]:
        tries.append(len(operations))
        if len(tries) > 1:
            return await batch(operations)
        if landed:
            await batch(operations)
        raise StoreUnavailable

    monkeypatch.setattr(storage.service.limits, "batch", lost)
    return tries


@pytest.mark.parametrize(("landed", "times"), [(True, 1), (False, 2)])
async def test_a_change_whose_reply_got_lost_is_made_once(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, landed: bool, times: int
) -> None:
    storage = open_storage()
    before = await saved(storage.limits, "1", left=5.0, at=1.0)
    tries = lose_replies(storage, monkeypatch, landed=landed)
    after = await storage.limits.save_account(before, replace(before, left=4.0), "2")
    assert (len(tries), after.left, after.nonces) == (times, 4.0, ("1", "2"))
    assert await storage.limits.load_account("ann") == after


async def test_a_lost_change_that_was_followed_by_anothers_is_known_all_the_same(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, other = open_storage(), open_storage().limits
    before = await saved(storage.limits, "1", left=5.0, at=1.0)
    batch = storage.service.limits.batch

    async def overtaken(operations: Sequence[Any]) -> list[str]:
        await batch(operations)
        await saved(other, "3", left=3.0)
        raise StoreUnavailable

    monkeypatch.setattr(storage.service.limits, "batch", overtaken)
    after = await storage.limits.save_account(before, replace(before, left=4.0), "2")
    assert (after.left, after.nonces) == (3.0, ("1", "2", "3"))


async def test_a_lost_change_that_did_not_land_before_anothers_is_a_conflict(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, other = open_storage(), open_storage().limits
    before = await saved(storage.limits, "1", left=5.0, at=1.0)

    async def overtaken(operations: Sequence[Any]) -> list[str]:
        await saved(other, "3", left=3.0)
        raise StoreUnavailable

    monkeypatch.setattr(storage.service.limits, "batch", overtaken)
    with pytest.raises(VersionConflict):
        await storage.limits.save_account(before, replace(before, left=4.0), "2")


async def test_other_rows_of_a_users_partition_are_left_alone(open_storage: OpenStorage) -> None:
    storage = open_storage()
    await storage.service.limits.create({"PartitionKey": "ann", "RowKey": "i-1234"})
    account = await saved(storage.limits, spent={"20261120": Spent(1)})
    assert await storage.limits.load_account("ann") == account
    assert await storage.service.limits.get("ann", "i-1234") is not None
    assert isinstance(account, Account)


async def test_the_time_is_the_services(open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage()
    monkeypatch.setattr(storage.service.clock, "_wall", lambda: 0.0)  # ours is wrong by decades
    assert storage.limits.now().year == 1970
    await storage.limits.load_account("ann")
    assert storage.limits.now().year > 2020
    storage.service.clock.note("Fri, 20 Nov 2099 08:15:00 GMT")
    assert f"{storage.limits.now():%Y-%m-%d %H:%M}" == "2099-11-20 08:15"


SECONDS = [
    # our seconds, the service's Date, and the second that is shown then
    (100.0, 0, 0.0),
    (100.6, 0, 0.6),  # the same second again says nothing
    (101.1, 2, 2.0),  # later than it seemed
    (102.5, 3, 3.4),  # an estimate that is behind the best one
    (2103.5, 2003, 2003.0),  # our seconds were too short: it is set back
]


def test_the_services_clock_is_the_latest_of_its_estimates() -> None:
    ours = [0.0]
    clock = ServiceClock(monotonic=lambda: ours[0], wall=lambda: 7.0)
    assert clock.now().timestamp() == 7.0
    clock.note("not a date")
    for ours[0], second, shown in SECONDS:
        clock.note(f"Thu, 01 Jan 1970 00:{second // 60:02d}:{second % 60:02d} GMT")
        assert clock.now().timestamp() == pytest.approx(shown, abs=0.11)
