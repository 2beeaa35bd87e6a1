"""Clients of Durable Streams, and the EventSource of browsers, against running stacks."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from durable_streams import astream

from local.model_server import expected_text
from tests.support.clients import DEADLINE, ChatClient, connected
from tests.support.node import run_script
from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack

HERE = Path(__file__).parent
LIVE = ("false", "long-poll", "sse")
STREAMS = "/api/streams/turns"


async def read(url: str, live: str = "false", offset: str = "-1", stop_after: int = 0) -> Any:
    """What the TypeScript client makes of it."""
    printed = await run_script(HERE / "read.mjs", url, live, offset, str(stop_after))
    return json.loads(printed.splitlines()[-1])


async def read_events(url: str, kind: str, drop: int = 0) -> Any:
    return json.loads((await run_script(HERE / "events.mjs", url, kind, str(drop))).splitlines()[-1])


def text_of(messages: list[Any]) -> str:
    return "".join(each.get("delta", "") for each in messages)


async def asked(client: ChatClient, text: str) -> str:
    """The id of a turn that runs."""
    async with client.say(text) as stream:
        await stream.take(1)
        return stream.turn_id


async def link_of(client: ChatClient, turn_id: str, **body: Any) -> str:
    made = await client.call("POST", f"{STREAMS}/{turn_id}/links", json=body)
    assert made.status == 201, made
    return client.url + made.body["url"]


@pytest.mark.parametrize("live", LIVE[1:])
async def test_a_turn_that_runs_is_read_to_its_end(stack: Stack, live: str) -> None:
    async with connected(stack.url) as client:
        turn_id = await asked(client, "#chunks=40 #rate=20")
        found = await read(f"{stack.url}{STREAMS}/{turn_id}", live)
    assert (text_of(found["messages"]), found["closed"]) == (expected_text(40), True)


@pytest.mark.parametrize("live", LIVE)
@pytest.mark.parametrize("dialect", ["delta", "chat", "ai-chat"])
async def test_a_turn_that_ended_is_read_in_any_dialect(stack: Stack, live: str, dialect: str) -> None:
    async with connected(stack.url) as client:
        heard = await client.hear("#chunks=5 Hi")
        frames = [frame.payload for frame in heard.frames if frame.data != "[DONE]"]
        found = await read(f"{stack.url}{STREAMS}/{heard.turn_id}?dialect={dialect}", live)
    assert found["closed"] and found["messages"]
    if dialect == "delta":
        assert found["messages"] == frames


async def test_whoever_drops_at_any_offset_goes_on_behind_it(stack: Stack) -> None:
    async with connected(stack.url) as client:
        heard = await client.hear("#chunks=6 #rate=20 Hi")
        url = f"{stack.url}{STREAMS}/{heard.turn_id}"
        whole = (await read(url))["messages"]
        for number in range(len(whole)):
            at = f"{whole[number]['seq']:08d}.0001"
            assert (await read(url, LIVE[number % 3], at))["messages"] == whole[number + 1 :]


@pytest.mark.parametrize("live", LIVE)
async def test_a_link_needs_no_credential_and_a_wrong_one_tells_nothing(stack: Stack, live: str) -> None:
    async with connected(stack.url) as client:
        mine = client.as_user("owner-of-links")
        heard = await mine.hear("#chunks=3 Hi")
        url = await link_of(mine, heard.turn_id)
    assert text_of((await read(url, live))["messages"]) == expected_text(3)
    others = f"{stack.url}{STREAMS}/{'0' * 26}-00000002?" + url.partition("?")[2]
    for wrong in (url + "x", others):
        assert (await read(wrong, live))["error"]["status"] == 401
    assert (await read(url.partition("?")[0], live))["error"][
        "status"
    ] == 404  # whoever `dev` is, it is not theirs


async def test_a_link_dies_with_its_session_though_the_chat_goes_on_under_its_name(stack: Stack) -> None:
    async with connected(stack.url) as client:
        asking = {"id": "a page", "message": {"role": "user", "content": "#chunks=3 Hi"}}
        async with client.open("POST", "/api/chat", json=asking) as stream:
            await stream.response.read()
            before = stream.session_id
            url = await link_of(client, stream.turn_id)
        await client.call("DELETE", f"/api/v1/chat/sessions/{before}")
        async with client.open("POST", "/api/chat", json=asking) as stream:
            assert (stream.status, stream.session_id != before) == (200, True)
            await stream.response.read()
    assert (await read(url))["error"]["status"] == 404


async def test_the_python_client_reads_what_is_there_and_what_comes(stack: Stack) -> None:
    async with connected(stack.url) as client:
        turn_id = await asked(client, "#chunks=20 #rate=20")
        url = await link_of(client, turn_id, dialect="chat")
        for live in ("long-poll", "sse"):
            said: list[str] = []
            async with asyncio.timeout(DEADLINE), astream(url, offset="-1", live=live) as answer:
                async for message in answer.iter_json():
                    payload = message["payload"]
                    said.append(payload.get("text", ""))
                    if payload.get("done"):
                        break
            assert "".join(said) == expected_text(20)
        async with astream(url, offset="-1", live=False) as answer:
            assert "".join(
                each["payload"].get("text", "") for each in await answer.read_json()
            ) == expected_text(20)


async def test_an_event_source_reads_events_and_goes_on_behind_its_last_id(stack: Stack) -> None:
    async with connected(stack.url) as client:
        heard = await client.hear("#chunks=8 #rate=20 Hi")
    durable = await read_events(f"{stack.url}{STREAMS}/{heard.turn_id}?live=sse&offset=-1", "durable")
    assert text_of(durable["frames"]) == expected_text(8)
    native = f"{stack.url}/api/v1/chat/turns/{heard.turn_id}/events"
    whole = await read_events(native, "native")
    assert (text_of(whole["frames"]), whole["connections"]) == (expected_text(8), 1)
    found = await read_events(native, "native", 1)
    assert found["frames"] == whole["frames"]
    assert found["lastIds"] == ["", *(str(each["seq"]) for each in whole["frames"])]


async def test_a_turn_that_is_cancelled_or_fails_is_closed_with_what_was_said(stack: Stack) -> None:
    async with connected(stack.url) as client:
        turn_id = await asked(client, "#chunks=400 #rate=20")
        reading = asyncio.create_task(read(f"{stack.url}{STREAMS}/{turn_id}", "long-poll"))
        await asyncio.sleep(1)
        await client.cancel(turn_id)
        found = await reading
        assert found["closed"] and expected_text(400).startswith(text_of(found["messages"]))
        turn_id = await asked(client, "#chunks=5 #cut=2")
        found = await read(f"{stack.url}{STREAMS}/{turn_id}", "sse")
        assert found["closed"] and found["messages"][-1]["type"] == "error"


@pytest.mark.slow
async def test_a_turn_of_a_process_that_is_killed_is_closed_for_who_saw_more_than_was_stored() -> None:
    with Stack.start(2, env={"CHAT_COALESCE_MS": "0"}) as stack:
        async with connected(stack.url) as client:
            turn_id = await asked(client, "#chunks=400 #rate=20")
            url = await link_of(client, turn_id)
            elsewhere = url.replace(stack.urls[0], stack.urls[1])
            following = asyncio.create_task(read(elsewhere, "long-poll"))
            seen = await read(url, "long-poll", "-1", 60)
            os.kill(stack.pids[0], signal.SIGKILL)
            rest = await read(elsewhere, "sse", seen["offset"])
            followed = await following
    for found in (rest, followed):
        assert found["closed"] and found["messages"][-1]["code"] == "INTERRUPTED"
    assert text_of(seen["messages"]).startswith(text_of(followed["messages"])[:20])


async def test_the_program_of_the_documentation_works(stack: Stack) -> None:
    [(language, program)] = snippets_of("Durable Streams")
    said, count = (await run_snippet(language, program, stack.url)).splitlines()
    assert (said, int(count) > 0) == (expected_text(3), True)
