"""People who come, go and type at two instances at once, and the limits of sockets."""

import asyncio
from collections import Counter

from chat.dialects.catalogue import DIALECTS
from chat.errors import TooManyConnections
from chat.push.base import room_of
from chat.rooms.attendance import Attendance
from chat.rooms.rooms import Rooms
from chat.rooms.typists import TYPING
from chat.store.presence_store import Connection, Ticket
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import START, VirtualClock, virtual

SESSION = "0" * 25 + "A"


class SlowStore(MemoryStore):
    """Each call takes a moment, so that two instances come between each other's calls."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.moment = 0.003

    async def present(self, session_id: str):  # type: ignore[no-untyped-def,override]
        found = await super().present(session_id)
        await asyncio.sleep(self.moment)
        return found

    async def enter(self, connection: Connection) -> None:  # type: ignore[override]
        await asyncio.sleep(self.moment)
        await super().enter(connection)
        await asyncio.sleep(self.moment)


class Place:
    """Two instances over one store, and a watcher in the room."""

    def __init__(self, *, per_session: int = 2000, per_user: int = 20) -> None:
        self.clock = VirtualClock()
        self.store, self.push = SlowStore(self.clock), FakePush()
        self.both = [self._instance(per_session, per_user) for _ in range(2)]
        self.push.groups[room_of(SESSION, "session")].append("watcher")

    def _instance(self, per_session: int, per_user: int) -> Attendance:
        store, push = self.store, self.push
        rooms = Rooms(
            push=push,
            presence=store,
            conversations=store,
            turns=store,
            instances=store,
            errands=store,
            dialects=DIALECTS,
        )
        return Attendance(store, rooms, push, self.clock, per_session=per_session, per_user=per_user)

    async def open(self, name: str, *, at: int, user: str = "bob") -> Connection | None:
        """None when there was no place for it."""
        ticket = Ticket(name, SESSION, user, "session", START)
        try:
            connection = await self.both[at].admit(ticket, name)
        except TooManyConnections:
            return None
        await asyncio.sleep(0.005)
        await self.both[1 - at].arrived(connection)
        return connection

    @property
    def seen(self) -> list[tuple[str, object]]:
        return [(each["type"], each.get("is_typing")) for each in self.push.seen["watcher"]]


@virtual
async def test_two_windows_that_open_and_close_together_are_one_who_comes_and_goes() -> None:
    for step in range(20):
        here = Place()
        first, second = await asyncio.gather(here.open("a", at=0), _after(step * 0.001, here.open("b", at=1)))
        assert first and second
        await asyncio.gather(
            here.both[0].left(first),
            _after(step * 0.001, here.both[1].left(second)),
            here.both[1].left(first),
        )
        assert [kind for kind, _ in here.seen] == ["user_joined", "user_left"], step


async def _after[T](pause: float, what) -> T:  # type: ignore[no-untyped-def,type-var]
    await asyncio.sleep(pause)
    return await what


@virtual
async def test_of_many_that_open_at_once_as_many_are_let_in_as_there_are_places() -> None:
    here = Place(per_user=20)
    opened = await asyncio.gather(
        *(_after(number % 7 * 0.001, here.open(f"c{number}", at=number % 2)) for number in range(60))
    )
    assert sum(each is not None for each in opened) == 20
    assert len(await here.store.connections(SESSION)) == 20
    for each in filter(None, opened[:30]):
        await here.both[0].left(each)
    again = await asyncio.gather(*(here.open(f"d{number}", at=number % 2) for number in range(60)))
    assert sum(each is not None for each in again) == sum(each is not None for each in opened[:30])


@virtual
async def test_a_full_session_has_as_many_sockets_as_it_may() -> None:
    here = Place(per_session=50)
    opened = await asyncio.gather(
        *(here.open(f"c{number}", at=number % 2, user=f"u{number}") for number in range(120))
    )
    assert sum(each is not None for each in opened) == 50


@virtual
async def test_a_thousand_sockets_that_come_back_are_not_each_shown_every_row() -> None:
    here = Place(per_user=2000)
    await asyncio.gather(
        *(
            _after(number * 0.001, here.open(f"c{number}", at=number % 2, user=f"u{number % 300}"))
            for number in range(1000)
        )
    )
    came, here.store.rows_read = here.store.rows_read, 0
    assert came < 20 * 1000
    live = await here.store.connections(SESSION)
    await asyncio.gather(*(here.both[0].left(each) for each in live))
    assert here.store.rows_read < 20 * 1000
    assert here.store.calls["forget_tickets"] <= 2
    assert Counter(kind for kind, _ in here.seen) == {"user_joined": 300, "user_left": 300}


@virtual
async def test_typing_is_told_once_whichever_instance_hears_of_it() -> None:
    here = Place()
    for at in (0, 1, 0, 1):
        await here.both[at].typing(SESSION, "bob", is_typing=True)
        await asyncio.sleep(2)
    assert here.seen == [("typing_indicator", True)]
    await here.both[1].typing(SESSION, "bob", is_typing=False)
    assert here.seen == [("typing_indicator", True), ("typing_indicator", False)]
    await here.both[0].typing(SESSION, "bob", is_typing=False)
    await asyncio.sleep(2 * TYPING)
    assert len(here.seen) == 2


@virtual
async def test_typing_that_nobody_ended_ends_once() -> None:
    here = Place()
    await here.both[0].typing(SESSION, "bob", is_typing=True)
    await asyncio.sleep(3)
    await here.both[1].typing(SESSION, "bob", is_typing=True)
    await asyncio.sleep(4.9)
    assert here.seen == [("typing_indicator", True)]
    await asyncio.sleep(2 * TYPING)
    assert here.seen == [("typing_indicator", True), ("typing_indicator", False)]


@virtual
async def test_nobody_types_who_has_left() -> None:
    here = Place()
    bob = await here.open("b", at=0)
    assert bob
    await here.both[0].typing(SESSION, "bob", is_typing=True)
    await here.both[1].left(bob)
    await asyncio.sleep(2 * TYPING)
    assert [kind for kind, _ in here.seen] == [
        "user_joined",
        "typing_indicator",
        "typing_indicator",
        "user_left",
    ]


@virtual
async def test_a_socket_whose_end_overtakes_its_beginning_has_left() -> None:
    here = Place()
    ticket = Ticket("t", SESSION, "bob", "session", START)
    connection = await here.both[0].admit(ticket, "b")
    await here.both[1].left(connection)
    await here.both[0].arrived(connection)
    assert here.seen == []
    assert await here.open("c", at=0)
    assert here.seen == [("user_joined", None)]
