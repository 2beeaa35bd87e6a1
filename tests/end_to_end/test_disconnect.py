"""Clients that leave, come back, or come late: the turn goes on, and everyone reads the same."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import pytest

from local.model_server import expected_text
from tests.support.clients import TERMINAL, ChatClient, text_of

# One event a delta, as the merge window is 0: TurnStarted, StepStarted, TextStarted, 12 deltas, TextFinished,
# UsageReported, StepFinished, then the terminal one with its own number.
ASKED = "#chunks=12 #rate=20"
CHUNKS, LAST_EVENT = 12, 18
PLACES = [*range(LAST_EVENT + 2), int(TERMINAL) - 1, int(TERMINAL)]

type Resume = Callable[[object], dict[str, Any]]


def by_query(number: object) -> dict[str, Any]:
    return {"after": number}


def by_header(number: object) -> dict[str, Any]:
    return {"headers": {"last-event-id": str(number)}}


@pytest.fixture(params=["here", "there"])
def place(request: pytest.FixtureRequest, here: ChatClient, there: ChatClient) -> ChatClient:
    """Where the reader comes back: at the instance that makes the turn, and at the other."""
    return here if request.param == "here" else there


@pytest.fixture(params=[by_query, by_header])
def resume(request: pytest.FixtureRequest) -> Resume:
    """How the reader says where it was."""
    return request.param


async def events_after(client: ChatClient, turn_id: str, options: dict[str, Any]) -> list[tuple[str, str]]:
    async with client.follow(turn_id, dialect="chat", **options) as stream:
        return [(frame.id, frame.data) for frame in await stream.read()]


async def test_the_turn_of_a_client_that_was_killed_finishes(here: ChatClient) -> None:
    async with here.say("#chunks=30 #rate=40") as stream:
        await stream.take(3)
        stream.drop()
    turn = await here.until_ended(stream.turn_id)
    *_, answer = await here.messages(stream.session_id)
    assert (turn["status"], answer["status"]) == ("finished", "complete")
    assert answer["content"] == expected_text(30)


async def test_a_client_that_left_before_the_first_word_gets_its_answer_kept(here: ChatClient) -> None:
    session_id = await here.new_session()
    reading = asyncio.create_task(here.hear("#chunks=3 #first=600", session_id))
    turn_id = await here.running_turn(session_id)
    reading.cancel()
    await here.until_ended(turn_id)
    assert (await here.messages(session_id))[-1]["content"] == expected_text(3)


async def test_following_a_running_turn_gives_exactly_the_events_after_each_number(
    here: ChatClient, place: ChatClient, resume: Resume
) -> None:
    async with here.ask(await here.new_session(), ASKED) as stream, asyncio.TaskGroup() as readers:
        found = [
            readers.create_task(events_after(place, stream.turn_id, resume(number))) for number in PLACES
        ]
        whole = [(frame.id, frame.data) for frame in await stream.read()]
    for number, each in zip(PLACES, found, strict=True):
        assert each.result() == [(id, data) for id, data in whole if int(id) > number], number


async def test_following_an_ended_turn_gives_exactly_the_events_after_each_number(
    here: ChatClient, place: ChatClient, resume: Resume
) -> None:
    async with here.ask(await here.new_session(), ASKED.replace("20", "200")) as stream:
        whole = [(frame.id, frame.data) for frame in await stream.read()]
    assert [id for id, _ in whole] == ["1", *(str(number) for number in range(4, 4 + CHUNKS)), TERMINAL]
    for number in PLACES:
        found = await events_after(place, stream.turn_id, resume(number))
        assert found == [(id, data) for id, data in whole if int(id) > number], number


async def left_and_back(here: ChatClient, place: ChatClient, resume: Resume, count: int) -> str:
    """The text of a reader whose connection drops after `count` frames."""
    async with here.say(ASKED) as stream:
        first = await stream.take(count)
        stream.drop()
    seen = first[-1].id if first else 0
    async with place.follow(stream.turn_id, **resume(seen)) as rest:
        return text_of([*first, *await rest.read()])


async def test_a_connection_may_drop_anywhere_and_the_joined_text_is_the_same(
    here: ChatClient, place: ChatClient, resume: Resume
) -> None:
    drops = (left_and_back(here, place, resume, count) for count in range(CHUNKS + 1))
    assert await asyncio.gather(*drops) == [expected_text(CHUNKS)] * (CHUNKS + 1)


async def test_a_connection_may_drop_again_and_again(here: ChatClient, there: ChatClient) -> None:
    async with here.say(ASKED) as stream:
        frames = await stream.take(1)
        stream.drop()
    for client in [there, here] * 5:
        async with client.follow(stream.turn_id, after=frames[-1].id) as stream:
            frames += await stream.take(1)
            stream.drop()
    async with there.follow(stream.turn_id, after=frames[-1].id) as rest:
        assert text_of([*frames, *await rest.read()]) == expected_text(CHUNKS)


async def test_readers_that_leave_change_nothing_for_those_who_stay(
    here: ChatClient, place: ChatClient
) -> None:
    async with here.say(ASKED) as stream:
        async with place.follow(stream.turn_id) as other:
            await other.take(2)
            other.drop()
        assert text_of(await stream.read()) == expected_text(CHUNKS)


@pytest.mark.usefixtures("alone")
async def test_following_is_answered_at_once_though_the_model_is_silent(
    here: ChatClient, place: ChatClient
) -> None:
    session_id = await here.new_session()
    started = asyncio.create_task(here.hear("#chunks=3 #first=1000", session_id))
    turn_id = await here.running_turn(session_id)
    began = monotonic()
    async with place.follow(turn_id) as stream:
        assert (stream.status, stream.turn_id, stream.session_id) == (200, turn_id, session_id)
        assert monotonic() - began < 0.5
        assert text_of(await stream.read()) == (await started).text


async def test_the_list_of_messages_shows_what_was_said_so_far(here: ChatClient, place: ChatClient) -> None:
    async with here.say("#chunks=60 #rate=30") as stream, asyncio.timeout(10):
        answer = (await place.messages(stream.session_id))[-1]
        while not answer["content"]:
            answer = (await place.messages(stream.session_id))[-1]
        assert (answer["status"], answer["is_streaming"], answer["id"]) == ("streaming", True, stream.turn_id)
        assert expected_text(60).startswith(answer["content"])
