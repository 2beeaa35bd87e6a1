"""Two instances over one store: following, stopping and outliving each other; and a store that fails."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from chat import events
from chat.conversation import Turn
from chat.errors import StoreUnavailable, TurnInProgress
from chat.events import NumberedEvent
from chat.providers.scripted import ScriptedProvider
from chat.store.conversation_store import SessionDraft
from chat.turns.feed import LiveTurn
from chat.turns.flush import PATIENCE
from chat.turns.runner import TurnRunner
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, ask, kinds, last, lines, make_runner, read, text_of, words
from tests.support.virtual_time import VirtualClock, virtual

NEW_SESSION = "0" * 25 + "A"


def memory() -> MemoryStore:
    return MemoryStore(VirtualClock())


async def started(runner: TurnRunner, until: int = 8) -> LiveTurn:
    live = await runner.start(ask())
    await read(live.feed, until=until)
    return live


@virtual
async def test_a_turn_is_followed_from_another_instance_while_it_runs() -> None:
    store = memory()
    here, there = make_runner(lines(50, 0.1), store=store), make_runner(store=store)
    live = await started(here)
    remote = await there.open("ann", live.turn.id)
    assert remote.feed is not live.feed
    assert await read(remote.feed) == await read(live.feed)


@virtual
async def test_a_follower_elsewhere_is_never_more_than_a_moment_behind() -> None:
    store = memory()
    here, there = make_runner(lines(200, 0.1), store=store), make_runner(store=store)
    live = await started(here)
    remote = await there.open("ann", live.turn.id)
    follower = asyncio.create_task(read(remote.feed, until=100))
    await asyncio.sleep(3)
    behind = []
    for _ in range(20):
        await asyncio.sleep(0.21)
        behind.append(live.feed.last_number - remote.feed.last_number)
    assert max(behind) <= 7  # 0.25 s to the flush and 0.25 s to the poll, at ten events a second
    await follower


@virtual
async def test_followers_elsewhere_share_one_poller_which_ends_with_them() -> None:
    store = memory()
    here, there = make_runner(lines(1000, 0.1), store=store), make_runner(store=store)
    live = await started(here)
    feeds = {id((await there.open("ann", live.turn.id)).feed) for _ in range(10)}
    assert len(feeds) == 1
    await asyncio.sleep(8)
    before = store.calls["read_events"]
    await asyncio.sleep(5)
    assert store.calls["read_events"] == before


@virtual
async def test_cancel_from_another_instance_stops_the_turn_within_a_second() -> None:
    store = memory()
    provider = ScriptedProvider(lines(100, 0.1))
    here, there = make_runner(store=store, provider=provider), make_runner(store=store)
    live = await started(here)
    loop = asyncio.get_running_loop()
    began = loop.time()
    turn = await there.cancel("ann", live.turn.id)
    assert loop.time() - began < 1
    assert (turn.state, provider.open_streams) == ("cancelled", 0)


@virtual
async def test_a_dead_instances_turn_is_interrupted_for_its_followers_within_20_seconds() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(["Again"], store=store)
    live = await started(here)
    follower = asyncio.create_task(read((await there.open("ann", live.turn.id)).feed))
    await asyncio.sleep(2)
    began = asyncio.get_running_loop().time()
    link.freeze()
    said = await follower
    assert asyncio.get_running_loop().time() - began < 20
    assert_interrupted(last(said))
    message = await store.get_message("ann", live.turn.id)
    assert (message.status, message.content) == ("interrupted", text_of(said))
    assert message.content.startswith(words(10))
    again = await there.start(ask(session_id=live.turn.session_id))
    assert kinds(await read(again.feed))[-1] == "TurnFinished"


@virtual
async def test_a_start_that_meets_a_dead_instances_turn_frees_the_session() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(["Again"], store=store)
    live = await started(here)
    link.freeze()
    with pytest.raises(TurnInProgress):
        await there.start(ask(session_id=live.turn.session_id))
    await asyncio.sleep(20)
    again = await there.start(ask(session_id=live.turn.session_id))
    assert kinds(await read(again.feed))[-1] == "TurnFinished"


@virtual
async def test_an_instance_that_died_before_its_first_flush_leaves_an_empty_interrupted_answer() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(store=store)
    live = await started(here, until=1)
    link.freeze()
    said = await read((await there.open("ann", live.turn.id)).feed)
    assert kinds(said) == ["TurnStarted", "TurnFailed"]
    assert (await store.get_message("ann", live.turn.id)).status == "interrupted"


@virtual
async def test_a_process_that_was_stopped_for_too_long_drops_its_turn() -> None:
    store = memory()
    link = Link(store)
    provider = ScriptedProvider(lines(1000, 0.1))
    here, there = make_runner(store=link, provider=provider), make_runner(store=store)
    live = await started(here)
    reader = asyncio.create_task(read(live.feed))
    remote = await there.open("ann", live.turn.id)
    await asyncio.sleep(1)
    link.freeze()
    assert_interrupted(last(await read(remote.feed)))
    stored = await store.get_message("ann", live.turn.id)
    link.thaw()
    assert_interrupted(last(await reader))
    assert provider.open_streams == 0
    await asyncio.sleep(5)
    assert await store.get_message("ann", live.turn.id) == stored
    assert here.running == 0


@virtual
async def test_a_process_that_dropped_its_turns_makes_new_ones_under_a_new_lease() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(20, 0.1), store=link), make_runner(store=store)
    live = await started(here)
    remote = await there.open("ann", live.turn.id)
    link.freeze()
    await read(remote.feed)
    link.thaw()
    await read(live.feed)
    again = await here.start(ask(session_id=live.turn.session_id))
    assert kinds(await read(again.feed))[-1] == "TurnFinished"
    assert again.turn.instance_id != live.turn.instance_id


@virtual
async def test_a_clock_that_is_off_kills_no_healthy_turn() -> None:
    store = memory()
    here = make_runner(lines(400, 0.1), store=store)
    there = make_runner(store=store, clock=VirtualClock(skew=15))
    live = await started(here)
    said = await read((await there.open("ann", live.turn.id)).feed)
    assert kinds(said)[-1] == "TurnFinished"


@virtual
async def test_a_store_that_hangs_for_10_seconds_kills_no_healthy_turn() -> None:
    store = memory()
    here, there = make_runner(lines(400, 0.1), store=store), make_runner(store=store)
    live = await started(here)
    follower = asyncio.create_task(read((await there.open("ann", live.turn.id)).feed))
    await asyncio.sleep(2)
    store.freeze()
    await asyncio.sleep(10)
    store.thaw()
    said = await follower
    assert kinds(said)[-1] == "TurnFinished"
    assert text_of(said) == words(400)


@virtual
async def test_a_store_that_fails_for_long_ends_the_turn_and_its_readers_are_told() -> None:
    store = memory()
    link = Link(store)
    here = make_runner(lines(4000, 0.1), store=link)
    live = await started(here)
    for method in ("append_events", "renew", "end_turn"):
        link.fail_next(method, StoreUnavailable(), times=100_000)
    loop = asyncio.get_running_loop()
    began = loop.time()
    failed = last(await read(live.feed))
    assert PATIENCE <= loop.time() - began < PATIENCE + 5
    assert isinstance(failed, events.TurnFailed)
    assert (failed.code, failed.retryable) == ("STORE_UNAVAILABLE", True)
    assert here.running == 1
    link.failures.clear()
    await asyncio.sleep(15)
    assert here.running == 0
    message = await store.get_message("ann", live.turn.id)
    assert (message.status, message.content) == ("failed", text_of(live.feed.events))


@virtual
async def test_a_turn_with_too_much_unstored_text_ends_before_it_fills_the_memory() -> None:
    store = memory()
    link = Link(store)
    link.fail_next("append_events", StoreUnavailable(), times=100_000)
    here = make_runner([part for _ in range(4000) for part in ("x" * 8000, 0.01)], store=link)
    live = await here.start(ask())
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert failed.code == "STORE_UNAVAILABLE"
    assert len(text_of(live.feed.events)) < 4 * 1024 * 1024


@virtual
async def test_an_answer_whose_end_cannot_be_stored_is_told_to_its_readers_and_stored_later() -> None:
    store = memory()
    link = Link(store)
    here = make_runner(["Hello"], store=link)
    link.fail_next("end_turn", StoreUnavailable(), times=100_000)
    live = await here.start(ask())
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert failed.code == "STORE_UNAVAILABLE"
    link.failures.clear()
    await asyncio.sleep(10)
    assert (await store.get_message("ann", live.turn.id)).content == "Hello"
    assert (await store.get_session("ann", live.turn.session_id)).running_turn == ""


LOST_REPLIES = ["append_events", "end_turn", "renew", "take_mail"]


@pytest.mark.parametrize("method", LOST_REPLIES)
def test_a_reply_that_gets_lost_changes_nothing_for_anyone(method: str) -> None:
    @virtual
    async def check() -> None:
        store = memory()
        link = Link(store)
        link.fail_next(method, StoreUnavailable(), after_effect=True, times=2)
        live = await make_runner(lines(100, 0.1), store=link).start(ask())
        said = await read(live.feed)
        assert (kinds(said)[-1], text_of(said)) == ("TurnFinished", words(100))
        turn = await store.get_turn("ann", live.turn.id)
        assert await store.read_events(turn) == said

    check()


@virtual
async def test_a_follower_keeps_its_place_through_half_a_minute_of_store_errors() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(600, 0.1), store=store), make_runner(store=link)
    live = await started(here)
    follower = asyncio.create_task(read((await there.open("ann", live.turn.id)).feed))
    await asyncio.sleep(1)
    link.fail_next("read_events", StoreUnavailable(), times=80)  # 20 s of polls
    assert text_of(await follower) == words(600)


@virtual
async def test_a_follower_is_told_when_the_store_stays_away() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(2000, 0.1), store=store), make_runner(store=link)
    live = await started(here)
    remote = await there.open("ann", live.turn.id)
    follower = asyncio.create_task(read(remote.feed))
    await asyncio.sleep(1)
    link.fail_next("read_events", StoreUnavailable(), times=1000)
    with pytest.raises(StoreUnavailable):
        await follower


@virtual
async def test_the_sweeper_ends_what_nobody_looks_at() -> None:
    store = memory()
    link = Link(store)
    here, there = make_runner(lines(1000, 0.1), store=link), make_runner(store=store)
    live = await started(here)
    await asyncio.sleep(1)
    link.freeze()
    for _ in range(3):
        await there.sweeper.sweep(events_ttl=timedelta(hours=1))
        await asyncio.sleep(57)
    assert (await store.get_message("ann", live.turn.id)).status == "interrupted"
    assert await store.list_leases() == []


@virtual
async def test_the_sweeper_leaves_the_living_alone() -> None:
    store = memory()
    here, there = make_runner(lines(2000, 0.1), store=store), make_runner(store=store)
    live = await started(here)
    for _ in range(3):
        await there.sweeper.sweep(events_ttl=timedelta(hours=1))
        await asyncio.sleep(30)
    assert kinds(await read(live.feed))[-1] == "TurnFinished"


@virtual
async def test_the_sweeper_purges_events_that_are_old() -> None:
    store = memory()
    runner = make_runner(["Hello"], store=store)
    live = await runner.start(ask())
    await read(live.feed)
    await runner.sweeper.sweep(events_ttl=timedelta(hours=1))
    assert await store.read_events(live.turn)
    await asyncio.sleep(3500)
    await runner.sweeper.sweep(events_ttl=timedelta(minutes=50))
    assert await store.read_events(live.turn) == []


@virtual
async def test_a_turn_that_somebody_else_ended_shows_the_end_that_is_stored() -> None:
    store = memory()
    here, there = make_runner(lines(20, 0.1), store=store), make_runner(store=store)
    live = await started(here)
    await there.sweeper.end(live.turn)
    assert_interrupted(last(await read(live.feed)))


@virtual
async def test_an_instance_that_cannot_renew_its_lease_does_not_write_under_it() -> None:
    store = memory()
    link = Link(store)
    live = await started(make_runner(lines(1000, 0.1), store=link))
    await asyncio.sleep(2)
    for method in ("renew", "take_mail"):
        link.fail_next(method, StoreUnavailable(), times=1000)
    await asyncio.sleep(9)
    before = await store.read_events(live.turn)
    await asyncio.sleep(5)
    assert await store.read_events(live.turn) == before


@virtual
async def test_a_start_whose_reply_got_lost_does_not_block_its_session() -> None:
    store = memory()
    link = Link(store)
    here = make_runner(["Hello"], store=link)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    link.fail_next("start_turn", StoreUnavailable(), after_effect=True)
    with pytest.raises(StoreUnavailable):
        await here.start(ask(session_id=NEW_SESSION))
    assert (await store.get_session("ann", NEW_SESSION)).running_turn
    await asyncio.sleep(5)
    again = await here.start(ask(session_id=NEW_SESSION))
    assert kinds(await read(again.feed))[-1] == "TurnFinished"
    stored = await store.list_messages("ann", NEW_SESSION, limit=10)
    assert [each.status for each in stored] == ["complete", "failed", "complete", "complete"]


@virtual
async def test_a_request_repeated_after_a_lost_reply_gets_an_answer_about_its_turn() -> None:
    store = memory()
    link = Link(store)
    here = make_runner(["Hello"], store=link)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    link.fail_next("start_turn", StoreUnavailable(), after_effect=True)
    with pytest.raises(StoreUnavailable):
        await here.start(ask(session_id=NEW_SESSION, nonce="key"))
    live = await here.start(ask(session_id=NEW_SESSION, nonce="key"))
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert (failed.code, failed.retryable) == ("STORE_UNAVAILABLE", True)


class RecordingStore(MemoryStore):
    """Remembers what it was asked to append."""

    def __init__(self) -> None:
        super().__init__(VirtualClock())
        self.batches: list[Sequence[NumberedEvent]] = []

    async def append_events(self, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        self.batches.append(events)
        await super().append_events(turn, events)


@virtual
async def test_a_flush_is_repeated_unchanged_until_it_landed_and_the_next_goes_on_from_there() -> None:
    store = RecordingStore()
    store.fail_next("append_events", StoreUnavailable(), after_effect=True, times=2)
    live = await make_runner(lines(50, 0.1), store=store).start(ask())
    said = await read(live.feed)
    assert store.batches[0] == store.batches[1] == store.batches[2]
    stored = [each for batch in store.batches[2:] for each in batch]
    assert stored == said[: len(stored)]


def assert_interrupted(event: events.TurnEvent) -> None:
    assert isinstance(event, events.TurnFailed)
    assert (event.code, event.retryable) == ("INTERRUPTED", True)
