"""OpenAI's own client for Python, against a running stack."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from local.model_server import expected_text
from tests.support.clients import connected, eventually, text_of
from tests.support.settings import ONE_ATTEMPT
from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "paint",
        "description": "Paints",
        "parameters": {"type": "object", "properties": {"colour": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start(env=ONE_ATTEMPT) as running:
        yield running


def base(stack: Stack) -> str:
    return f"{stack.url}/api/openai/v1"


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base(stack), api_key="local", max_retries=0) as made:
        yield made


def user(*said: str) -> Any:
    return [{"role": "user", "content": each} for each in said]


async def ask(client: openai.AsyncOpenAI, text: str, **more: Any) -> Any:
    return await client.chat.completions.create(model="default", messages=user(text), **more)


async def streamed(client: openai.AsyncOpenAI, text: str, **more: Any) -> list[Any]:
    return [chunk async for chunk in await ask(client, text, stream=True, **more)]


def text_in(chunks: list[Any]) -> str:
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


async def test_a_stream_and_a_whole_reply_say_the_same_and_the_turn_is_there_for_others(
    stack: Stack, client: openai.AsyncOpenAI
) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="default", messages=user("#chunks=5 Hello"), stream=True
    )
    chunks = [chunk async for chunk in raw.parse()]
    whole = await ask(client, "#chunks=5 Hello")
    assert text_in(chunks) == whole.choices[0].message.content == expected_text(5)
    assert len({(each.id, each.created) for each in chunks}) == 1
    assert {each.model for each in chunks} == {whole.model} == {"gpt-5-mini-2025-08-07"}
    assert [each.choices[0].finish_reason for each in chunks][-1] == whole.choices[0].finish_reason == "stop"
    assert all(each.usage is None for each in chunks)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    async with connected(stack.url) as other, other.follow(raw.headers["x-turn-id"]) as stream:
        assert text_of(await stream.read()) == expected_text(5)


def test_the_client_that_is_not_asynchronous(stack: Stack) -> None:
    with openai.OpenAI(base_url=base(stack), api_key="local") as client:
        chunks = client.chat.completions.create(model="m", messages=user("#chunks=3 Hi"), stream=True)
        assert text_in(list(chunks)) == expected_text(3)
        known = client.models.list().data
        assert [client.models.retrieve(each.id) for each in known] == known
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("another")


async def test_the_helper_for_streams_and_usage(client: openai.AsyncOpenAI) -> None:
    async with client.chat.completions.stream(
        model="m", messages=user("#chunks=4 Hi"), stream_options={"include_usage": True}
    ) as stream:
        kinds = {event.type async for event in stream}
        completion = await stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert completion.choices[0].message.content == expected_text(4)
    assert completion.usage and completion.usage.completion_tokens == 4


async def test_the_list_is_the_conversation_and_is_not_kept(stack: Stack, client: openai.AsyncOpenAI) -> None:
    said: Any = [
        {"role": "system", "content": "Be brief"},
        *user("one"),
        {"role": "assistant", "content": "two"},
        *user("#echo"),
    ]
    raw = await client.chat.completions.with_raw_response.create(
        model="m", messages=said, stop=["zzz"], seed=7
    )
    sent = json.loads(raw.parse().choices[0].message.content or "")
    assert [each["content"] for each in sent["messages"]] == ["Be brief", "one", "two", "#echo"]
    assert (sent["stop"], sent["seed"]) == (["zzz"], 7)
    async with connected(stack.url) as other:
        kept = await other.messages(raw.headers["x-session-id"])
        assert [each["role"] for each in kept] == ["user", "assistant"]
        listed = await other.call("GET", "/api/v1/chat/sessions")
    assert raw.headers["x-session-id"] not in [each["id"] for each in listed.body["sessions"]]


@pytest.mark.parametrize("by", ["header", "metadata"])
async def test_in_a_session_the_last_message_is_new_and_is_kept(
    stack: Stack, client: openai.AsyncOpenAI, by: str
) -> None:
    async with connected(stack.url) as other:
        session_id = await other.new_session()
        where: Any = {"extra_headers": {"x-session-id": session_id}}
        if by == "metadata":
            where = {"metadata": {"session_id": session_id}}
        await ask(client, "#chunks=1 One", **where)
        second = await ask(client, "#echo Two", **where)
        kept = await other.messages(session_id)
    assert [each["content"] for each in kept[:3]] == ["#chunks=1 One", expected_text(1), "#echo Two"]
    sent = json.loads(second.choices[0].message.content)["messages"]
    assert [each["content"] for each in sent[1:]] == ["#chunks=1 One", expected_text(1), "#echo Two"]


@pytest.mark.parametrize("stored", [False, True], ids=["stateless", "in a session"])
async def test_tools_of_the_caller_go_round(stack: Stack, client: openai.AsyncOpenAI, stored: bool) -> None:
    said = user('#tool=paint{"colour":"red"} Paint it')
    more: Any = {"tools": [TOOL], "model": "m"}
    if stored:
        async with connected(stack.url) as other:
            more["metadata"] = {"session_id": await other.new_session()}
    async with client.chat.completions.stream(messages=said, **more) as stream:
        async for _ in stream:
            pass
        [choice] = (await stream.get_final_completion()).choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "")
    [call] = choice.message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("paint", '{"colour":"red"}')
    said += [choice.message.model_dump(exclude_none=True)]
    said += [{"role": "tool", "tool_call_id": call.id, "content": "painted"}]
    whole = await client.chat.completions.create(messages=said, **more)
    assert whole.choices[0].message.content == "The tool says: painted"


async def test_a_whole_reply_has_calls_too(client: openai.AsyncOpenAI) -> None:
    text = '#tool=paint{"colour":"red"} #tool=paint{"colour":"blue"} Paint'
    [choice] = (await ask(client, text, tools=[TOOL])).choices
    assert choice.finish_reason == "tool_calls"
    arguments = [json.loads(each.function.arguments)["colour"] for each in choice.message.tool_calls]
    assert arguments == ["red", "blue"]


async def test_our_tools_run_here_and_stand_beside_the_choices(client: openai.AsyncOpenAI) -> None:
    text = '#tool=current_time{"timezone":"UTC"} When?'
    chunks = await streamed(client, text)
    beside: dict[str, Any] = {}
    for each in chunks:
        beside |= each.model_extra
    assert beside["tool_call"]["name"] == beside["tool_output"]["name"] == "current_time"
    assert not any(choice.delta.tool_calls for each in chunks for choice in each.choices)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert text_in(chunks).startswith("The tool says: ")
    whole = await ask(client, text)
    assert [each["name"] for each in whole.model_extra["tool_output"]] == ["current_time"]


async def test_a_tool_of_the_callers_has_a_name_of_its_own(client: openai.AsyncOpenAI) -> None:
    taken: Any = {"type": "function", "function": {"name": "current_time"}}
    with pytest.raises(openai.BadRequestError, match="current_time is the name of one of our tools"):
        await ask(client, "Hi", tools=[taken])


class Colour(BaseModel):
    name: str
    warm: bool


async def test_an_answer_is_parsed_as_what_was_wanted(client: openai.AsyncOpenAI) -> None:
    parsed = await client.chat.completions.parse(
        model="m", messages=user('#json={"name":"red","warm":true}'), response_format=Colour
    )
    assert parsed.choices[0].message.parsed == Colour(name="red", warm=True)
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    sent = json.loads((await ask(client, "#echo", response_format=wanted)).choices[0].message.content)
    wanted["json_schema"]["strict"] = False
    assert sent["response_format"] == wanted


async def test_what_the_model_thinks_is_no_answer(client: openai.AsyncOpenAI) -> None:
    chunks = await streamed(client, "#reasoning=3 #chunks=2 Hi")
    thoughts = [each.choices[0].delta.model_extra.get("reasoning_content") for each in chunks if each.choices]
    assert "".join(filter(None, thoughts))
    assert text_in(chunks) == expected_text(2)
    whole = await ask(client, "#reasoning=3 #chunks=2 Hi")
    assert whole.choices[0].message.model_extra["reasoning_content"] == "".join(filter(None, thoughts))


async def test_an_answer_that_was_cut_short_says_so(client: openai.AsyncOpenAI) -> None:
    assert (await streamed(client, "#chunks=2 #finish=length Hi"))[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"logprobs": True}, "logprobs"), ({"modalities": ["text", "audio"]}, "modalities"), ({"n": 2}, "n")],
)
async def test_what_the_reply_could_not_have_is_not_asked_for(
    client: openai.AsyncOpenAI, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, "Hi", **asked)
    assert (caught.value.param, caught.value.code) == (param, "invalid_input")
    assert (await ask(client, "#chunks=1", logprobs=False, modalities=["text"], n=1)).choices


async def test_what_is_refused_is_an_error_of_its_kind(stack: Stack, client: openai.AsyncOpenAI) -> None:
    image: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(openai.BadRequestError, match="Only text can be carried") as caught:
        await client.chat.completions.create(model="m", messages=image)
    assert (caught.value.param, caught.value.code) == ("messages[0].content[0].type", "invalid_input")
    with pytest.raises(openai.NotFoundError) as missing:
        await ask(client, "Hi", metadata={"session_id": "01M7XNHA5XT5A9JSFT52QBJFGY"})
    assert missing.value.code == "session_not_found"
    with pytest.raises(openai.RateLimitError) as limited:
        await ask(client, "#status=429 #retry_after=3 Hi", stream=True)
    assert limited.value.response.headers["retry-after"] == "3"
    for streams in (False, True):
        with pytest.raises(openai.BadRequestError) as filtered:
            await ask(client, "#filter Hi", stream=streams)
        assert (filtered.value.code, filtered.value.type) == ("content_filtered", "invalid_request_error")
    with pytest.raises(openai.InternalServerError) as away:
        await ask(client, "#status=500 Hi")
    assert (away.value.status_code, away.value.code) == (503, "model_unavailable")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"temperature": True}, "temperature"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"n": True}, "n"),
        ({"metadata": {"session_id": {"a": 1}}}, "metadata.session_id"),
        ({"metadata": {"session_id": 5}}, "metadata.session_id"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
            "tools[0].function.parameters",
        ),
    ],
)
async def test_a_field_of_another_type_is_named(
    client: openai.AsyncOpenAI, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await ask(client, "Hi", **more)
    assert refused.value.param == param


async def test_an_output_that_is_missing_is_missed_among_the_messages(
    stack: Stack, client: openai.AsyncOpenAI
) -> None:
    async with connected(stack.url) as other:
        more: Any = {"tools": [TOOL], "model": "m", "metadata": {"session_id": await other.new_session()}}
    said = user("#tool=paint{} #tool=paint{} Paint twice")
    [choice] = (await client.chat.completions.create(messages=said, **more)).choices
    first, _ = choice.message.tool_calls or []
    said += [choice.message.model_dump(exclude_none=True)]
    said += [{"role": "tool", "tool_call_id": first.id, "content": "painted"}]
    with pytest.raises(openai.BadRequestError, match="is missing") as refused:
        await client.chat.completions.create(messages=said, **more)
    assert refused.value.param == "messages"


async def test_a_session_that_is_busy_is_a_conflict(stack: Stack, client: openai.AsyncOpenAI) -> None:
    async with connected(stack.url) as other, other.say("#chunks=1 #stall=1 Hi") as running:
        await running.take(1)
        with pytest.raises(openai.ConflictError) as caught:
            await ask(client, "Hi", metadata={"session_id": running.session_id})
        assert caught.value.code == "turn_in_progress"
        await other.cancel(running.turn_id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_model_that_breaks_off_is_an_error(client: openai.AsyncOpenAI, stream: bool) -> None:
    with pytest.raises(openai.APIError, match="The model's reply was cut off"):
        await (streamed if stream else ask)(client, "#chunks=5 #cut=2 Hi")


async def test_an_answer_that_somebody_stops_ends_as_it_is(stack: Stack, client: openai.AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(
        model="m", messages=user("#endless #rate=20 Hi"), stream=True
    )
    chunks: list[Any] = []
    async with connected(stack.url) as other:
        async for chunk in raw.parse():
            chunks.append(chunk)
            if len(chunks) == 5:
                await other.cancel(raw.headers["x-turn-id"])
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert expected_text(500).startswith(text_in(chunks))


async def test_who_leaves_stops_nothing(stack: Stack, client: openai.AsyncOpenAI) -> None:
    for count in range(1, 6):
        raw = await client.chat.completions.with_raw_response.create(
            model="m", messages=user("#chunks=6 #rate=40 Hi"), stream=True
        )
        stream = raw.parse()
        for _ in range(count):
            await anext(stream)
        await stream.close()
        async with connected(stack.url) as other, other.follow(raw.headers["x-turn-id"]) as rest:
            assert text_of(await rest.read()) == expected_text(6)


async def test_a_request_that_comes_again_under_its_key_gets_the_same_turn(
    client: openai.AsyncOpenAI,
) -> None:
    headers = {"Idempotency-Key": "one"}
    first, second = [await ask(client, "#chunks=2 Hi", extra_headers=headers) for _ in range(2)]
    assert first == second
    chunks = await streamed(client, "#chunks=2 Hi", extra_headers={"Idempotency-Key": "two"})
    assert chunks == await streamed(client, "#chunks=2 Hi", extra_headers={"Idempotency-Key": "two"})


async def test_whoever_is_not_known_or_asks_too_often_is_told_so_and_waits(
    start_stack: Callable[..., Stack],
) -> None:
    limits = {"CHAT_LIMIT_REQUESTS": "1/2", "CHAT_AUTH": "apikey,dev"}
    stack = start_stack(env={**ONE_ATTEMPT, **limits})
    async with openai.AsyncOpenAI(base_url=base(stack), api_key="parley_wrong", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as unknown:
            await client.models.list()
        assert unknown.value.code == "unauthenticated"
        with pytest.raises(openai.AuthenticationError):
            await ask(client, "Hi", stream=True)
    async with connected(stack.url) as other:
        made = await other.call("POST", "/api/v1/chat/keys", json={"name": "mine"})
    async with openai.AsyncOpenAI(base_url=base(stack), api_key=made.body["key"], max_retries=0) as client:
        await ask(client, "#chunks=1 Hi")
        with pytest.raises(openai.RateLimitError) as limited:
            await ask(client, "#chunks=1 Hi")
        assert (limited.value.code, limited.value.type) == ("rate_limited", "rate_limit_error")
        assert int(limited.value.response.headers["retry-after"]) >= 1
        patient = client.with_options(max_retries=2)
        assert (await ask(patient, "#chunks=1 Hi")).choices[0].message.content == expected_text(1)


@pytest.mark.slow
async def test_when_the_process_is_killed_the_stream_breaks_and_the_turn_ends_for_who_looks(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(2, env=ONE_ATTEMPT)
    async with openai.AsyncOpenAI(base_url=base(stack), api_key="local", max_retries=0) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="m", messages=user("#endless #rate=20 Hi"), stream=True
        )
        stream = raw.parse()
        for _ in range(5):
            await anext(stream)
        os.kill(stack.pids[0], signal.SIGKILL)
        with pytest.raises(Exception, match=r"peer closed|incomplete|disconnected|Connection"):
            async for _ in stream:
                pass
    turn_id = raw.headers["x-turn-id"]
    async with connected(stack.urls[1]) as other:

        async def ended() -> bool:
            return (await other.turn(turn_id))["status"] == "failed"

        await eventually(ended, seconds=40, what="end of the turn")
        async with other.follow(turn_id, dialect="completions") as rest:
            *_, error, done = await rest.read()
    assert (error.payload["error"]["code"], done.data) == ("interrupted", "[DONE]")


async def test_twenty_at_once(client: openai.AsyncOpenAI) -> None:
    found = await asyncio.gather(*(streamed(client, f"#chunks=5 Hi {number}") for number in range(20)))
    assert {text_in(each) for each in found} == {expected_text(5)}


async def test_the_program_of_the_documentation_works(stack: Stack) -> None:
    [(language, program)] = snippets_of("OpenAI chat completions")
    assert await run_snippet(language, program, stack.url) == f"{expected_text(3)}\n{expected_text(2)}\n"
