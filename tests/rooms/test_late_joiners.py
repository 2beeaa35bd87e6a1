"""Sockets that open at any moment of a turn, at two instances over one store: each prints the answer once, and once
its end."""

import asyncio
import random
from typing import Any

import pytest

from chat.errors import PushError, StoreUnavailable
from chat.push.base import EVERYBODY
from tests.rooms.two_instances import SESSION, world
from tests.support.sockets import said
from tests.support.turns import ask, lines, words
from tests.support.virtual_time import virtual


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_whoever_comes_whenever_prints_the_answer_once_and_its_end_once(seed: int, delay: float) -> None:
    @virtual
    async def run() -> None:
        chance = random.Random(seed)
        async with world(lines(30, 0.1)) as here:
            here.push.delay = delay
            loop = asyncio.get_running_loop()
            begin = loop.time() + 0.5
            moments = [chance.uniform(-0.4, 2.7) for _ in range(20)]
            moments += [chance.uniform(2.7, 3.05) for _ in range(20)]  # the last 0.3 s

            async def come(number: int, moment: float) -> None:
                await asyncio.sleep(begin + moment - loop.time())
                await here.open(f"c{number}", ("chat", "session")[number % 2], at=chance.randrange(2))

            comers = [asyncio.create_task(come(number, moment)) for number, moment in enumerate(moments)]
            await asyncio.sleep(0.5)
            live = await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
            await asyncio.sleep(30)
            await asyncio.gather(*comers)
            turn = await here.store.load_turn(live.turn.id)
            assert turn.ended_at
            ended = (turn.ended_at - turn.started_at).total_seconds()
            for number, moment in enumerate(moments):
                name = f"c{number}"
                text = here.text(name) if number % 2 == 0 else said(here.push.seen[name])
                seen = (text, here.ends(name))
                late = here.accepted[name] - begin > ended  # it was let in when all was over
                assert seen == (words(30), 1) or (late and seen == ("", 0)), (name, moment, ended)

    run()


@virtual
async def test_a_page_that_connects_and_posts_at_the_same_moment_sees_all_of_its_answer() -> None:
    for step in range(40):
        async with world(lines(30, 0.005)) as here:
            opening = asyncio.create_task(here.open("page", at=1, opening=0.1))
            await asyncio.sleep(step * 0.005)
            await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
            await opening
            await asyncio.sleep(10)
            assert (here.text("page"), here.ends("page")) == (words(30), 1), step
            assert [each["type"] for each in here.push.seen["page"]].count("chat_start") == 1


@virtual
async def test_a_page_that_connects_during_a_whole_turn_sees_it_all_the_same() -> None:
    async with world(["done"]) as here:
        opening = asyncio.create_task(here.open("page", opening=2.0))
        await asyncio.sleep(0.1)
        here.push.unopened.add("page")
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await opening
        await asyncio.sleep(5)
        assert (here.text("page"), here.ends("page")) == ("done", 1)


@virtual
async def test_a_long_answer_is_shown_to_a_late_joiner_at_another_instance() -> None:
    script: list[Any] = ["x" * 8192] * 160 + [60.0, "end"]
    async with world(script) as here:
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(10)
        await here.open("late", "session")
        welcome = here.push.seen["late"][0]
        assert welcome["type"] == "connection_established"
        assert (len(welcome["running_turn"]["text"]), welcome["running_turn"]["truncated"]) == (65_536, True)
        await asyncio.sleep(100)
        assert said(here.push.seen["late"]) == "x" * 8192 * 160 + "end"
        assert here.ends("late") == 1


@virtual
async def test_a_socket_is_let_in_although_the_maker_dies_before_it_reads_its_mail() -> None:
    async with world(lines(100, 0.1)) as here:
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(2)
        here.links[0].freeze()
        await here.open("late")
        await asyncio.sleep(60)
        assert here.ends("late") <= 1
        assert here.push.seen["late"][0]["type"] == "chat_start"
        assert here.push.seen["late"][-1]["type"] == "chat_error"
        here.links[0].thaw()


@virtual
async def test_a_socket_is_let_in_although_the_service_and_the_store_fail_for_a_minute() -> None:
    async with world(lines(5, 0.1), lines(5, 0.1)) as here:
        here.push.fail_next("add_to_group", PushError(), times=6)
        here.links[1].fail_next("load_session", StoreUnavailable(), times=1)
        await here.open("page")
        await asyncio.sleep(120)
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(10)
        assert (here.text("page"), here.ends("page")) == (words(5), 1)


@virtual
async def test_sockets_hear_the_end_of_a_turn_that_ended_while_the_service_was_away() -> None:
    async with world(lines(30, 0.1)) as here:
        for number in range(8):
            await here.open(f"c{number}", ("chat", "session")[number % 2], at=number // 4)
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(1)
        for call in ("send_to_group", "send_to_connection", "add_to_group"):
            here.push.fail_next(call, PushError(), times=10_000)
        await asyncio.sleep(5)
        await here.open("late")
        await asyncio.sleep(55)
        here.push.failures.clear()
        await asyncio.sleep(120)
        for number in range(8):
            name = f"c{number}"
            text = here.text(name) if number % 2 == 0 else said(here.push.seen[name])
            assert (text, here.ends(name)) == (words(30), 1)


@virtual
async def test_a_socket_that_opens_while_the_store_is_away_is_greeted_later() -> None:
    async with world(lines(200, 0.1)) as here:
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        opening = asyncio.create_task(here.open("late", "session"))
        await asyncio.sleep(0.004)
        here.links[1].fail_next("change_person", StoreUnavailable(), times=3)
        await opening
        await asyncio.sleep(30)
        assert not here.links[1].failures["change_person"]
        assert here.push.seen["late"][0]["type"] == "connection_established"
        assert (said(here.push.seen["late"]), here.ends("late")) == (words(200), 1)


@virtual
@pytest.mark.parametrize("before_the_end", [0.6, 0.15])
async def test_who_is_in_sees_one_end_although_nobody_could_note_that_it_is(before_the_end: float) -> None:
    async with world(lines(30, 0.1), lines(5, 0.1)) as here:
        await here.apps[0].runner.start(ask("Hi", session_id=SESSION))
        await asyncio.sleep(3 - before_the_end)
        here.links[0].fail_next("note", StoreUnavailable(), times=1)
        await here.open("late")
        await asyncio.sleep(60)
        assert not here.links[0].failures["note"]
        assert (here.text("late"), here.ends("late")) == (words(30), 1)
        [row] = await here.store.connections(SESSION)
        assert row.joined


@virtual
async def test_a_socket_whose_row_was_taken_away_is_closed_and_not_let_in() -> None:
    async with world(lines(50, 0.1)) as here:
        here.push.fail_next("add_to_group", PushError(), times=2)
        await here.open("late")
        [row] = await here.store.connections(SESSION)
        await here.apps[1].sockets.require().attendance.left(row)
        await asyncio.sleep(10)
        assert here.push.closed == ["late"]
        shown = {name: members for name, members in here.push.groups.items() if name != EVERYBODY}
        assert not any("late" in members for members in shown.values())
