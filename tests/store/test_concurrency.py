"""Several processes and store instances on one session: nothing is lost, nothing is doubled, one start wins."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from chat.errors import SessionNotFound, TurnInProgress, VersionConflict
from chat.store.presence_store import Person
from chat.store.turn_store import StartedTurn
from tests.store.builders import Stores, ending, new_session, new_turn, ports_of, said, turn_draft
from tests.store.conftest import OpenStorage
from tests.support.azurite import ROOT, Azurite


async def test_a_thousand_appends_from_two_processes_lose_nothing_and_leave_no_gap(
    open_storage: OpenStorage, azurite: Azurite, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ports_of(open_storage())
    session = await new_session(store)
    started = time.monotonic()
    async with asyncio.timeout(60):
        await asyncio.gather(*(run_appender(azurite.port, prefix, session.id, name, 500) for name in "ab"))
    with capsys.disabled():
        print(f"\n1,000 appends from 2 processes: {time.monotonic() - started:.2f} s with their start")
    stored = await store.conversations.list_messages("ann", session.id, limit=2000)
    assert [each.seq for each in stored] == list(range(1, 1001))
    assert {each.content for each in stored} == {f"{name} {number}" for name in "ab" for number in range(500)}
    assert (await store.conversations.get_session("ann", session.id)).message_count == 1000


async def run_appender(*arguments: object) -> None:
    command = [sys.executable, "-m", "tests.store.appender", *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await process.wait() == 0


async def test_of_twenty_starts_from_two_instances_exactly_one_wins(open_storage: OpenStorage) -> None:
    stores = [ports_of(open_storage()) for _ in range(2)]
    session = await new_session(stores[0])
    outcomes = await asyncio.gather(
        *(
            stores[number % 2].turns.start_turn(turn_draft(session, nonce=f"n{number}"))
            for number in range(20)
        ),
        return_exceptions=True,
    )
    [won] = [each for each in outcomes if isinstance(each, StartedTurn)]
    lost = [each for each in outcomes if each is not won]
    assert all(isinstance(each, TurnInProgress) and each.turn_id == won.turn.id for each in lost)
    messages = await stores[1].conversations.list_messages("ann", session.id, limit=9)
    assert messages == [won.user_message, won.assistant_message]


async def test_a_start_beside_appends_is_refused_or_stands_right_after_its_window(
    open_storage: OpenStorage,
) -> None:
    stores = [ports_of(open_storage()) for _ in range(2)]
    session = await new_session(stores[0])
    start = stores[0].turns.start_turn(turn_draft(session))
    appends = [stores[1].conversations.append_messages("ann", session.id, [said(str(n))]) for n in range(5)]
    outcome, *_ = await asyncio.gather(start, *appends, return_exceptions=True)
    if isinstance(outcome, StartedTurn):
        assert outcome.user_message.seq == 1
    else:
        assert isinstance(outcome, VersionConflict)
    stored = await stores[0].conversations.list_messages("ann", session.id, limit=99)
    assert [each.seq for each in stored] == list(range(1, len(stored) + 1))


async def test_an_end_beside_appends_frees_the_session(open_storage: OpenStorage) -> None:
    stores = [ports_of(open_storage()) for _ in range(2)]
    started = await new_turn(stores[0])
    for number in range(10):
        appends = [
            stores[1].conversations.append_messages("ann", started.session.id, [said("x")]) for _ in "12"
        ]
        await asyncio.gather(stores[0].turns.end_turn(ending(started)), *appends)
        session = await stores[0].conversations.get_session("ann", started.session.id)
        assert session.running_turn == ""
        started = await stores[0].turns.start_turn(turn_draft(session, nonce=f"next {number}"))


async def test_appends_that_race_with_a_delete_land_before_it_or_find_nothing(
    open_storage: OpenStorage,
) -> None:
    stores = [ports_of(open_storage()) for _ in range(2)]
    session = await new_session(stores[0], "one")
    appends = [stores[1].conversations.append_messages("ann", session.id, [said(str(n))]) for n in range(20)]
    _, *outcomes = await asyncio.gather(
        stores[0].conversations.delete_session("ann", session.id), *appends, return_exceptions=True
    )
    assert all(isinstance(each, list | SessionNotFound) for each in outcomes)
    storage = open_storage()
    assert await storage.service.sessions.rows(f"PartitionKey eq '{session.id}'") == []


async def test_of_deletes_at_once_one_is_told_that_it_deleted(open_storage: OpenStorage) -> None:
    stores = [ports_of(open_storage()) for _ in range(2)]
    for _ in range(5):
        session = await new_session(stores[0], "one")
        deletes = (each.conversations.delete_session("ann", session.id) for each in stores for _ in "123")
        outcomes = await asyncio.gather(*deletes, return_exceptions=True)
        assert [type(each) for each in outcomes if each is not None] == [SessionNotFound] * 5


async def test_a_delete_that_was_cut_off_goes_on_when_asked_again(open_storage: OpenStorage) -> None:
    storage = open_storage()
    store = ports_of(storage)
    session = await new_session(store, *("x" * 500 for _ in range(600)))
    cut = asyncio.create_task(store.conversations.delete_session("ann", session.id))
    async with asyncio.timeout(10):
        while await is_there(store, session.id):
            pass
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)
    assert await storage.service.sessions.rows(f"PartitionKey eq '{session.id}'") != []
    with pytest.raises(SessionNotFound):
        await store.conversations.delete_session("ann", session.id)
    assert await storage.service.sessions.rows(f"PartitionKey eq '{session.id}'") == []


async def is_there(store: Stores, session_id: str) -> bool:
    try:
        await store.conversations.get_session("ann", session_id)
    except SessionNotFound:
        return False
    return True


async def test_a_writer_that_has_nothing_to_write_is_forgotten(open_storage: OpenStorage) -> None:
    storage = open_storage()
    store = ports_of(storage)
    for _ in range(3):
        session = await new_session(store, "one")
        await store.conversations.append_messages("ann", session.id, [said("two")])
    await storage.aclose()
    assert len(storage.writers) == 0


async def test_a_caller_that_left_stops_nobody(open_storage: OpenStorage) -> None:
    store = ports_of(open_storage())
    session = await new_session(store)
    calls = [
        asyncio.create_task(store.conversations.append_messages("ann", session.id, [said(str(number))]))
        for number in range(60)
    ]
    await asyncio.sleep(0)
    for call in calls[30:40]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    stored = {each.content for each in await store.conversations.list_messages("ann", session.id, limit=99)}
    assert {str(number) for number in range(60) if not 30 <= number < 40} <= stored


async def test_a_row_that_two_instances_change_at_once_keeps_every_change(open_storage: OpenStorage) -> None:
    stores = [ports_of(open_storage()) for _ in range(2)]
    session = await new_session(stores[0])

    def come(name: str) -> Callable[[Person], Person]:
        return lambda person: replace(person, sockets={**person.sockets, name: True})

    changes = await asyncio.gather(
        *(
            stores[number % 2].presence.change_person(session.id, "bob", come(f"c{number}"))
            for number in range(60)
        )
    )
    assert sum(not before.online for before, _ in changes) == 1
    _, person = await stores[0].presence.change_person(session.id, "bob", lambda each: each)
    assert len(person.sockets) == 60
