"""Who is taken out of a session hears no further word of it: sockets and HTTP readers, while services fail and
processes end."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from chat.auth.base import Principal
from chat.errors import AuthError, CredentialEnded, PushError, PushRefused, StoreUnavailable
from chat.push.base import group_of
from chat.rooms.evictions import Evictions
from chat.store.conversation_store import SessionDraft
from chat.store.errand_store import Errand
from chat.store.presence_store import Connection
from chat.turns.feed import LiveTurn
from chat.turns.readers import Readers
from tests.support.apps import make_sockets
from tests.support.fake_push import FakePush
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, lines, make_runner
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"


class House:
    """A session of ann's with bob in it, and a socket of each that is open."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store, self.push = MemoryStore(self.clock), FakePush()

    async def open(self) -> "House":
        await self.store.create_session("ann", SessionDraft(SESSION))
        await let_into(self.store, SESSION, "bob")
        await self.socket("a", "ann")
        await self.socket("b", "bob")
        return self

    async def socket(self, name: str, user: str, dialect: str = "session", *, noted: bool = True) -> None:
        now = self.clock.now()
        if noted:
            await self.store.enter(Connection(name, SESSION, user, dialect, now, now))
        self.push.users[name] = user
        self.push.groups[group_of(SESSION, dialect)].append(name)

    def instance(self) -> Evictions:
        return Evictions(self.store, make_sockets(self.store, self.push, self.clock))

    async def take_out(self, evictions: Evictions, user: str = "bob") -> None:
        await evictions.during(SESSION, user, lambda: self.store.remove_member("ann", SESSION, user))

    def hears(self, name: str) -> bool:
        return any(name in group for group in self.push.groups.values())


@virtual
async def test_a_removed_members_sockets_are_closed_and_the_others_are_not() -> None:
    house = await House().open()
    await house.socket("b2", "bob", "chat")
    await house.take_out(house.instance())
    assert [house.hears(name) for name in ("a", "b", "b2")] == [True, False, False]
    assert set(house.push.closed) == {"b", "b2"}
    assert [each.id for each in (await house.store.present(SESSION)).connections] == ["a"]
    assert house.push.seen["b"][-1]["text"] == "You are no longer a member of this session."


@virtual
@pytest.mark.parametrize("call", ["remove_user", "close", "send_to_connection"])
@pytest.mark.parametrize("times", [1, 5])
async def test_what_failed_is_tried_again(call: str, times: int) -> None:
    house = await House().open()
    house.push.fail_next(call, PushError(), times=times)
    await house.take_out(house.instance())
    await asyncio.sleep(60)
    assert not house.hears("b")
    assert "b" in house.push.closed


@virtual
async def test_the_timer_of_another_process_goes_on_when_this_one_ends() -> None:
    house = await House().open()
    first, second = house.instance(), house.instance()
    house.push.fail_next("remove_user", PushError(), times=999)
    await house.take_out(first)
    await first.aclose()
    assert house.hears("b")
    house.push.failures.clear()
    await second.work_off()
    assert not house.hears("b")


@virtual
async def test_a_socket_that_opens_just_then_is_found_though_it_has_no_row() -> None:
    """Let in before the removal, open after it, and its event `connected` got lost."""
    house = await House().open()
    await house.take_out(house.instance())
    await house.socket("late", "bob", noted=False)
    await asyncio.sleep(1)
    assert not house.hears("late")


@virtual
async def test_an_eviction_is_struck_out_when_nothing_can_be_on_its_way_any_more() -> None:
    house = await House().open()
    evictions = house.instance()
    await house.take_out(evictions)
    await evictions.work_off()
    assert len(await house.store.list_errands("evict")) == 1
    await asyncio.sleep(61)
    await evictions.work_off()
    assert await house.store.list_errands("evict") == []


@virtual
async def test_an_eviction_that_the_service_always_refuses_is_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.rooms.evictions.HOPELESS", 600.0)  # a day, else
    house = await House().open()
    evictions = house.instance()
    house.push.fail_next("remove_user", PushRefused(), times=9999)
    await house.take_out(evictions)
    await asyncio.sleep(590)
    await evictions.work_off()
    assert len(await house.store.list_errands("evict")) == 1
    assert "eviction_given_up" not in caplog.text
    await asyncio.sleep(15)
    await evictions.work_off()
    assert await house.store.list_errands("evict") == []
    assert f'eviction_given_up {{"session_id": "{SESSION}", "user_id": "bob"}}' in caplog.text


