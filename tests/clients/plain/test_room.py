"""A client of ten lines in a room: it reads whole messages, and nothing else that a room says."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from tests.support.clients import ChatClient, connected, eventually
from tests.support.stack import Stack

CLIENT = Path(__file__).with_name("room.py")
QUESTION = "#chunks=3000 #rate=75"  # 500 characters a second, until it is stopped


@asynccontextmanager
async def shown(client: ChatClient, session_id: str) -> AsyncGenerator[Process]:
    """The client, once it is in the room. It must have nothing to complain of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CLIENT), client.url, session_id), stdout=PIPE, stderr=PIPE
    )
    try:

        async def is_there() -> bool:
            assert process.returncode is None, (await process.communicate())[1].decode()
            reply = await client.call("GET", f"/api/v1/chat/sessions/{session_id}/members")
            return any(each["online"] for each in reply.body["members"])

        await eventually(is_there, seconds=30, what="client in the room")
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        _, errors = await process.communicate()
    assert errors == b""


async def line(process: Process) -> str:
    """What it prints next."""
    assert process.stdout
    async with asyncio.timeout(30):
        text = await process.stdout.readline()
    assert text, (await process.communicate())[1].decode()
    return text.decode().removesuffix("\n")


async def test_it_sees_an_answer_grow_although_it_ignores_deltas(stack: Stack) -> None:
    async with connected(stack.url) as client:
        session_id = await client.new_session()
        async with shown(client, session_id) as process, client.ask(session_id, QUESTION) as stream:
            assert [await line(process), await line(process)] == [QUESTION, ""]
            growing = [await line(process) for _ in range(5)]
            assert (await client.turn(stream.turn_id))["status"] == "running"
            await client.cancel(stream.turn_id)
            [_, answer] = await client.messages(session_id)
            while growing[-1] != answer["content"]:
                growing.append(await line(process))
        assert all(answer["content"].startswith(each) for each in growing)
        *before, last = [len(each) for each in growing]
        assert before[0] >= 256
        assert all(2 * after >= 3 * size for size, after in pairwise(before))
        assert sum(before) <= 3 * last


async def test_it_sees_what_was_said_before_it_came(stack: Stack) -> None:
    async with connected(stack.url) as client:
        session_id = await client.new_session()
        async with client.ask(session_id, QUESTION) as stream:
            said = ""
            while len(said) < 500:
                [frame] = await stream.take(1)
                said += frame.payload["payload"].get("text", "")
            async with shown(client, session_id) as process:
                assert await line(process) == ""
                growing = [await line(process)]
                assert growing[0].startswith(said)
                assert (await client.turn(stream.turn_id))["status"] == "running"
                await client.cancel(stream.turn_id)
                [_, answer] = await client.messages(session_id)
                while growing[-1] != answer["content"]:
                    growing.append(await line(process))
