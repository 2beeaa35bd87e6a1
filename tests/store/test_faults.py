"""What the tables do when replies get lost, the service freezes, or it is away. Through a real proxy before Azurite."""

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from chat.conversation import Session
from chat.errors import StoreUnavailable
from chat.store.conversation_store import SessionDraft
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import (
    IDS,
    NOW,
    Stores,
    deltas,
    ending,
    new_session,
    new_turn,
    ports_of,
    said,
    terminal,
    turn_draft,
)
from tests.store.conftest import OpenStorage
from tests.support.azurite import Azurite, connection_string
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy

BATCH = b"$batch"
LIMIT = 10.0  # seconds after which no call may still hang


@pytest.fixture
async def proxy(azurite: Azurite) -> AsyncGenerator[FaultyProxy]:
    async with faulty_proxy(azurite.port) as running:
        yield running


@pytest.fixture
async def storage(proxy: FaultyProxy, open_storage: OpenStorage) -> TableStorage:
    opened = open_storage(connection_string(proxy.port))
    await opened.instances.list_leases()  # makes the tables
    return opened


@pytest.fixture
async def store(storage: TableStorage) -> Stores:
    return ports_of(storage)


async def contents(store: Stores, session: Session) -> list[str]:
    return [each.content for each in await store.conversations.list_messages("ann", session.id, limit=99)]


@pytest.mark.parametrize("times", [1, 2])
async def test_an_append_whose_reply_got_lost_is_written_once(
    store: Stores, proxy: FaultyProxy, times: int
) -> None:
    session = await new_session(store, "one")
    proxy.lose_reply(BATCH, times=times)
    [stored] = await store.conversations.append_messages("ann", session.id, [said("two")])
    assert stored == await store.conversations.get_message("ann", stored.id)
    assert await contents(store, session) == ["one", "two"]
    assert proxy.lost >= 1


async def test_many_appends_whose_reply_got_lost_are_written_once(store: Stores, proxy: FaultyProxy) -> None:
    session = await new_session(store)
    proxy.lose_reply(BATCH, times=2)
    texts = [f"text {number}" for number in range(50)]
    await asyncio.gather(
        *(store.conversations.append_messages("ann", session.id, [said(text)]) for text in texts)
    )
    assert sorted(await contents(store, session)) == sorted(texts)
    assert proxy.lost == 2


async def test_a_create_whose_reply_got_lost_gives_the_session(store: Stores, proxy: FaultyProxy) -> None:
    proxy.lose_reply(BATCH)
    session = await new_session(store, "one")
    assert session == await store.conversations.get_session("ann", session.id)
    assert await contents(store, session) == ["one"]
    assert proxy.lost == 1


async def test_a_start_whose_reply_got_lost_gives_the_turn(store: Stores, proxy: FaultyProxy) -> None:
    session = await new_session(store, "one")
    proxy.lose_reply(BATCH)
    started = await store.turns.start_turn(turn_draft(session, "two"))
    assert started.turn == await store.turns.load_turn(started.turn.id)
    assert started.session == await store.conversations.get_session("ann", session.id)
    assert await contents(store, session) == ["one", "two", ""]
    assert proxy.lost == 1


async def test_a_start_with_a_new_session_whose_reply_got_lost_gives_both(
    store: Stores, proxy: FaultyProxy
) -> None:
    draft = SessionDraft(IDS.new())
    proxy.lose_reply(BATCH)
    fresh = Session(draft.id, "ann", "", NOW, NOW)
    started = await store.turns.start_turn(turn_draft(fresh, new=True, history=(said("old"),)))
    assert started.turn == await store.turns.load_turn(started.turn.id)
    assert await contents(store, started.session) == ["old", "Hello", ""]
    assert (await store.conversations.list_sessions("ann", limit=9)).items == (started.session,)
    assert proxy.lost == 1


async def test_an_end_whose_reply_got_lost_is_the_end(store: Stores, proxy: FaultyProxy) -> None:
    started = await new_turn(store)
    proxy.lose_reply(BATCH)
    ended = await store.turns.end_turn(ending(started))
    assert (ended.state, proxy.lost) == ("finished", 1)
    assert ended == await store.turns.load_turn(ended.id)
    assert await store.turns.read_events(ended) == [terminal()]


@pytest.mark.parametrize(("last", "request_part"), [(3, b"sessions HTTP"), (3_000, BATCH)])
async def test_events_whose_reply_got_lost_are_stored_once(
    store: Stores, proxy: FaultyProxy, last: int, request_part: bytes
) -> None:
    turn = (await new_turn(store)).turn
    proxy.lose_reply(request_part)
    await store.turns.append_events(turn, deltas(1, last, "some text"))
    assert await store.turns.read_events(turn) == deltas(1, last, "some text")
    assert proxy.lost == 1


