"""Stopping a turn, from wherever one asks."""

import asyncio
from time import monotonic
from typing import Any

import aiohttp
import pytest

from tests.support.clients import DONE, TERMINAL, ChatClient, Frame, eventually, text_of
from tests.support.stack import Stack

ENDLESS = "#endless #rate=20"
PROMPT = 1.0  # seconds in which a turn stops


@pytest.fixture(params=["here", "there"])
def place(request: pytest.FixtureRequest, here: ChatClient, there: ChatClient) -> ChatClient:
    """Where one cancels: at the instance that makes the turn, and at the other."""
    return here if request.param == "here" else there


async def connections(stack: Stack) -> dict[str, int]:
    """How the model stand-in's answers ended, once none is on its way."""
    url = stack.model_url.removesuffix("/openai/v1") + "/_model/connections"

    async def settled() -> dict[str, int] | None:
        async with aiohttp.ClientSession() as http, http.get(url) as reply:
            found = await reply.json()
            return None if found["open"] else found

    return await eventually(settled, seconds=PROMPT, what="end of every answer") or {}


async def cancelled(here: ChatClient, place: ChatClient, dialect: str = "delta") -> tuple[Any, list[Frame]]:
    """An endless turn, stopped after a few words: the reply to the cancel, and all that its reader got."""
    async with here.ask(await here.new_session(), ENDLESS, dialect) as stream:
        first = await stream.take(5)
        reply = await place.cancel(stream.turn_id)
        return reply, [*first, *await stream.read()]


@pytest.mark.usefixtures("alone")
async def test_cancel_stops_the_turn_for_its_reader_within_a_second(
    here: ChatClient, place: ChatClient
) -> None:
    async with here.ask(await here.new_session(), ENDLESS) as stream, asyncio.TaskGroup() as group:
        await stream.take(5)
        began = monotonic()
        reply = group.create_task(place.cancel(stream.turn_id))
        last = (await stream.read())[-1]
    assert (reply.result().status, last.id) == (200, TERMINAL)
    assert last.at - began < PROMPT


@pytest.mark.usefixtures("alone")
async def test_cancel_is_answered_within_a_second_with_the_turn_as_it_ended(
    here: ChatClient, place: ChatClient
) -> None:
    async with here.say(ENDLESS) as stream:
        await stream.take(3)
        began = monotonic()
        reply = await place.cancel(stream.turn_id)
        assert monotonic() - began < PROMPT
    assert reply.status == 200
    assert (reply.body["id"], reply.body["status"]) == (stream.turn_id, "cancelled")
    assert reply.body == await place.turn(stream.turn_id)


@pytest.mark.usefixtures("alone")
async def test_cancel_closes_the_connection_to_the_model(
    pair: Stack, here: ChatClient, place: ChatClient
) -> None:
    before = await connections(pair)
    await cancelled(here, place)
    now = await connections(pair)
    assert now["closed_by_client"] == before["closed_by_client"] + 1
    assert now["total"] == before["total"] + 1


async def test_the_text_so_far_is_kept_as_cancelled(here: ChatClient, place: ChatClient) -> None:
    reply, frames = await cancelled(here, place)
    *_, answer = await place.messages(reply.body["session_id"])
    assert (answer["status"], answer["is_streaming"]) == ("cancelled", False)
    assert answer["content"] == text_of(frames)
    assert answer["content"].startswith("word1 word2 word3 word4 word5")


async def test_a_reader_of_dialect_delta_gets_done_without_an_error(
    here: ChatClient, place: ChatClient
) -> None:
    _, frames = await cancelled(here, place)
    assert frames[-1].data == DONE
    assert {frame.payload["type"] for frame in frames[:-1]} == {"text.delta"}


async def test_a_reader_of_dialect_chat_gets_its_last_frame(here: ChatClient, place: ChatClient) -> None:
    _, frames = await cancelled(here, place, "chat")
    assert frames[-1].payload["payload"] == {"text": "", "done": True}


async def test_a_session_takes_a_new_turn_after_a_cancel(here: ChatClient, place: ChatClient) -> None:
    reply, _ = await cancelled(here, place)
    heard = await place.hear("#chunks=2", reply.body["session_id"])
    assert heard.text == "word1 word2"


async def test_a_turn_that_says_nothing_yet_can_be_cancelled(here: ChatClient, place: ChatClient) -> None:
    session_id = await here.new_session()
    reading = asyncio.create_task(here.hear("#chunks=1 #first=20000", session_id))
    reply = await place.cancel(await here.running_turn(session_id))
    assert reply.body["status"] == "cancelled"
    assert [frame.data for frame in (await reading).frames] == [DONE]


async def test_cancelling_an_ended_turn_gives_it_as_it_ended(here: ChatClient, place: ChatClient) -> None:
    heard = await here.hear("#chunks=2")
    reply = await place.cancel(heard.turn_id)
    assert (reply.status, reply.body["status"]) == (200, "finished")


async def test_cancelling_twice_is_cancelling_once(here: ChatClient, place: ChatClient) -> None:
    reply, _ = await cancelled(here, place)
    assert (await place.cancel(reply.body["id"])).body == reply.body


@pytest.mark.parametrize(
    "turn_id", ["nothing", "01M7XNHA5XT5A9JSFT52QBJFGY-00000002", "%F0%9F%98%80", "a%2Fb"]
)
async def test_cancelling_an_unknown_turn_is_404(place: ChatClient, turn_id: str) -> None:
    reply = await place.call("POST", f"/api/v1/chat/turns/{turn_id}/cancel")
    assert (reply.status, reply.body["error_code"]) == (404, "TURN_NOT_FOUND")


async def test_another_users_turn_cannot_be_cancelled(here: ChatClient, place: ChatClient) -> None:
    async with here.say(ENDLESS) as stream:
        reply = await place.as_user("eve").cancel(stream.turn_id)
        assert (reply.status, reply.body["error_code"]) == (404, "TURN_NOT_FOUND")
        assert (await here.turn(stream.turn_id))["status"] == "running"
        await here.cancel(stream.turn_id)
