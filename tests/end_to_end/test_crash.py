"""Instances that end in the middle of a turn: killed with SIGKILL, and asked to stop with SIGTERM.

Both happen once, at the same time, on one stack: `crash` plays it, the tests look at what came of it.
"""

import asyncio
import os
import signal
from collections.abc import Generator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from local.model_server import expected_text
from tests.support.clients import DONE, TERMINAL, ChatClient, Frame, Stream, connected, text_of
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

RATE, BEFORE = 20, 3.0  # words a second, and seconds of them before the instances end
NOTICED = 20.0  # seconds in which the death of an instance must be noticed
SHUT_DOWN, GONE = 3.0, 5.0  # seconds to the end of the turns after SIGTERM, and of the process
INTERRUPTED = {"code": "INTERRUPTED", "retryable": True}


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn whose instance ended, as its reader and the store saw it."""

    frames: list[Frame]
    seconds: float  # from the end of the instance to the last frame
    message: Any
    turn: Any


@dataclass(frozen=True, slots=True)
class Crash:
    """What came of it."""

    followed: Ended  # killed, with a follower on another instance
    joined_late: Ended  # killed, with a follower that came afterwards
    unwatched: Any  # killed, and nobody looked before a new turn was asked for: its message
    unwatched_seconds: float  # until the session took that new turn
    stopped: Ended  # SIGTERM, with a follower on another instance
    stopped_here: Ended  # SIGTERM, with a reader on the same instance
    status: int  # of the process after SIGTERM
    status_seconds: float
    new_turns: list[str]  # what the sessions said next


@pytest.fixture(scope="module")
def doomed() -> Generator[Stack]:
    """Instances of its own, since two of them end."""
    with Stack.start(2, env={"CHAT_COALESCE_MS": "0"}) as running:
        yield running


async def started(client: ChatClient, streams: AsyncExitStack) -> Stream:
    stream = await streams.enter_async_context(client.say(f"#endless #rate={RATE}"))
    await stream.take(2)
    return stream


async def read_to_the_end(client: ChatClient, turn: Stream, ended: asyncio.Future[float]) -> Ended:
    async with client.follow(turn.turn_id) as stream:
        await stream.read()
    return await how_it_ended(client, stream, ended)


async def read_here(client: ChatClient, turn: Stream, ended: asyncio.Future[float]) -> Ended:
    await turn.read()
    return await how_it_ended(client, turn, ended)


async def how_it_ended(client: ChatClient, turn: Stream, ended: asyncio.Future[float]) -> Ended:
    frames = turn.seen
    message = next(each for each in await client.messages(turn.session_id) if each["id"] == turn.turn_id)
    return Ended(frames, frames[-1].at - await ended, message, await client.turn(turn.turn_id))


async def take_a_new_turn(client: ChatClient, session_id: str) -> str:
    """What the session says once it takes a turn; until then it must be 409."""
    deadline = monotonic() + NOTICED
    while monotonic() < deadline:
        async with client.say("#chunks=2", session_id) as stream:
            if stream.status == 200:
                return text_of(await stream.read())
            assert stream.status == 409, await stream.response.text()
        await asyncio.sleep(0.2)
    return "the session is stuck"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crash(doomed: Stack) -> Crash:
    stopping = doomed.add_host()
    async with connected(doomed.urls[0]) as killed, AsyncExitStack() as streams, asyncio.timeout(60):
        survivor, stopped = killed.at(doomed.urls[1]), killed.at(await asyncio.to_thread(stopping.wait_ready))
        followed, joined_late, unwatched = [await started(killed, streams) for _ in range(3)]
        remote, local = [await started(stopped, streams) for _ in range(2)]
        ended = asyncio.get_running_loop().create_future()
        readers = [
            asyncio.create_task(read_to_the_end(survivor, followed, ended)),
            asyncio.create_task(read_to_the_end(survivor, remote, ended)),
            asyncio.create_task(read_here(survivor, local, ended)),
        ]
        await asyncio.sleep(BEFORE)
        os.kill(doomed.pids[0], signal.SIGKILL)
        stopping.process.send_signal(signal.SIGTERM)
        ended.set_result(monotonic())
        status = await asyncio.to_thread(stopping.process.wait, 10)
        status_seconds = monotonic() - ended.result()
        readers.append(asyncio.create_task(read_to_the_end(survivor, joined_late, ended)))
        new_turns = [await take_a_new_turn(survivor, unwatched.session_id)]
        unwatched_seconds = monotonic() - ended.result()
        first, second, third, late = await asyncio.gather(*readers)
        new_turns += [
            await take_a_new_turn(survivor, each.session_id)
            for each in (followed, joined_late, remote, local)
        ]
        return Crash(
            first,
            late,
            (await survivor.messages(unwatched.session_id))[1],
            unwatched_seconds,
            second,
            third,
            status,
            status_seconds,
            new_turns,
        )


def error_of(ended: Ended) -> Any:
    """The frame before the last, which every reader must get."""
    return ended.frames[-2]


async def test_a_follower_of_a_killed_instance_learns_of_it_in_time(crash: Crash) -> None:
    assert crash.followed.seconds < NOTICED


async def test_a_follower_that_joins_after_the_death_learns_of_it_in_time(crash: Crash) -> None:
    assert crash.joined_late.seconds < NOTICED


@pytest.mark.parametrize("which", ["followed", "joined_late", "stopped", "stopped_here"])
async def test_the_reader_gets_the_terminal_event_interrupted(crash: Crash, which: str) -> None:
    error = error_of(getattr(crash, which))
    assert error.id == TERMINAL
    assert error.payload.items() >= ({"type": "error"} | INTERRUPTED).items()
    assert getattr(crash, which).frames[-1].data == DONE


@pytest.mark.parametrize("which", ["followed", "joined_late", "stopped", "stopped_here"])
async def test_what_was_read_is_what_is_kept_as_interrupted(crash: Crash, which: str) -> None:
    ended: Ended = getattr(crash, which)
    assert (ended.message["status"], ended.message["content"]) == ("interrupted", text_of(ended.frames))
    assert (ended.turn["status"], ended.turn["error"] | INTERRUPTED) == ("failed", ended.turn["error"])


@pytest.mark.parametrize("which", ["followed", "joined_late"])
async def test_a_killed_instance_loses_a_second_of_text_and_no_more(crash: Crash, which: str) -> None:
    kept = getattr(crash, which).message["content"]
    said = round(RATE * (BEFORE - 1.5))
    assert kept.startswith(expected_text(said))


async def test_a_session_that_nobody_watched_takes_a_new_turn_in_time(crash: Crash) -> None:
    assert crash.unwatched_seconds < NOTICED
    assert crash.unwatched["status"] == "interrupted"
    assert crash.unwatched["content"].startswith(expected_text(round(RATE * (BEFORE - 1.5))))


async def test_nothing_is_stuck(crash: Crash) -> None:
    assert crash.new_turns == [expected_text(2)] * 5


@pytest.mark.parametrize("which", ["stopped", "stopped_here"])
async def test_sigterm_ends_the_turns_within_3_seconds(crash: Crash, which: str) -> None:
    assert getattr(crash, which).seconds < SHUT_DOWN


@pytest.mark.parametrize("which", ["stopped", "stopped_here"])
async def test_sigterm_loses_no_word(crash: Crash, which: str) -> None:
    ended: Ended = getattr(crash, which)
    words = ended.message["content"].split()
    assert words == expected_text(len(words)).split()
    assert len(words) >= RATE * BEFORE - 2


async def test_sigterm_ends_the_process_within_5_seconds(crash: Crash) -> None:
    assert crash.status == 0
    assert crash.status_seconds < GONE
