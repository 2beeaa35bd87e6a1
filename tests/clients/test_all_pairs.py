"""A turn that one protocol started is watched, resumed and stopped by each of the others, at another instance."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from itertools import batched

import aiohttp
import pytest

from local.model_server import expected_text
from tests.clients import pairs, pairs_elsewhere
from tests.clients.ai_sdk.run import play
from tests.clients.pairs import Side, Started
from tests.clients.pairs_elsewhere import turn_of_chat
from tests.support.clients import eventually
from tests.support.described import make_ready
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import negotiate
from tests.support.stack import Stack

SLOW = "#chunks=80 #rate=20 Say"  # four seconds, in which all others come
ENDLESS = "#chunks=900 #rate=20 Say"

STARTS = {**pairs.STARTS, **pairs_elsewhere.STARTS}
WATCHES = {**pairs.WATCHES, **pairs_elsewhere.WATCHES}
STOPS = {**pairs.STOPS, **pairs_elsewhere.STOPS}


@pytest.fixture(scope="module")
def pair() -> Generator[Stack]:
    make_ready()  # else the first frame would wait for it, and who watches come late
    with Stack.start(2, env=ONE_ATTEMPT) as running:
        yield running


@asynccontextmanager
async def sides(stack: Stack) -> AsyncGenerator[tuple[Side, Side]]:
    async with aiohttp.ClientSession() as http:
        yield Side(http, stack.urls[0]), Side(http, stack.urls[1])


@pytest.mark.parametrize("names", batched(STARTS, 2, strict=True), ids="; ".join)
async def test_each_watches_what_the_other_started_and_hears_the_same(
    pair: Stack, names: tuple[str, ...]
) -> None:
    async def hear(name: str) -> dict[str, str]:
        [started] = await STARTS[name](here, [f"{SLOW} {name}"])
        watching = [watch(there, started.turn_id) for watch in WATCHES.values()]
        heard = await asyncio.gather(started.heard, *watching)
        return dict(zip((f"{name}: starter", *WATCHES), heard, strict=True))

    async with sides(pair) as (here, there):
        for heard in await asyncio.gather(*map(hear, names)):
            assert heard == dict.fromkeys(heard, expected_text(80))


@pytest.mark.parametrize("name", STARTS)
async def test_each_stops_what_the_other_started(pair: Stack, name: str) -> None:
    async def stop(other: str, started: Started) -> tuple[str, bool]:
        await STOPS[other](there, started.turn_id)
        async with asyncio.timeout(10):
            heard = await started.heard
        turn = await here.call("GET", f"/api/v1/chat/turns/{started.turn_id}")
        return turn["status"], heard != whole and whole.startswith(heard)

    whole = expected_text(900)
    async with sides(pair) as (here, there):
        begun = await STARTS[name](here, [f"{ENDLESS} {name} {other}" for other in STOPS])
        stopped = await asyncio.gather(*map(stop, STOPS, begun))
        assert dict(zip(STOPS, stopped, strict=True)) == dict.fromkeys(STOPS, ("cancelled", True))


async def test_all_hear_the_same_of_what_an_abort_on_a_socket_stops(pair: Stack) -> None:
    """By WebSocketChatTransport, which begins the turn as well: `abort` stops what its socket asked."""
    async with sides(pair) as (here, there):
        address = (await negotiate(here.client, "/ws?dialect=ai-sdk"))["url"]
        steps = ({"send": ENDLESS, "meanwhile": True, "until": "word20"}, {"stop": True})
        playing = asyncio.create_task(play(here.url, "aborted", *steps, transport="socket", socket=address))
        turn_id = await eventually(lambda: turn_of_chat(there, "aborted"), seconds=20, what="turn")
        heard = await asyncio.gather(*(watch(there, turn_id) for watch in WATCHES.values()))
        page = (await playing).text
        whole = expected_text(900)
        assert whole.startswith(heard[0]) and heard[0] != whole
        assert dict(zip(WATCHES, heard, strict=True)) == dict.fromkeys(WATCHES, heard[0])
        assert page and heard[0].startswith(page)
