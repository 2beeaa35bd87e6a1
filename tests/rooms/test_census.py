"""The number of open sockets of the whole app, which one instance counts for all."""

import asyncio

import pytest

from chat.errors import PushError, StoreUnavailable
from chat.push.base import EVERYBODY
from chat.rooms.census import KNOWN, Census
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import VirtualClock, virtual


class Place:
    """Two instances over one service and one store."""

    def __init__(self) -> None:
        self.store, self.push = MemoryStore(VirtualClock()), FakePush()
        self.one, self.other = (Census(self.push, self.store) for _ in range(2))

    def open(self, sockets: int) -> None:
        self.push.groups[EVERYBODY] = [str(number) for number in range(sockets)]


@virtual
async def test_what_one_instance_counted_the_others_know_without_asking() -> None:
    place = Place()
    place.open(3)
    assert await place.one.take() == 3
    assert await place.other.known() == 3
    assert place.push.calls["count"] == 1


@virtual
async def test_a_count_is_good_until_the_next_one_is_overdue() -> None:
    place = Place()
    await place.one.take()
    place.open(2)
    await asyncio.sleep(KNOWN - 1)
    assert await place.other.known() == 0
    await asyncio.sleep(2)
    assert await place.other.known() == 2
    assert await place.one.known() == 2
    assert place.push.calls["count"] == 2


@virtual
async def test_who_asks_before_anybody_counted_counts() -> None:
    place = Place()
    place.open(1)
    assert [await each.known() for each in (place.one, place.other)] == [1, 1]
    assert place.push.calls["count"] == 1


@virtual
async def test_a_count_that_fails_leaves_the_last_one() -> None:
    place = Place()
    place.open(4)
    await place.one.take()
    for port, call, error in (
        (place.push, "count", PushError()),
        (place.store, "note_count", StoreUnavailable()),
    ):
        port.fail_next(call, error)
        with pytest.raises(type(error)):
            await place.one.take()
    assert await place.other.known() == 4
