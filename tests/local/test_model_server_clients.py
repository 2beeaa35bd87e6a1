"""The model stand-in as the vendors' own clients see it: openai, and azure-ai-inference with its strict parser."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest
from azure.ai.inference.aio import ChatCompletionsClient
from azure.ai.inference.models import UserMessage
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from local.model_server import expected_text, serve

MODEL = "model-router"
TOOLS: Any = [{"type": "function", "function": {"name": "sum", "parameters": {"type": "object"}}}]


@pytest.fixture
async def url() -> AsyncGenerator[str]:
    async with serve() as address:
        yield address


@pytest.fixture
async def client(url: str) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key="k", max_retries=0, timeout=5) as made:
        yield made


@pytest.fixture
async def azure(url: str) -> AsyncGenerator[ChatCompletionsClient]:
    key = AzureKeyCredential("k")
    endpoint = f"{url}/openai/v1"
    async with ChatCompletionsClient(endpoint, key, api_version="v1", retry_total=1, read_timeout=5) as made:
        yield made


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def read(client: openai.AsyncOpenAI, text: str, **more: Any) -> list[Any]:
    """All chunks of a stream."""
    stream = await client.chat.completions.create(model=MODEL, messages=user(text), stream=True, **more)
    return [chunk async for chunk in stream]


def joined(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_openai_reads_a_stream(client: openai.AsyncOpenAI) -> None:
    chunks = await read(client, "#chunks=50", stream_options={"include_usage": True})
    assert joined(chunks) == expected_text(50)
    assert chunks[-1].usage.completion_tokens == 50
    assert {chunk.model for chunk in chunks} == {"gpt-5-mini-2025-08-07"}


async def test_openai_reads_a_whole_answer(client: openai.AsyncOpenAI) -> None:
    reply = await client.chat.completions.create(model=MODEL, messages=user("#chunks=5 #reasoning=1"))
    assert reply.choices[0].message.content == expected_text(5)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None and reply.usage.total_tokens == 2 + 6


async def test_openai_gets_the_same_calls_streamed_and_whole(client: openai.AsyncOpenAI) -> None:
    text = '#tool=sum{"values":[1,2,3],"name":"of all"} #tool=sum'
    async with client.chat.completions.stream(model=MODEL, messages=user(text), tools=TOOLS) as stream:
        streamed: Any = (await stream.get_final_completion()).choices[0]
    for choice in (streamed, await ask(client, user(text))):
        assert choice.finish_reason == "tool_calls"
        calls = [(call.id, call.function.arguments) for call in choice.message.tool_calls]
        assert calls == [("call_1", '{"values":[1,2,3],"name":"of all"}'), ("call_2", "{}")]


async def test_the_tools_output_is_quoted_afterwards(client: openai.AsyncOpenAI) -> None:
    text = '#tool=sum{"a":1}'
    whole = await client.chat.completions.create(model=MODEL, messages=user(text), tools=TOOLS)
    call: Any = whole.choices[0].message
    output = {"role": "tool", "tool_call_id": "call_1", "content": "42 and more"}
    messages: Any = [*user(text), call.model_dump(exclude_none=True), output]
    reply = await client.chat.completions.create(model=MODEL, messages=messages)
    assert reply.choices[0].message.content == "The tool says: 42 and more"


async def test_rounds_call_the_tool_again_under_a_new_id(client: openai.AsyncOpenAI) -> None:
    messages: Any = user("#tool=sum #rounds=3 #chunks=1")
    seen: list[str] = []
    while (choice := await ask(client, messages)).finish_reason == "tool_calls":
        call_id = choice.message.tool_calls[0].id
        seen.append(call_id)
        messages += [choice.message.model_dump(exclude_none=True)]
        messages += [{"role": "tool", "tool_call_id": call_id, "content": "ok"}]
    assert seen == ["call_1", "call_2", "call_3"]
    assert choice.message.content == "word1"


async def ask(client: openai.AsyncOpenAI, messages: Any) -> Any:
    return (await client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)).choices[0]


async def test_cut_arguments_are_no_json(client: openai.AsyncOpenAI) -> None:
    choice = await ask(client, user('#tool=sum{"a":1} #tool_cut'))
    with pytest.raises(json.JSONDecodeError):
        json.loads(choice.message.tool_calls[0].function.arguments)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("#status=429", openai.RateLimitError),
        ("#status=401", openai.AuthenticationError),
        ("#status=503", openai.InternalServerError),
        ("#filter", openai.BadRequestError),
        ("#error_after=2 #chunks=5", openai.APIError),
        ("#malformed=3 #chunks=5", json.JSONDecodeError),
    ],
)
async def test_openai_raises_its_own_error(
    client: openai.AsyncOpenAI, text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await read(client, text)


async def test_openai_accepts_comments_and_crlf(client: openai.AsyncOpenAI) -> None:
    assert joined(await read(client, "#chunks=5 #comments #crlf")) == expected_text(5)


async def test_openai_lists_the_models(client: openai.AsyncOpenAI) -> None:
    assert MODEL in [each.id async for each in client.models.list()]


async def read_azure(azure: ChatCompletionsClient, text: str, **more: Any) -> list[Any]:
    stream = await azure.complete(messages=[UserMessage(text)], model=MODEL, stream=True, **more)
    async with stream:
        return [update async for update in stream]


async def test_azure_reads_a_stream(azure: ChatCompletionsClient) -> None:
    extras = {"stream_options": {"include_usage": True}}
    updates = await read_azure(azure, "#chunks=500", model_extras=extras)
    assert joined(updates) == expected_text(500)
    assert updates[-1].usage.completion_tokens == 500
    assert updates[0].model == "gpt-5-mini-2025-08-07"


async def test_azure_reads_calls_in_pieces(azure: ChatCompletionsClient) -> None:
    updates = await read_azure(azure, '#tool=sum{"values":[1,2,3]}')
    calls = [call for each in updates for call in each.choices[0].delta.tool_calls or []]
    assert (calls[0].id, calls[0].function.name) == ("call_1", "sum")
    assert "".join(call.function.arguments for call in calls) == '{"values":[1,2,3]}'
    assert len(calls) > 2


async def test_azure_reads_a_whole_answer(azure: ChatCompletionsClient) -> None:
    reply = await azure.complete(messages=[UserMessage("#chunks=5")], model=MODEL)
    assert reply.choices[0].message.content == expected_text(5)


@pytest.mark.parametrize(
    ("text", "status"), [("#status=429", 429), ("#filter", 400), ("#status=403", 403), ("#chunk=1", 400)]
)
async def test_azure_raises_its_own_error(azure: ChatCompletionsClient, text: str, status: int) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await read_azure(azure, text)
    assert caught.value.status_code == status


async def test_azure_knows_a_refused_key(azure: ChatCompletionsClient) -> None:
    with pytest.raises(ClientAuthenticationError):
        await read_azure(azure, "#status=401")


async def test_azure_tries_again_after_the_time_it_was_told(azure: ChatCompletionsClient) -> None:
    async with asyncio.timeout(2):
        updates = await read_azure(azure, "#status=429 #retry_after=0.01 #times=1 #chunks=2")
    assert joined(updates) == expected_text(2)


@pytest.mark.parametrize("order", ["#comments", "#crlf", "#malformed=3"])
async def test_azure_gives_up_on_frames_it_does_not_know(azure: ChatCompletionsClient, order: str) -> None:
    with pytest.raises(ValueError):
        await read_azure(azure, f"#chunks=3 {order}")