@virtual
async def test_who_is_let_in_again_stays() -> None:
    house = await House().open()
    evictions = house.instance()
    await house.take_out(evictions)
    await let_into(house.store, SESSION, "bob", "viewer")
    await house.socket("again", "bob")
    await asyncio.sleep(60)
    await evictions.work_off()
    assert house.hears("again")


@virtual
async def test_an_eviction_that_was_noted_but_not_made_evicts_nobody() -> None:
    house = await House().open()
    for user in ("bob", "ann", ""):
        await house.store.note_errand(Errand("evict", SESSION, user))
    await house.instance().work_off()
    assert [house.hears(name) for name in ("a", "b")] == [True, True]


@virtual
async def test_a_deleted_session_has_no_sockets() -> None:
    house = await House().open()
    await house.socket("chat", "bob", "chat")
    evictions = house.instance()
    house.push.fail_next("close_group", PushError())
    await evictions.during(SESSION, "", lambda: house.store.delete_session("ann", SESSION))
    await house.socket("late", "bob", noted=False)
    await asyncio.sleep(2)
    assert not any(house.hears(name) for name in ("a", "b", "chat", "late"))


class Reader:
    """One who follows a turn as a stream does, and when a word came last."""

    def __init__(self, readers: Readers, clock: VirtualClock) -> None:
        self._readers, self._clock = readers, clock
        self.last = 0.0
        self.error: Exception | None = None

    async def read(self, live: LiveTurn, user: str, **limits: Any) -> None:
        try:
            async with aclosing(self._readers.follow(live, Principal(user, **limits), idle=5.0)) as batches:
                async for batch in batches:
                    self.last = self._clock.monotonic() if batch else self.last
        except AuthError as error:
            self.error = error


@virtual
@pytest.mark.parametrize("away", [0.0, 20.0])
async def test_readers_over_http_are_cut_off_on_every_instance(away: float) -> None:
    house = await House().open()
    here, there = make_runner(lines(600, 0.1), store=house.store), make_runner(store=house.store)
    live = await here.start(ask("Hi", session_id=SESSION))
    remote = await there.open("bob", live.turn.id)
    readers = Readers(house.store, house.store, house.clock), Readers(house.store, house.store, house.clock)
    people = {
        name: Reader(readers[number], house.clock)
        for name, number in (("ann", 0), ("bob", 0), ("bob there", 1))
    }
    tasks = [
        asyncio.create_task(people["ann"].read(live, "ann")),
        asyncio.create_task(people["bob"].read(live, "bob")),
        asyncio.create_task(people["bob there"].read(remote, "bob")),
    ]
    await asyncio.sleep(5)
    await house.take_out(house.instance())
    removed = house.clock.monotonic()
    if away:
        house.store.fail_next("list_errands", StoreUnavailable(), times=2 * round(away / 0.4))
    await asyncio.sleep(60)
    for name in ("bob", "bob there"):
        assert people[name].error is not None, name
        assert people[name].last - removed < away + 1
    assert people["ann"].error is None
    assert people["ann"].last - removed > 50
    await asyncio.gather(*tasks)
    assert all(not each._watching for each in readers)  # pyright: ignore[reportPrivateUsage]


@virtual
async def test_an_owner_who_is_alone_costs_a_look_in_ten_seconds() -> None:
    store = MemoryStore(clock := VirtualClock())
    await store.create_session("ann", SessionDraft(SESSION))
    for words, looks in ((50, 0), (350, 3)):
        runner = make_runner(lines(words, 0.1), store=store)
        live = await runner.start(ask("Hi", session_id=SESSION))
        await Reader(Readers(store, store, clock), clock).read(live, "ann")
        assert store.calls["list_errands"] == looks


