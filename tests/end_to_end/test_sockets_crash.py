"""Sockets when an instance is killed in the middle of an answer: the room is told, and what waited is answered."""

import os
import signal
from collections.abc import Callable

import pytest

from tests.support.clients import connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import negotiate, room, socket_of
from tests.support.stack import Stack

TOLD = 25.0  # seconds in which a process that is used finds another one dead


@pytest.mark.slow
async def test_a_room_is_told_that_an_instance_died_and_goes_on(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(2, env={"CHAT_COALESCE_MS": "0", **ONE_ATTEMPT})
    async with connected(stack.urls[0]) as here:
        there = here.at(stack.urls[1])
        session_id = await here.new_session()
        async with (
            socket_of(there, room(session_id)) as socket,
            socket_of(there, f"/ws?session_id={session_id}") as chat,
        ):
            await socket.of("connection_established")
            async with here.ask(session_id, "#chunks=2000 #rate=20") as stream:
                await stream.take(40)  # two seconds: by then a beat has named the turn
                turn_id = stream.turn_id
                await socket.of("message_delta")
                path = f"/api/v1/chat/sessions/{session_id}/messages"
                await socket.say(type="send_message", content="are you there?", request_id="r")
                assert (await socket.of("ack"))["turn_id"] is None  # it waits
                os.kill(stack.pids[0], signal.SIGKILL)
                stream.drop()
            await socket.say(type="ping")  # nobody asks for the turn
            await socket.of("pong")
            failed = await socket.of("message_update", action="failed", seconds=TOLD)
            assert failed["message"]["id"] == turn_id
            assert failed["message"]["status"] == "interrupted"
            assert "word1" in failed["message"]["content"]
            assert (await chat.of("chat_error"))["payload"]["code"] == "INTERRUPTED"
            completed = await socket.of("message_update", action="completed", seconds=10)
            assert completed["message"]["parent_message_id"].endswith("-00000003")
            messages = (await there.call("GET", path)).body["messages"]
            assert [each["status"] for each in messages] == [
                "complete",
                "interrupted",
                "complete",
                "complete",
            ]


async def test_sockets_live_on_when_the_instance_that_let_them_in_is_gone(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(2)
    async with connected(stack.urls[0]) as here:
        facts = await negotiate(here)
        async with socket_of(here, f"/ws?session_id={facts['session_id']}") as socket:
            os.kill(stack.pids[0], signal.SIGKILL)
            for _ in range(2):
                await socket.say(type="chat", payload={"text": "#chunks=3"})
                await socket.of("chat_chunk", payload={"text": "", "done": True})


async def test_an_instance_that_stops_ends_its_answer_on_the_sockets(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(2)
    async with connected(stack.urls[0]) as here:
        session_id = await here.new_session()
        watching = socket_of(here.at(stack.urls[1]), room(session_id))
        async with watching as socket, here.ask(session_id, "#chunks=2000 #rate=20") as stream:
            await stream.take(5)
            await socket.of("message_delta")
            os.kill(stack.pids[0], signal.SIGTERM)
            failed = await socket.of("message_update", action="failed", seconds=5)
            assert failed["error"]["code"] == "INTERRUPTED"
            stream.drop()
