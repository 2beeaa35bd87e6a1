"""A table service that stops answering, for 10 s and for 60 s, and comes back: SIGSTOP and SIGCONT to Azurite.

Each freeze happens once; the tests look at what came of it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from local.model_server import expected_text
from tests.support.clients import DONE, TERMINAL, ChatClient, Frame, Reply, connected, text_of
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PATIENCE = 30.0  # seconds that a turn goes on without its store
SLACK = 8.0  # seconds that a try of the store may take on top
BACK = 20.0  # seconds after the thaw in which a session must take a new turn


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    with Stack.start(2, env={"CHAT_COALESCE_MS": "0"}) as running:
        yield running


@asynccontextmanager
async def frozen(stack: Stack, seconds: float) -> AsyncGenerator[float]:
    """The table service answers nothing for so long. When it froze."""
    began = monotonic()
    os.kill(stack.azurite_pid, signal.SIGSTOP)
    try:
        yield began
        await asyncio.sleep(began + seconds - monotonic())
    finally:
        os.kill(stack.azurite_pid, signal.SIGCONT)


async def read(client: ChatClient, text: str, session_id: str) -> list[Frame]:
    async with client.say(text, session_id) as stream:
        return await stream.read()


async def follow(client: ChatClient, turn_id: str) -> list[Frame]:
    async with client.follow(turn_id) as stream:
        return await stream.read()


async def last_message(client: ChatClient, session_id: str) -> Any:
    return (await client.messages(session_id))[1]


async def take_a_new_turn(client: ChatClient, session_id: str, since: float) -> float:
    """Seconds until the session took a turn; until then it may be busy or the store away."""
    while monotonic() - since < BACK:
        async with client.say("#chunks=2", session_id) as stream:
            if stream.status == 200:
                assert text_of(await stream.read()) == expected_text(2)
                break
            assert stream.status in {409, 503}, await stream.response.text()
        await asyncio.sleep(0.2)
    return monotonic() - since


@dataclass(frozen=True, slots=True)
class Brief:
    """What came of 10 s."""

    texts: dict[str, str]
    messages: list[Any]
    refused: Reply  # to a start meanwhile
    new_turn: float


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def brief(stack: Stack) -> Brief:
    async with connected(stack.urls[0]) as here, asyncio.timeout(60):
        there = here.at(stack.urls[1])
        idle, long, short = [await here.new_session() for _ in range(3)]
        readers = {
            "long": asyncio.create_task(read(here, "#chunks=320 #rate=20", long)),
            "ends meanwhile": asyncio.create_task(read(here, "#chunks=100 #rate=20", short)),
        }
        followed = [await here.running_turn(session_id) for session_id in (long, short)]
        for name, turn_id in zip(tuple(readers), followed, strict=True):
            readers[f"{name}, elsewhere"] = asyncio.create_task(follow(there, turn_id))
        await asyncio.sleep(2)
        async with frozen(stack, 10):
            refused = await here.call("POST", f"/api/v1/chat/sessions/{idle}/turns", json={"content": "Hi"})
        thawed = monotonic()
        new_turn = await take_a_new_turn(there, idle, thawed)
        texts = {name: text_of(await reader) for name, reader in readers.items()}
        return Brief(texts, [await last_message(there, each) for each in (long, short)], refused, new_turn)


@pytest.mark.parametrize("where", ["", ", elsewhere"])
async def test_ten_seconds_without_the_store_cost_no_reader_a_word(brief: Brief, where: str) -> None:
    assert brief.texts["long" + where] == expected_text(320)


@pytest.mark.parametrize("where", ["", ", elsewhere"])
async def test_a_turn_that_ends_meanwhile_is_complete_for_its_readers(brief: Brief, where: str) -> None:
    assert brief.texts["ends meanwhile" + where] == expected_text(100)


async def test_ten_seconds_without_the_store_cost_no_message_a_word(brief: Brief) -> None:
    kept = [(each["status"], each["content"]) for each in brief.messages]
    assert kept == [("complete", expected_text(320)), ("complete", expected_text(100))]


async def test_a_start_without_the_store_is_503(brief: Brief) -> None:
    assert (brief.refused.status, brief.refused.body["error_code"]) == (503, "STORE_UNAVAILABLE")


async def test_a_session_takes_turns_again_as_soon_as_the_store_is_back(brief: Brief) -> None:
    assert brief.new_turn < 3


@dataclass(frozen=True, slots=True)
class Long:
    """What came of 60 s. Times are seconds since the freeze."""

    frames: dict[str, list[tuple[float, Frame]]]
    cancelled: Any  # the message of the turn that was cancelled meanwhile
    messages: dict[str, Any]
    new_turns: dict[str, float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long(stack: Stack) -> Long:
    async with connected(stack.urls[0]) as here, asyncio.timeout(150):
        there = here.at(stack.urls[1])
        sessions = {name: await here.new_session() for name in ("runs", "ends", "cancelled")}
        orders = {
            "runs": "#endless #rate=20",
            "ends": "#chunks=100 #rate=20",
            "cancelled": "#endless #rate=20",
        }
        readers = {
            name: asyncio.create_task(read(here, order, sessions[name])) for name, order in orders.items()
        }
        turns = {name: await here.running_turn(session_id) for name, session_id in sessions.items()}
        readers["runs, elsewhere"] = asyncio.create_task(follow(there, turns["runs"]))
        await asyncio.sleep(2)
        async with frozen(stack, 60) as began:
            cancelling = asyncio.create_task(here.cancel(turns["cancelled"]))
        thawed = monotonic()
        await cancelling
        waits = [take_a_new_turn(there, session_id, thawed) for session_id in sessions.values()]
        new_turns = dict(zip(sessions, await asyncio.gather(*waits), strict=True))
        frames = {
            name: [(frame.at - began, frame) for frame in await reader] for name, reader in readers.items()
        }
        messages = {name: await last_message(there, session_id) for name, session_id in sessions.items()}
        return Long(frames, messages["cancelled"], messages, new_turns)


@pytest.mark.parametrize("which", ["runs", "runs, elsewhere", "ends", "cancelled"])
async def test_without_the_store_a_reader_is_told_after_30_seconds(long: Long, which: str) -> None:
    *_, (seconds, error), (_, done) = long.frames[which]
    assert PATIENCE - 1 < seconds < PATIENCE + SLACK  # "ends" does so after 3 of them
    assert (error.payload["type"], error.payload["code"]) == ("error", "STORE_UNAVAILABLE")
    assert error.payload["retryable"] is True
    assert done.data == DONE


async def test_the_reader_on_the_same_instance_gets_words_until_the_turn_ends(long: Long) -> None:
    *words, (_, last), (ended, error), _ = long.frames["runs"]
    said = text_of(frame for _, frame in [*words, (0, last)])
    assert said.startswith(expected_text(20 * int(PATIENCE)))
    assert (error.id, ended < PATIENCE + SLACK) == (TERMINAL, True)


async def test_the_error_of_a_follower_elsewhere_is_not_the_turns_end(long: Long) -> None:
    *_, (_, error), _ = long.frames["runs, elsewhere"]
    assert error.id == ""


@pytest.mark.parametrize("which", ["runs", "ends", "cancelled"])
async def test_after_60_seconds_without_the_store_a_session_takes_a_new_turn(long: Long, which: str) -> None:
    assert long.new_turns[which] < BACK


@pytest.mark.parametrize("which", ["runs", "ends", "cancelled"])
async def test_after_60_seconds_without_the_store_every_message_has_its_end(long: Long, which: str) -> None:
    message = long.messages[which]
    assert message["status"] in {"complete", "failed", "cancelled", "interrupted"}
    assert not message["is_streaming"]


async def test_the_text_that_could_not_be_stored_in_time_is_stored_after_all(long: Long) -> None:
    said = text_of(frame for _, frame in long.frames["runs"])
    assert (long.messages["runs"]["status"], long.messages["runs"]["content"]) == ("failed", said)
    assert long.messages["ends"]["content"] == expected_text(100)


async def test_a_cancel_on_the_same_instance_needs_no_store(long: Long) -> None:
    words = [seconds for seconds, frame in long.frames["cancelled"] if frame.id not in {"", TERMINAL}]
    assert words[-1] < 1
    assert long.cancelled["status"] in {"cancelled", "failed"}