@virtual
async def test_who_was_the_owner_when_a_turn_began_can_be_cut_off_as_well() -> None:
    for members in ((), ("bob",)):
        store = MemoryStore(clock := VirtualClock())
        await store.create_session("ann", SessionDraft(SESSION))
        for user in members:
            await let_into(store, SESSION, user)
        runner, readers = make_runner(lines(400, 0.1), store=store), Readers(store, store, clock)
        ann = Reader(readers, clock)
        reading = asyncio.create_task(ann.read(await runner.start(ask("Hi", session_id=SESSION)), "ann"))
        await asyncio.sleep(5)
        await let_into(store, SESSION, "bob")
        await store.set_owner("ann", SESSION, "bob")
        await asyncio.sleep(5)
        assert ann.error is None
        evictions = Evictions(store, make_sockets(store, FakePush(), clock))
        await evictions.during(SESSION, "ann", lambda store=store: store.remove_member("bob", SESSION, "ann"))
        removed = clock.monotonic()
        await reading
        assert ann.error is not None
        assert ann.last - removed < (1 if members else 11)


@virtual
@pytest.mark.parametrize("first", ["expel", "delete"])
async def test_a_socket_that_speaks_while_its_session_is_deleted_is_closed_with_the_others(
    first: str,
) -> None:
    """It is told that there is no session, and whoever is told so is expelled: which must not hide it from the
    deletion."""
    house = await House().open()
    evictions = house.instance()
    now = house.clock.now()
    socket = Connection("a", SESSION, "ann", "session", now, now)

    async def delete() -> None:
        await house.store.delete_session("ann", SESSION)
        if first == "expel":
            evictions.expel(socket)
            await asyncio.sleep(0.1)

    await evictions.during(SESSION, "", delete)
    evictions.expel(socket)
    await asyncio.sleep(1)
    assert {"a", "b"} <= set(house.push.closed)


@virtual
async def test_a_socket_that_is_in_no_list_and_no_group_is_closed_when_it_speaks() -> None:
    house = await House().open()
    now = house.clock.now()
    evictions = house.instance()
    await house.store.remove_member("ann", SESSION, "bob")
    evictions.expel(Connection("forgotten", SESSION, "bob", "session", now, now))
    await asyncio.sleep(1)
    assert "forgotten" in house.push.closed
    assert "a" not in house.push.closed


@virtual
@pytest.mark.parametrize("user", ["ann", "bob"])
async def test_a_stream_ends_with_what_it_was_opened_with(user: str) -> None:
    house = await House().open()
    runner = make_runner(lines(600, 0.1), store=house.store)
    readers = Readers(house.store, house.store, house.clock)
    live = await runner.start(ask("Hi", session_id=SESSION))
    ends = house.clock.now() + timedelta(seconds=20)
    reader, other = Reader(readers, house.clock), Reader(readers, house.clock)
    began = house.clock.monotonic()
    await asyncio.gather(reader.read(live, user, expires=ends), other.read(live, user))
    assert isinstance(reader.error, CredentialEnded)
    assert 19.5 < reader.last - began <= 20
    assert other.error is None and other.last - began > 50


@virtual
async def test_streams_of_a_revoked_key_end_on_every_instance() -> None:
    """Those of owners, too, and no others."""
    house = await House().open()
    runner = make_runner(lines(600, 0.1), store=house.store)
    live = await runner.start(ask("Hi", session_id=SESSION))
    all_readers = [Readers(house.store, house.store, house.clock) for _ in range(2)]
    cut = [Reader(each, house.clock) for each in all_readers]
    kept = [Reader(each, house.clock) for each in all_readers]
    tasks = [asyncio.create_task(each.read(live, "ann", key_id="K1")) for each in cut]
    tasks += [asyncio.create_task(each.read(live, "ann", key_id="K2")) for each in kept]
    await asyncio.sleep(5)

    async def remove() -> None:
        return

    await house.instance().revoke("K1", remove)
    revoked = house.clock.monotonic()
    await asyncio.gather(*tasks)
    assert all(isinstance(each.error, CredentialEnded) and each.last - revoked < 1 for each in cut)
    assert all(each.error is None and each.last - revoked > 50 for each in kept)
    assert house.store.calls["list_errands"] > 0
