"""WebSocketChatTransport of the AI SDK 7 against a running stack: many chats on one socket."""

import asyncio
import os
import signal
from typing import Any

import pytest

from local.model_server import expected_text
from tests.clients.ai_sdk.run import Played, play, run, text_of
from tests.support.clients import ChatClient, connected, eventually
from tests.support.clients import text_of as text_of_frames
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import negotiate
from tests.support.stack import Stack

NEGOTIATE = "/ws?dialect=ai-sdk"


async def address(stack: Stack) -> str:
    async with connected(stack.url) as client:
        return (await negotiate(client, NEGOTIATE))["url"]


async def page(stack: Stack, chat_id: str, *steps: Any, **asked: Any) -> Played:
    return await play(stack.url, chat_id, *steps, transport="socket", socket=await address(stack), **asked)


async def test_an_answer_is_the_one_that_every_other_client_gets(stack: Stack) -> None:
    played = await page(stack, "socket talk", {"send": "#chunks=5 Hi"}, {"send": "#chunks=3 And?"})
    assert (played.errors, played.roles) == ([], ["user", "assistant"] * 2)
    assert [text_of(each) for each in played.messages[1::2]] == [expected_text(5), expected_text(3)]
    assert played.finished[-1]["finishReason"] == "stop"
    turn_id = played.messages[-1]["metadata"]["turnId"]
    async with connected(stack.url) as client, client.follow(turn_id) as stream:
        assert text_of_frames(await stream.read()) == played.text


async def test_one_socket_has_many_chats_at_a_time(stack: Stack) -> None:
    chats = {f"many {number}": f"#chunks={number} #rate=20 Hi" for number in range(5, 12)}
    found = await run("sockets.mjs", socket=await address(stack), chats=chats)
    assert found["opened"] == 1
    for number in range(5, 12):
        each = found["chats"][f"many {number}"]
        assert (each["error"], text_of(each["message"])) == (None, expected_text(number))
    sessions = {each["message"]["metadata"]["sessionId"] for each in found["chats"].values()}
    assert len(sessions) == 7


async def test_without_negotiation_the_address_is_that_of_the_app(stack: Stack) -> None:
    url = f"{stack.url}/ws?dialect=ai-sdk"
    played = await play(stack.url, "socket direct", {"send": "#chunks=3 Hi"}, transport="socket", socket=url)
    assert (played.errors, played.text) == ([], expected_text(3))


async def test_negotiation_makes_no_session(stack: Stack) -> None:
    async with connected(stack.url) as client:
        before = (await client.call("GET", "/api/v1/chat/sessions")).body["total_count"]
        found = await negotiate(client, NEGOTIATE)
        after = (await client.call("GET", "/api/v1/chat/sessions")).body["total_count"]
    assert (found["session_id"], found["dialect"], after) == ("", "ai-sdk", before)


COLOR = {"ask_color": {"description": "Asks for a color", "parameters": {"properties": {"of": {}}}}}


async def test_the_pages_own_tools_go_on_in_the_same_message(stack: Stack) -> None:
    played = await page(
        stack,
        "socket color",
        {"send": '#tool=ask_color{"of":"the sky"} #chunks=2'},
        {"outputs": {"ask_color": "red"}},
        automatic="calls",
        body={"tools": COLOR},
    )
    assert (played.errors, played.roles, played.calls) == ([], ["user", "assistant"], ["ask_color"])
    assert [each["state"] for each in played.parts("tool-ask_color")] == ["output-available"]
    assert played.text


async def test_reasoning_and_tools_of_ours(stack: Stack) -> None:
    said = '#reasoning=3 #tool=current_time{"timezone":"UTC"}'
    played = await page(stack, "socket thinks", {"send": said})
    assert played.errors == []
    assert played.parts("reasoning")
    assert [each["state"] for each in played.parts("dynamic-tool")] == ["output-available"]


async def test_stop_is_an_abort_which_stops_the_turn(stack: Stack) -> None:
    began = {"send": "#chunks=400 #rate=20 Hi", "meanwhile": True, "until": "word3"}
    played = await page(stack, "socket stop", began, {"stop": True})
    assert (played.errors, played.statuses[-1]) == ([], "ready")
    turn_id = played.messages[-1]["metadata"]["turnId"]
    async with connected(stack.url) as client:

        async def stopped() -> bool:
            return (await client.turn(turn_id))["status"] == "cancelled"

        await eventually(stopped, seconds=20, what="cancelled turn")


