"""When another instance counts as dead, and when one's own lease may still be written under."""

import asyncio
from typing import Any

import pytest

from chat.errors import StoreUnavailable
from chat.store.instance_store import InstanceLease, LeaseLost, Mail
from chat.turns.lease import LeaseKeeper, LeaseObserver
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, make_ports
from tests.support.virtual_time import VirtualClock, virtual


class ReadingStore:
    """Gives the leases of a script, one a read; an exception is raised."""

    def __init__(self, *readings: InstanceLease | Exception | None) -> None:
        self.readings = list(readings)

    async def read_lease(self, instance_id: str) -> InstanceLease | None:
        reading = self.readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading


def beat(number: int, age: float, *, fenced: bool = False) -> InstanceLease:
    return InstanceLease("i", number, age, fenced)


AWAY = StoreUnavailable()
CASES: dict[str, tuple[list[Any], list[bool]]] = {
    "an old beat, read twice": ([beat(1, 13), beat(1, 16)], [False, True]),
    "a young beat": ([beat(1, 2), beat(1, 5), beat(1, 8), beat(1, 11)], [False, False, False, False]),
    "a beat that grows old": (
        [beat(1, 6), beat(1, 9), beat(1, 12), beat(1, 13)],
        [False, False, False, True],
    ),
    "a new beat in between": ([beat(1, 13), beat(2, 13), beat(2, 16)], [False, False, True]),
    "a failed read in between": ([beat(1, 13), AWAY, beat(1, 19), beat(1, 22)], [False, False, False, True]),
    "a row that is gone": ([None], [True]),
    "a row that goes": ([beat(1, 2), None], [False, True]),
    "a fenced lease": ([beat(1, 2, fenced=True)], [True]),
}


@pytest.mark.parametrize("name", CASES)
def test_an_instance_is_dead_when_the_same_old_beat_was_read_twice(name: str) -> None:
    readings, expected = CASES[name]

    @virtual
    async def check() -> None:
        store: Any = ReadingStore(*readings)
        observer = LeaseObserver(store, VirtualClock())
        verdicts: list[bool] = []
        for _ in readings:
            verdicts.append(await observer.expired("i"))
            await asyncio.sleep(3)
        assert verdicts == expected

    check()


@virtual
async def test_two_reads_too_close_to_each_other_are_one() -> None:
    observer = LeaseObserver(MemoryStore(), VirtualClock())
    assert not observer.observe("i", beat(1, 13))
    await asyncio.sleep(2.9)
    assert not observer.observe("i", beat(1, 15.9))
    await asyncio.sleep(0.2)
    assert observer.observe("i", beat(1, 16.1))


@virtual
async def test_many_who_ask_cost_one_read() -> None:
    store = MemoryStore(VirtualClock())
    await store.register("i")
    observer = LeaseObserver(store, VirtualClock())
    for _ in range(100):
        await observer.expired("i")
    assert store.calls["read_lease"] == 1


class ListingStore:
    """Gives the lists of a script, one a reading, each after so many seconds; an exception is raised."""

    def __init__(self, *readings: tuple[float, InstanceLease | Exception]) -> None:
        self.readings = list(readings)

    async def list_leases(self) -> list[InstanceLease]:
        seconds, reading = self.readings.pop(0)
        await asyncio.sleep(seconds)
        if isinstance(reading, Exception):
            raise reading
        return [reading]


LISTED: dict[str, tuple[list[Any], list[bool]]] = {
    "an old beat, read twice": ([(0, beat(1, 5)), (0, beat(1, 15))], [False, True]),
    "a new beat in between": ([(0, beat(1, 13)), (0, beat(2, 13)), (0, beat(2, 23))], [False, False, True]),
    "a failed read in between": (
        [(0, beat(1, 13)), (0, AWAY), (0, beat(1, 33)), (0, beat(1, 43))],
        [False, False, False, True],
    ),
    "a read that took long": ([(0, beat(1, 5)), (8, beat(1, 23)), (0, beat(1, 33))], [False, False, True]),
    "a fenced lease": ([(0, beat(1, 2, fenced=True))], [True]),
}


