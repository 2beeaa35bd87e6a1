"""A reply streams from the model to the caller: its frames, its headers, and what the model was shown."""

import json
from collections.abc import AsyncGenerator
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import ClientSession, HttpVersion10

from chat.settings.model_rows import SYSTEM_PROMPT
from tests.support.clients import DONE, TERMINAL, ChatClient, Heard, connected
from tests.support.stack import Stack

GREETING = "Hello! I am the model stand-in of Parley's local stack. What would you like to know?"
HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
}


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(stack.url) as connection:
        yield connection


def shown(heard: Heard) -> list[Any]:
    """The messages that the model was shown, which `#echo` has it repeat."""
    return json.loads(heard.text)["messages"]


def lines(*texts: str) -> list[Any]:
    """The system prompt, then the texts as the user and the model in turns."""
    roles = ("user", "assistant") * len(texts)
    said = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return [{"role": "system", "content": SYSTEM_PROMPT}, *said]


def post(client: ChatClient, *texts: str, session_id: str = "") -> Any:
    body = {"messages": lines(*texts)[1:], **({"session_id": session_id} if session_id else {})}
    return client.open("POST", "/api/chat/stream", json=body)


async def test_a_reply_streams_as_text_deltas_and_done(client: ChatClient) -> None:
    heard = await client.hear("Hello")
    *deltas, done = heard.frames
    assert all(frame.payload.keys() == {"type", "delta", "seq"} for frame in deltas)
    assert {frame.payload["type"] for frame in deltas} == {"text.delta"}
    assert (heard.text, done.data) == (GREETING, DONE)


@pytest.mark.usefixtures("alone")
async def test_frames_come_one_by_one(client: ChatClient) -> None:
    heard = await client.hear("#chunks=20 #rate=20")
    times = [frame.at for frame in heard.frames[:-1]]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) >= 18  # what came while the turn was being stored is one frame
    assert times[-1] - times[0] > 0.8
    assert sum(gap > 0.02 for gap in gaps) >= 15


@pytest.mark.usefixtures("alone")
async def test_the_first_frame_does_not_wait_for_the_second(client: ChatClient) -> None:
    async with client.say("#chunks=2 #rate=2") as stream:
        first, second, _ = await stream.read()
    assert second.at - first.at > 0.4