async def test_a_page_that_is_loaded_again_goes_on_with_the_same_message(stack: Stack) -> None:
    played = await page(
        stack,
        "socket reload",
        {"send": "#chunks=40 #rate=20 Hi", "meanwhile": True, "until": "word3"},
        {"reload": True, "resume": True},
    )
    assert (played.roles, played.text, played.errors) == (["user", "assistant"], expected_text(40), [])


@pytest.mark.parametrize("place", range(1, 9))
async def test_who_drops_at_any_chunk_resumes_the_same_message(stack: Stack, place: int) -> None:
    steps = [{"send": "#chunks=6 #rate=5 Hi"}, {"resume": True}]
    played = await page(stack, f"socket drop {place}", *steps, cuts=[place])
    assert played.statuses == ["error", "ready"]
    assert played.finished[0]["isDisconnect"] is True
    assert (played.roles, played.text) == (["user", "assistant"], expected_text(6))


async def test_where_nothing_runs_there_is_nothing_to_resume(stack: Stack) -> None:
    played = await page(stack, "socket idle", {"resume": True})
    assert (played.errors, played.statuses, played.messages) == ([], ["ready"], [])


@pytest.mark.parametrize(
    ("said", "more", "error"),
    [
        (" ", {}, "messages.0: Message content cannot be empty"),
        ("Hi", {"tools": {"current_time": {}}}, "tools.0: current_time is the name of one of our tools"),
        ("#status=500", {}, "The model service failed with status 500."),
        ("#chunks=5 #cut=2", {}, "The model's reply was cut off."),
    ],
)
async def test_what_is_refused_or_fails_is_a_sentence(
    stack: Stack, said: str, more: dict[str, Any], error: str
) -> None:
    played = await page(stack, f"socket {error}", {"send": said}, {"send": "#chunks=1"}, body={})
    if more:
        played = await page(stack, f"socket {error}", {"send": said}, body={"tools": more["tools"]})
        assert played.errors == [error]
        return
    assert played.errors == [error]
    assert (played.statuses, played.text) == (["error", "ready"], expected_text(1))


async def test_a_chat_that_is_busy_is_refused(stack: Stack) -> None:
    chats = {"socket busy": "#chunks=60 #rate=20 Hi"}
    url = await address(stack)
    first = asyncio.create_task(run("sockets.mjs", socket=url, chats=chats))
    async with connected(stack.url) as client:
        await eventually(lambda: _runs(client, "socket busy"), seconds=20, what="stream")
    second = await run("sockets.mjs", socket=url, chats=chats)
    assert second["chats"]["socket busy"]["error"].startswith("A turn is already running")
    assert (await first)["chats"]["socket busy"]["error"] is None


async def _runs(client: ChatClient, chat: str) -> bool:
    async with client.open("GET", f"/api/chat/{chat}/stream") as stream:
        return stream.status == 200


@pytest.mark.slow
async def test_when_the_process_that_answers_is_killed_the_page_hears_of_it_and_asks_again() -> None:
    with Stack.start(2, env={**ONE_ATTEMPT, "CHAT_COALESCE_MS": "0"}) as stack:
        began = {"send": "#chunks=2000 #rate=40 Hi", "meanwhile": True, "until": "word9"}
        playing = asyncio.create_task(page(stack, "socket killed", began, {}, {"resume": True}))
        async with connected(stack.url) as client:
            await eventually(lambda: _runs(client, "socket killed"), seconds=20, what="stream")
        await asyncio.sleep(2)
        os.kill(stack.pids[await _maker(stack)], signal.SIGKILL)
        played = await playing
        assert played.errors[0].startswith("WebSocket chat network connection closed")
        assert played.statuses[:2] == ["streaming", "error"]
        assert played.finished[0]["isDisconnect"] is True
        assert played.text.startswith(expected_text(9))
        turn_id = played.messages[-1]["metadata"]["turnId"]
        async with connected(stack.urls[0]) as one, connected(stack.urls[1]) as other:

            async def ended() -> bool:
                for client in (one, other):
                    try:
                        return (await client.turn(turn_id))["status"] == "failed"
                    except OSError:  # the one that was killed
                        continue
                return False

            await eventually(ended, seconds=30, what="end of the turn")


async def _maker(stack: Stack) -> int:
    """The instance that makes the only turn."""
    for number, url in enumerate(stack.urls):
        async with connected(url) as client:
            health = (await client.call("GET", "/api/v1/chat/health")).body
        if health["running_turns"]:
            return number
    raise AssertionError("Nobody makes it")
