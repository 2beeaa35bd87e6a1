"""Clocks that are 15 s off, more than a lease is long: they neither end a healthy turn nor spare a dead one.

One stack with a right clock, one host 15 s ahead and one 15 s behind; each runs a turn that the others follow, and
each follows a turn of a host that gets killed.
"""

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from itertools import permutations
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from local.model_server import expected_text
from tests.support.clients import ChatClient, Frame, connected, text_of
from tests.support.faketime import wrong_clock
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

CLOCKS = {"right": "", "ahead": "+15s", "behind": "-15s"}
PAIRS = list(permutations(CLOCKS, 2))
WORDS, RATE = 440, 20  # 22 s, well over a lease and what is added to it before it counts as expired
LEASE, NOTICED = 12.0, 20.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of all these turns, by the clock of the host that made it and of the host that followed it."""

    clocks: dict[str, float]  # seconds that the host's clock was off
    texts: dict[tuple[str, str], str]
    states: dict[str, str]
    deaths: dict[str, tuple[float, Frame]]  # seconds after the kill, and the frame before the last


@pytest.fixture(scope="module")
def clients(tool: Callable[[str], str]) -> Generator[tuple[Stack, dict[str, str]]]:
    """The stack, and the URL of each host."""
    faketime = tool("faketime")
    with Stack.start(env={"CHAT_COALESCE_MS": "0"}) as stack:
        hosts = {
            name: stack.add_host(wrong_clock(faketime, shift)) for name, shift in CLOCKS.items() if shift
        }
        yield stack, {"right": stack.url} | {name: host.wait_ready() for name, host in hosts.items()}


async def clock_error(client: ChatClient) -> float:
    shown = (await client.call("GET", "/api/v1/chat/health")).body["timestamp"]
    return datetime.fromisoformat(shown).timestamp() - datetime.now().timestamp()


async def follow(client: ChatClient, turn_id: str) -> list[Frame]:
    async with client.follow(turn_id) as stream:
        return await stream.read()


async def healthy_turn(maker: str, at: dict[str, ChatClient]) -> tuple[dict[tuple[str, str], str], str]:
    """The text that each host's follower read, and how the turn ended."""
    async with at[maker].say(f"#chunks={WORDS} #rate={RATE}") as stream:
        others = [name for name in at if name != maker]
        readers = [asyncio.create_task(follow(at[name], stream.turn_id)) for name in others]
        texts = {(maker, maker): text_of(await stream.read())}
    texts |= {(maker, name): text_of(await reader) for name, reader in zip(others, readers, strict=True)}
    return texts, (await at[maker].turn(stream.turn_id))["status"]


async def killed_turn(stack: Stack, at: dict[str, ChatClient]) -> dict[str, tuple[float, Frame]]:
    host = stack.add_host()
    doomed = at["right"].at(await asyncio.to_thread(host.wait_ready))
    async with doomed.say("#endless #rate=20") as stream:
        await stream.take(5)
        readers = {name: asyncio.create_task(follow(client, stream.turn_id)) for name, client in at.items()}
        await asyncio.sleep(1)
        host.kill()
        killed = monotonic()
        found = {name: (await reader)[-2] for name, reader in readers.items()}
    return {name: (frame.at - killed, frame) for name, frame in found.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(clients: tuple[Stack, dict[str, str]]) -> Watched:
    stack, urls = clients
    async with connected(stack.url) as client, asyncio.timeout(60):
        at = {name: client.at(url) for name, url in urls.items()}
        clocks = {name: await clock_error(each) for name, each in at.items()}
        dying = asyncio.create_task(killed_turn(stack, at))
        turns = await asyncio.gather(*(healthy_turn(name, at) for name in at))
        texts: dict[Any, str] = {}
        for found, _ in turns:
            texts |= found
        states = {name: state for name, (_, state) in zip(at, turns, strict=True)}
        return Watched(clocks, texts, states, await dying)


@pytest.mark.parametrize(("clock", "seconds"), [("right", 0), ("ahead", 15), ("behind", -15)])
async def test_the_clocks_are_off_as_they_should_be(watched: Watched, clock: str, seconds: float) -> None:
    assert abs(watched.clocks[clock] - seconds) < 2


@pytest.mark.parametrize(("maker", "reader"), PAIRS)
async def test_a_healthy_turn_is_followed_to_its_end_from_another_clock(
    watched: Watched, maker: str, reader: str
) -> None:
    assert watched.texts[maker, reader] == expected_text(WORDS)


@pytest.mark.parametrize("maker", CLOCKS)
async def test_a_healthy_turn_finishes_whatever_the_clock_of_its_instance(
    watched: Watched, maker: str
) -> None:
    assert (watched.states[maker], watched.texts[maker, maker]) == ("finished", expected_text(WORDS))


@pytest.mark.parametrize("reader", CLOCKS)
async def test_a_dead_instance_is_found_in_time_by_every_clock(watched: Watched, reader: str) -> None:
    seconds, frame = watched.deaths[reader]
    assert frame.payload["code"] == "INTERRUPTED"
    assert LEASE - 3 < seconds < NOTICED  # the last beat may be 3 s older than the death