@pytest.mark.parametrize("name", LISTED)
def test_all_leases_are_judged_by_one_reading_as_each_would_be_alone(name: str) -> None:
    readings, expected = LISTED[name]

    @virtual
    async def check() -> None:
        store: Any = ListingStore(*readings)
        observer = LeaseObserver(store, VirtualClock())
        verdicts: list[bool] = []
        for _ in readings:
            try:
                verdicts.append(bool(await observer.dead()))
            except StoreUnavailable:
                verdicts.append(False)
            await asyncio.sleep(10)
        assert verdicts == expected

    check()


class Owner:
    """A busy instance and what its keeper tells it."""

    def __init__(self, store: Any) -> None:
        self.busy = True
        self.turn_ids: tuple[str, ...] = ()
        self.mail: list[Mail] = []
        self.lost: list[str] = []
        self.keeper = LeaseKeeper(make_ports(store), self)
        self.keeper.deliver_to(self.mail.append)

    def lease_lost(self, instance_id: str) -> None:
        self.lost.append(instance_id)


@virtual
async def test_a_busy_instance_beats_every_three_seconds() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    instance_id = await owner.keeper.ensure()
    ages: list[float] = []
    for _ in range(100):
        await asyncio.sleep(0.5)
        lease = await store.read_lease(instance_id)
        assert lease is not None
        ages.append(lease.age)
    assert max(ages) <= 3.5
    assert 15 <= store.calls["renew"] <= 18


@virtual
async def test_a_new_turn_is_named_by_a_beat_within_half_a_second_and_many_by_few_beats() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    instance_id = await owner.keeper.ensure()
    await asyncio.sleep(1.2)
    for number in range(30):
        owner.turn_ids = (*owner.turn_ids, f"t{number}")
        owner.keeper.note()
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    lease = await store.read_lease(instance_id)
    assert lease is not None
    assert lease.turns == owner.turn_ids
    assert store.calls["renew"] <= 6


@virtual
async def test_callers_at_the_same_time_share_one_lease() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    ids = await asyncio.gather(*(owner.keeper.ensure() for _ in range(20)))
    assert len(set(ids)) == 1
    assert store.calls["register"] == 1


@virtual
async def test_a_renewal_that_is_too_old_is_renewed_before_anything_is_written() -> None:
    store = MemoryStore(VirtualClock())
    link = Link(store)
    owner = Owner(link)
    instance_id = await owner.keeper.ensure()
    link.fail_next("renew", StoreUnavailable(), times=1000)
    await asyncio.sleep(7)
    await owner.keeper.confirm(instance_id)
    await asyncio.sleep(2)
    with pytest.raises(StoreUnavailable):
        await owner.keeper.confirm(instance_id)


@virtual
async def test_a_fenced_lease_is_noticed_at_the_next_look_into_the_mailbox() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    instance_id = await owner.keeper.ensure()
    lease = await store.read_lease(instance_id)
    assert lease is not None
    assert await store.fence(lease)
    await asyncio.sleep(0.35)
    assert owner.lost == [instance_id]
    with pytest.raises(LeaseLost):
        await owner.keeper.confirm(instance_id)
    assert await owner.keeper.ensure() != instance_id


@virtual
async def test_mail_is_read_within_a_third_of_a_second() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    instance_id = await owner.keeper.ensure()
    await store.post_cancel(instance_id, "t")
    await asyncio.sleep(0.35)
    assert "t" in {turn_id for mail in owner.mail for turn_id in mail.cancels}


@virtual
async def test_an_idle_instance_gives_its_lease_back_and_a_busy_one_gets_a_new_one() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    first = await owner.keeper.ensure()
    owner.busy = False
    await asyncio.sleep(12)
    assert await store.list_leases() == []
    owner.busy = True
    second = await owner.keeper.ensure()
    await asyncio.sleep(12)
    assert second != first
    assert [each.instance_id for each in await store.list_leases()] == [second]


@virtual
async def test_closing_gives_the_lease_back() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    await owner.keeper.ensure()
    await owner.keeper.close(give_back=True)
    assert await store.list_leases() == []


@virtual
async def test_a_lease_with_turns_left_under_it_is_kept_as_their_trail() -> None:
    store = MemoryStore(VirtualClock())
    owner = Owner(store)
    instance_id = await owner.keeper.ensure()
    await owner.keeper.close(give_back=False)
    assert [each.instance_id for each in await store.list_leases()] == [instance_id]