async def test_a_renewal_whose_reply_got_lost_is_a_renewal(store: Stores, proxy: FaultyProxy) -> None:
    lease = await store.instances.register("i1")
    proxy.lose_reply(b"PUT")
    renewed = await store.instances.renew(lease)
    assert (renewed.beat, proxy.lost) == (1, 1)
    assert (await store.instances.renew(renewed)).beat == 2


async def test_a_fence_whose_reply_got_lost_is_a_fence(store: Stores, proxy: FaultyProxy) -> None:
    lease = await store.instances.register("i1")
    proxy.lose_reply(b"PATCH")
    assert await store.instances.fence(lease)
    assert proxy.lost == 1


async def test_a_delete_whose_replies_got_lost_is_a_delete(store: Stores, proxy: FaultyProxy) -> None:
    session = await new_session(store, *(str(number) for number in range(150)))
    for request in (b"PUT", b"PUT", BATCH, b"DELETE"):
        proxy.lose_reply(request)
    await store.conversations.delete_session("ann", session.id)
    assert proxy.lost == 4
    assert (await store.conversations.list_sessions("ann", limit=9)).items == ()


async def test_a_batch_that_arrives_after_it_was_given_up_is_written_once(
    store: Stores, proxy: FaultyProxy
) -> None:
    session = await new_session(store, "one")
    started = time.monotonic()
    proxy.freeze()
    asyncio.get_running_loop().call_later(2.3, proxy.thaw)  # the first try has timed out by then
    await store.conversations.append_messages("ann", session.id, [said("two")])
    assert time.monotonic() - started > 2.2
    assert await contents(store, session) == ["one", "two"]


async def test_a_service_that_comes_back_in_time_is_waited_for(store: Stores, proxy: FaultyProxy) -> None:
    session = await new_session(store, "one")
    proxy.refuse()
    asyncio.get_running_loop().call_later(0.5, proxy.accept)
    started, lease = await asyncio.gather(
        store.turns.start_turn(turn_draft(session)), store.instances.register("i1")
    )
    assert (started.turn.running, lease.beat) == (True, 0)


def every_call(store: Stores, session: Session, storage: TableStorage) -> list[Coroutine[Any, Any, object]]:
    """One call of each kind, on a session without a turn."""
    return [
        storage.ping(),
        store.conversations.create_session("ann", SessionDraft(IDS.new())),
        store.conversations.get_session("ann", session.id),
        store.conversations.list_sessions("ann", limit=9),
        store.conversations.append_messages("ann", session.id, [said("x")]),
        store.conversations.list_messages("ann", session.id, limit=9),
        store.conversations.delete_session("ann", session.id),
        store.turns.start_turn(turn_draft(session)),
        store.turns.load_turn(f"{session.id}-00000002"),
        store.turns.purge_events(ended_before=NOW),
        store.instances.register("i1"),
        store.instances.take_mail("i1"),
        store.instances.retire("i1"),
    ]


@pytest.mark.parametrize("fault", ["freeze", "refuse"])
async def test_a_service_that_is_away_is_reported_in_time(
    store: Stores, storage: TableStorage, proxy: FaultyProxy, fault: str
) -> None:
    session = await new_session(store)
    getattr(proxy, fault)()
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*every_call(store, session, storage), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * len(outcomes)


async def test_a_service_that_is_away_from_the_first_call_on_is_reported_to_all_in_time(
    open_storage: OpenStorage, proxy: FaultyProxy
) -> None:
    instances = open_storage(connection_string(proxy.port)).instances
    proxy.freeze()
    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(
            *(instances.take_mail("i1") for _ in range(20)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 20


async def test_a_turn_whose_service_froze_can_be_ended_later(store: Stores, proxy: FaultyProxy) -> None:
    started = await new_turn(store)
    proxy.freeze()
    async with asyncio.timeout(LIMIT):
        with pytest.raises(StoreUnavailable):
            await store.turns.end_turn(ending(started))
    proxy.thaw()
    ended = await store.turns.end_turn(ending(started))
    assert ended == await store.turns.load_turn(ended.id)
    assert await store.turns.read_events(ended) == [terminal()]


async def test_the_health_check_fails_within_two_seconds(storage: TableStorage, proxy: FaultyProxy) -> None:
    await storage.ping()
    proxy.freeze()
    async with asyncio.timeout(2.5):
        with pytest.raises(StoreUnavailable):
            await storage.ping()