async def test_frames_carry_rising_event_numbers(client: ChatClient) -> None:
    heard = await client.hear("#chunks=5")
    numbers = [frame.event for frame in heard.frames[:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 1  # the turn itself, its step and its text begin before


async def test_the_stream_has_the_headers_of_the_protocol(client: ChatClient) -> None:
    async with client.say("Hello") as stream:
        assert {name: stream.headers[name] for name in HEADERS} == HEADERS
        assert stream.turn_id.startswith(stream.session_id + "-")


@pytest.mark.parametrize("name", ["x-session-id", "x-turn-id"])
async def test_a_page_may_read_where_its_answer_is_kept(client: ChatClient, name: str) -> None:
    async with client.say("Hello") as stream:
        assert name in stream.headers["access-control-expose-headers"].split(", ")


async def test_a_client_of_http_1_0_gets_the_stream_without_chunks(stack: Stack) -> None:
    body = {"messages": [{"role": "user", "content": "#chunks=3"}]}
    async with (
        ClientSession(version=HttpVersion10) as http,
        http.post(f"{stack.url}/api/chat/stream", json=body) as reply,
    ):
        assert "transfer-encoding" not in reply.headers
        assert (await reply.text()).endswith("data: [DONE]\n\n")


async def test_the_turns_route_speaks_chat(client: ChatClient) -> None:
    async with client.ask(await client.new_session(), "#chunks=3 #rate=20", "chat") as stream:
        turn_id = stream.turn_id
        frames = await stream.read()
    payloads = [frame.payload for frame in frames]
    assert [payload["type"] for payload in payloads] == ["chat_start"] + ["chat_chunk"] * 4
    assert payloads[0]["payload"] == {}
    assert "".join(payload["payload"]["text"] for payload in payloads[1:]) == "word1 word2 word3"
    assert [payload["payload"]["done"] for payload in payloads[1:]] == [False, False, False, True]
    assert {payload["turn_id"] for payload in payloads} == {turn_id}
    assert [payload["seq"] for payload in payloads] == [frame.event for frame in frames]
    assert frames[-1].id == TERMINAL


async def test_a_failure_after_the_first_word_is_an_event_and_then_done(client: ChatClient) -> None:
    heard = await client.hear("#chunks=10 #rate=50 #cut=3")
    *_, error, done = heard.frames
    assert heard.text == "word1 word2 word3"
    assert (error.payload["type"], error.payload["code"]) == ("error", "MODEL_BAD_REPLY")
    assert (error.id, done.data) == (TERMINAL, DONE)


async def test_a_failure_in_dialect_chat_is_an_error_without_a_done(client: ChatClient) -> None:
    async with client.ask(await client.new_session(), "#chunks=10 #cut=3", "chat") as stream:
        payloads = [frame.payload for frame in await stream.read()]
    assert payloads[-1]["type"] == "chat_error"
    assert payloads[-1]["payload"]["error"]
    assert not [payload for payload in payloads if payload["payload"].get("done")]


async def test_the_model_is_shown_the_system_prompt_and_the_message(client: ChatClient) -> None:
    assert shown(await client.hear("#echo one")) == lines("#echo one")


async def test_the_model_is_shown_what_was_said_before(client: ChatClient) -> None:
    first = await client.hear('#text="Our total is 7." What is it?')
    second = await client.hear("#echo And now?", first.session_id)
    asked = '#text="Our total is 7." What is it?'
    assert shown(second) == lines(asked, "Our total is 7.", "#echo And now?")


async def test_the_history_of_the_server_counts_and_not_the_callers(client: ChatClient) -> None:
    first = await client.hear('#text="True." one')
    async with post(client, "forged", "forged too", "#echo two", session_id=first.session_id) as stream:
        second = Heard(stream.session_id, stream.turn_id, await stream.read())
    assert second.session_id == first.session_id
    assert shown(second) == lines('#text="True." one', "True.", "#echo two")
    assert len(await client.messages(first.session_id)) == 4


async def test_a_new_session_begins_with_the_given_history(client: ChatClient) -> None:
    async with post(client, "Hi", "Hello there", "#echo more") as stream:
        heard = Heard(stream.session_id, stream.turn_id, await stream.read())
    assert shown(heard) == lines("Hi", "Hello there", "#echo more")
    stored = await client.messages(heard.session_id)
    assert [each["content"] for each in stored] == ["Hi", "Hello there", "#echo more", heard.text]
    assert [each["role"] for each in stored] == ["user", "assistant"] * 2


async def test_the_answer_is_kept_with_its_model_and_tokens(client: ChatClient) -> None:
    heard = await client.hear("#chunks=4 one two")
    *_, answer = await client.messages(heard.session_id)
    assert (answer["id"], answer["content"]) == (heard.turn_id, "word1 word2 word3 word4")
    assert (answer["llm_provider"], answer["llm_model"]) == ("AZURE", "gpt-5-mini-2025-08-07")
    assert answer["tokens_used"] > 4
    assert answer["response_time_ms"] > 0


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", ""]
)
async def test_a_body_is_json_whatever_its_type_says(client: ChatClient, content_type: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "#chunks=1"}]}).encode()
    headers = {"content-type": content_type}
    async with client.open("POST", "/api/chat/stream", data=body, headers=headers) as stream:
        assert [frame.data for frame in await stream.read()][-1] == DONE


async def test_a_start_that_is_repeated_under_its_key_gives_the_same_turn(client: ChatClient) -> None:
    session_id = await client.new_session()
    body = {"messages": [{"role": "user", "content": "#chunks=3"}], "session_id": session_id}
    replies: list[tuple[str, list[str]]] = []
    for _ in range(2):
        headers = {"idempotency-key": "one"}
        async with client.open("POST", "/api/chat/stream", json=body, headers=headers) as stream:
            replies.append((stream.turn_id, [frame.data for frame in await stream.read()]))
    assert replies[0] == replies[1]
    assert len(await client.messages(session_id)) == 2


async def test_a_heartbeat_fills_the_silence(stack: Stack) -> None:
    host = stack.add_host({"CHAT_HEARTBEAT_S": "0.1"})
    async with connected(host.wait_ready()) as client, client.say("#chunks=2 #rate=2") as stream:
        body = (await stream.response.read()).decode()
    host.stop()
    assert 4 <= body.count(": keep-alive\n\n") <= 10
