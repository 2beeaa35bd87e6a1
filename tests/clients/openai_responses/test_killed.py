"""The process that makes a response is killed when its client has seen more than was stored: the end reaches a client
that comes back with the number of the last event that it saw."""

import asyncio
import os
import signal
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import openai as sdk
import pytest
import pytest_asyncio

from tests.clients.openai_responses.steps import client_of, response_of, rest_of, stream, text_of
from tests.support.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NOTICED = 25.0  # seconds in which the death of an instance must be noticed


@pytest.fixture(scope="module")
def doomed() -> Generator[Stack]:
    """Instances of its own, since one of them ends."""
    with Stack.start(2, env={"CHAT_COALESCE_MS": "0"}) as running:
        yield running


@dataclass(frozen=True)
class Killed:
    """A response that was killed, as its client saw it, and what came of it."""

    seen: list[Any]
    rest: list[Any]  # after the last that was seen
    helped: list[Any]  # by the helper that filters by itself
    whole: Any


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def killed(doomed: Stack) -> Killed:
    async with client_of(doomed.urls[0]) as first, client_of(doomed.urls[1]) as second:
        seen: list[Any] = []
        with pytest.raises(sdk.APIConnectionError):
            async with asyncio.timeout(20), await stream(first, "#endless #rate=100") as events:
                async for event in events:
                    seen.append(event)
                    if len(seen) == 250:
                        os.kill(doomed.pids[0], signal.SIGKILL)
        response_id, last = seen[0].response.id, seen[-1].sequence_number
        async with asyncio.timeout(NOTICED):
            rest = await rest_of(second, response_id, last)
        async with second.responses.stream(response_id=response_id, starting_after=last) as again:
            helped = [each async for each in again]
        return Killed(seen, rest, helped, await second.responses.retrieve(response_id))


async def test_its_client_had_seen_more_than_was_stored(killed: Killed) -> None:
    assert len(killed.whole.output_text) < len(text_of(killed.seen))
    assert text_of(killed.seen).startswith(killed.whole.output_text)


async def test_the_end_alone_follows(killed: Killed) -> None:
    [end] = killed.rest
    assert end.type == "response.failed"
    assert end.sequence_number > killed.seen[-1].sequence_number
    assert response_of(end).error.type == "interrupted"
    assert response_of(end).output_text == killed.whole.output_text


async def test_the_end_reaches_the_helper_too(killed: Killed) -> None:
    assert [each.type for each in killed.helped] == ["response.failed"]


async def test_it_says_so_whenever_it_is_looked_at(killed: Killed) -> None:
    assert killed.whole.status == "failed"
    assert killed.whole.model_dump() == response_of(killed.rest[0]).model_dump()
