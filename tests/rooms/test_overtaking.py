"""Late joiners while the service is slow or just back, and while the next turn begins at once: nothing comes twice, and
no end without its beginning."""

import asyncio
import random

import pytest

from chat.errors import PushError
from tests.rooms.two_instances import SESSION, World, world
from tests.support.sockets import said
from tests.support.turns import ask, lines, words
from tests.support.virtual_time import virtual


def shown(here: World, name: str, turn_id: str) -> tuple[int, str, int]:
    """Of one turn: how often it began, what is printed of it, and how often it ended."""
    frames = [each for each in here.push.seen[name] if each.get("turn_id") == turn_id]
    starts = sum(each["type"] == "chat_start" or each.get("action") == "new_message" for each in frames)
    ends = sum(
        bool(each.get("payload", {}).get("done")) or each.get("action") == "completed" for each in frames
    )
    text = said(frames) or "".join(each.get("payload", {}).get("text", "") for each in frames)
    return starts, text, ends


@virtual
async def test_many_who_come_at_the_end_of_a_turn_to_a_slow_service_are_shown_it_once() -> None:
    async with world(lines(30, 0.1)) as here:
        await here.open("first", at=0)
        live = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(2.5)
        here.push.delay = 0.25
        names = [f"c{number}" for number in range(200)]
        await asyncio.gather(*(here.open(name, ("chat", "session")[int(name[1:]) % 2]) for name in names))
        await asyncio.sleep(120)
        for name in names:
            assert shown(here, name, live.turn.id) == (1, words(30), 1), name


@virtual
async def test_who_comes_when_the_service_is_just_back_gets_no_end_without_a_beginning() -> None:
    async with world(lines(30, 0.1), lines(3, 0.1)) as here:
        await here.open("first", at=0)
        live = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(1)
        for call in ("send_to_group", "send_to_connection", "add_to_group"):
            here.push.fail_next(call, PushError(), times=10_000)
        await asyncio.sleep(59)
        here.push.failures.clear()
        await here.open("new", "chat")
        await here.open("room", "session")
        await asyncio.sleep(60)
        for name in ("new", "room"):
            assert shown(here, name, live.turn.id) == (0, "", 0)
        assert shown(here, "first", live.turn.id) == (1, words(30), 1)
        second = await here.apps[0].runner.start(ask("More", session_id=SESSION))
        await asyncio.sleep(10)
        for name in ("first", "new", "room"):
            assert shown(here, name, second.turn.id) == (1, words(3), 1)


@pytest.mark.parametrize("seed", range(6))
def test_the_next_turn_begins_for_those_who_come_once_the_one_before_is_shown(seed: int) -> None:
    @virtual
    async def run() -> None:
        chance = random.Random(seed)
        async with world(lines(30, 0.1), lines(30, 0.1)) as here:
            here.push.delay = 0.02
            loop = asyncio.get_running_loop()
            begin = loop.time() + 0.5
            moments = [chance.uniform(2.0, 3.3) for _ in range(30)]

            async def come(number: int, moment: float) -> None:
                await asyncio.sleep(begin + moment - loop.time())
                await here.open(f"c{number}", ("chat", "session")[number % 2], at=chance.randrange(2))

            comers = [asyncio.create_task(come(number, moment)) for number, moment in enumerate(moments)]
            await asyncio.sleep(0.5)
            live = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
            await asyncio.sleep(1)
            await here.apps[0].ask(ask("Next", session_id=SESSION), usual="queue")  # begins at once
            await asyncio.sleep(60)
            await asyncio.gather(*comers)
            *_, newest = await here.store.list_messages("ann", SESSION, limit=50)
            for number in range(len(moments)):
                # Who came in the moment between the two turns may be shown the second alone, but all of it.
                assert shown(here, f"c{number}", live.turn.id) in ((1, words(30), 1), (0, "", 0)), number
                assert shown(here, f"c{number}", newest.id) == (1, words(30), 1), number

    run()


@pytest.mark.parametrize("after", [0.5, 6.0, 9.0])
def test_who_comes_once_the_maker_is_dead_hears_the_end_though_the_next_turn_begins(after: float) -> None:
    @virtual
    async def run() -> None:
        async with world(lines(100, 0.1)) as here:
            await here.open("first", "session")
            live = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
            await asyncio.sleep(2)
            await here.apps[1].ask(ask("Next", session_id=SESSION), usual="queue")
            here.links[0].freeze()
            await asyncio.sleep(after)
            await here.open("late", "session")
            assert here.push.seen["late"][0]["running_turn"]["id"] == live.turn.id
            await asyncio.sleep(60)
            for name in ("first", "late"):
                failed = [each["turn_id"] for each in here.push.seen[name] if each.get("action") == "failed"]
                assert failed.count(live.turn.id) == 1, name
            here.links[0].thaw()

    run()


@virtual
async def test_the_end_of_a_dead_turn_is_shown_before_the_next_turn_begins() -> None:
    async with world(lines(100, 0.1), others=[lines(20, 0.1)]) as here:
        await here.open("page")
        dead = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(2)
        await here.apps[1].ask(ask("Next", session_id=SESSION), usual="queue")
        here.links[0].freeze()
        await here.apps[0].sockets.require().rooms.aclose()  # it is dead: it sends no more
        here.push.delay = 0.3
        await here.apps[1].runner.look("ann", dead.turn.id)
        await asyncio.sleep(60)
        turns = [each["turn_id"] for each in here.push.seen["page"]]
        assert len(set(turns)) == 2
        assert turns == sorted(turns)
        here.links[0].thaw()


@virtual
async def test_the_end_of_a_dead_turn_is_told_although_the_service_is_away() -> None:
    async with world(lines(100, 0.1)) as here:
        await here.open("page")
        live = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(2)
        maker = here.apps[0].sockets.require()
        here.links[0].freeze()
        await maker.rooms.aclose()  # it is dead: it sends no more
        await here.apps[1].runner.look("ann", live.turn.id)
        here.push.fail_next("send_to_group", PushError(), times=10_000)
        await asyncio.sleep(60)
        assert not (await here.store.load_turn(live.turn.id)).running
        here.push.failures.clear()
        await asyncio.sleep(30)
        assert [each["type"] for each in here.push.seen["page"]].count("chat_error") == 1
        here.links[0].thaw()
