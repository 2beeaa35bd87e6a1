"""A program with an API key, over the whole stack and two instances: it asks, opens sockets, and ends with its key."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import aiohttp
import pytest

from tests.support.clients import ChatClient, connected, eventually
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import RELIABLE, Socket, room, socket_of
from tests.support.stack import Stack

KEYS = "/api/v1/chat/keys"
HEARD = 5.0  # seconds for which another instance may believe in a key that was revoked


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    with Stack.start(2, env={"CHAT_AUTH": "apikey,dev", **ONE_ATTEMPT}, flags=["--verbose"]) as running:
        yield running


@pytest.fixture
async def ann(stack: Stack) -> AsyncGenerator[ChatClient]:
    """Herself, at the first instance."""
    async with connected(stack.urls[0]) as client:
        yield client.as_user("ann")


class Program(ChatClient):
    """Who has nothing but a key."""

    @classmethod
    def of(cls, client: ChatClient, url: str, key: str) -> "Program":
        program = cls(client._http, url)  # pyright: ignore[reportPrivateUsage]
        program.key = key
        return program

    key = ""

    def open(self, method: str, path: str, **options: Any) -> Any:
        headers = {"x-api-key": self.key, **options.pop("headers", {})}
        return super().open(method, path, headers=headers, **options)


async def make_key(client: ChatClient, **body: Any) -> Any:
    reply = await client.call("POST", KEYS, json={"name": "ci", **body})
    assert reply.status == 201, reply
    return reply.body


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_program_asks_as_its_user_and_no_longer_than_its_key(stack: Stack, ann: ChatClient) -> None:
    made = await make_key(ann)
    program = Program.of(ann, stack.urls[1], made["key"])
    session_id = await program.new_session(title="From a program")
    heard = await program.hear("Hello, AI!", session_id)
    assert heard.session_id == session_id
    assert (await ann.call("GET", f"/api/v1/chat/sessions/{session_id}")).body["user_id"] == "ann"
    assert (await program.call("GET", KEYS)).status == 403
    [listed] = [each for each in (await ann.call("GET", KEYS)).body["keys"] if each["id"] == made["id"]]
    assert listed["last_used_at"] is not None
    async with program.say("#chunks=400 #rate=20", session_id) as stream:
        await stream.take(3)
        async with socket_of(program, room(session_id), protocol=RELIABLE) as socket:
            await socket.of("connection_established")
            assert (await ann.call("DELETE", f"{KEYS}/{made['id']}")).status == 200
            began = monotonic()
            assert (await socket.of("error"))["error_code"] == "CREDENTIAL_ENDED"
            await socket.until_closed()
        rest = await stream.read()
        assert monotonic() - began < 3
        assert rest[-2].payload["code"] == "CREDENTIAL_ENDED"

    async def is_refused() -> bool:
        return (await program.call("GET", "/api/v1/chat/sessions")).status == 401

    await eventually(is_refused, seconds=HEARD + 1, what="refusal")
    await ann.cancel(stream.turn_id)


@pytest.mark.parametrize("protocol", ["", RELIABLE])
async def test_an_idle_socket_is_closed_when_its_key_ends(
    stack: Stack, ann: ChatClient, protocol: str
) -> None:
    session_id = await ann.new_session()
    ends = monotonic() + 4
    made = await make_key(ann, expires_at=in_seconds(4), scopes=["read"])
    program = Program.of(ann, stack.urls[1], made["key"])
    async with socket_of(program, room(session_id), protocol=protocol) as socket:
        await socket.say(type="send_message", content="Hi")
        assert (await socket.of("error"))["error_code"] == "FORBIDDEN"
        assert (await socket.of("error"))["error_code"] == "CREDENTIAL_ENDED"
        assert await socket.until_closed() == 1000
        assert -0.5 < monotonic() - ends < 1.5
        assert socket.close_reason.startswith("What this was opened with has ended")
    assert (await program.call("GET", "/api/v1/chat/sessions")).status == 401
    assert await ann.messages(session_id) == []


async def test_a_program_opens_a_socket_with_no_call_before_it(stack: Stack, ann: ChatClient) -> None:
    made, reader = await make_key(ann), await make_key(ann, scopes=["read"])
    url = stack.url.replace("http", "ws") + "/ws"
    socket = Socket(f"{url}?token={made['key']}")
    await socket.open()
    await socket.say(type="chat", payload={"text": "Hello, AI!"})
    session_id = (await socket.of("chat_start"))["session_id"]
    await socket.of("chat_chunk", payload={"text": "", "done": True})
    follower = Socket(f"{url}?token={reader['key']}&session_id={session_id}")
    await follower.open()
    await follower.say(type="chat", payload={"text": "Hi"})
    await follower.of("chat_error")
    for each in (socket, follower):
        await each.aclose()
    assert len(await ann.messages(session_id)) == 2
    for part in (made["key"][34:], reader["key"][34:]):
        assert part not in stack.errors


async def test_a_socket_ends_although_the_instance_that_greeted_it_is_gone() -> None:
    with Stack.start(2, env={"CHAT_AUTH": "apikey,dev", **ONE_ATTEMPT}) as doomed:
        async with connected(doomed.urls[0]) as client, aiohttp.ClientSession() as http:
            ann = client.as_user("ann")
            session_id = await ann.new_session()
            made = await make_key(ann, expires_at=in_seconds(5))
            program = Program.of(ann, doomed.urls[0], made["key"])
            async with socket_of(program, room(session_id), protocol=RELIABLE) as socket:
                await socket.of("connection_established")
                os.kill(doomed.pids[1], signal.SIGKILL)  # which takes the events of sockets
                await asyncio.sleep(5)
                sweep = http.post(f"{doomed.urls[0]}/admin/functions/sweep", json={})
                async with sweep as reply:  # as the timer does every minute
                    assert reply.status == 202
                assert (await socket.of("error"))["error_code"] == "CREDENTIAL_ENDED"
                assert await socket.until_closed() == 1000
