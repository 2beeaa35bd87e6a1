"""OpenAI's own client for Node, and the AI SDK over its provider for this protocol, against a running stack."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local.model_server import expected_text
from tests.support.clients import connected
from tests.support.node import run_script
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start(env=ONE_ATTEMPT) as running:
        yield running


async def run(stack: Stack, script: str, kind: str, **asked: Any) -> Any:
    printed = await run_script(HERE / script, f"{stack.url}/api/openai/v1", kind, json.dumps(asked))
    return SimpleNamespace(**json.loads(printed.splitlines()[-1]))


async def chat(stack: Stack, kind: str, text: str, *, more: Any = None, **asked: Any) -> Any:
    body = {"model": "default", "messages": [{"role": "user", "content": text}], **(more or {})}
    return await run(stack, "chat.mjs", kind, body=body, **asked)


def text_in(found: Any) -> str:
    choices = [choice for chunk in found.chunks for choice in chunk["choices"]]
    return "".join(each["delta"].get("content", "") for each in choices)


async def test_streams_the_helper_and_whole_replies(stack: Stack) -> None:
    found = await asyncio.gather(
        *(chat(stack, kind, "#chunks=5 Hello") for kind in ("stream", "helper", "whole"))
    )
    stream, helper, whole = found
    assert [each.error for each in found] == [None] * 3
    assert text_in(stream) == helper.message["content"] == whole.message["content"] == expected_text(5)
    assert helper.finish == whole.finish == "stop"
    assert whole.usage["completion_tokens"] == 5


async def test_models(stack: Stack) -> None:
    found = await chat(stack, "models", "")
    assert (found.models[0], found.models[-1]) == ("model-router", "model-router")


async def test_usage_is_told_when_it_is_asked_for(stack: Stack) -> None:
    found = await chat(stack, "stream", "#chunks=2 Hi", more={"stream_options": {"include_usage": True}})
    assert found.chunks[-1]["usage"]["completion_tokens"] == 2
    assert all(each["usage"] is None for each in found.chunks[:-1])


async def test_the_runner_of_tools_goes_round(stack: Stack) -> None:
    found = await chat(stack, "tools", '#tool=paint{"colour":"red"} Paint')
    assert (found.message, found.error) == ({"content": "The tool says: painted red"}, None)
    assert found.roles == ["user", "assistant", "tool", "assistant"]


# (what is asked, the class of the error, its status, its code)
ERRORS = [
    ("#status=429 #retry_after=1 Hi", "RateLimitError", 429, "model_rate_limited"),
    ("#status=500 Hi", "InternalServerError", 503, "model_unavailable"),
    (" ", "BadRequestError", 400, "invalid_input"),
]


@pytest.mark.parametrize("kind", ["stream", "whole"])
@pytest.mark.parametrize(("text", "name", "status", "code"), ERRORS)
async def test_errors_before_the_first_word(
    stack: Stack, kind: str, text: str, name: str, status: int, code: str
) -> None:
    error = (await chat(stack, kind, text)).error
    assert (error["kind"], error["status"], error["code"]) == (name, status, code)


async def test_a_model_that_breaks_off_is_an_error_after_what_it_said(stack: Stack) -> None:
    found = await chat(stack, "stream", "#chunks=5 #cut=2 Hi")
    assert text_in(found) == expected_text(2)
    assert "The model's reply was cut off" in found.error["message"]


async def test_a_session_that_is_busy_is_a_conflict_until_it_is_free(stack: Stack) -> None:
    async with connected(stack.url) as other, other.say("#chunks=1 #stall=1 Hi") as running:
        await running.take(1)
        where = {"metadata": {"session_id": running.session_id}}
        refused = await chat(stack, "whole", "#chunks=1 Hi", more=where)
        assert (refused.error["kind"], refused.error["code"]) == ("ConflictError", "turn_in_progress")
        again = asyncio.create_task(chat(stack, "whole", "#chunks=1 Hi", more=where, retries=5))
        await other.cancel(running.turn_id)
        assert (await again).message["content"] == expected_text(1)


async def test_who_leaves_stops_nothing(stack: Stack) -> None:
    found = await chat(stack, "stream", "#chunks=6 #rate=40 Hi", stopAfter=3)
    turn_id = found.chunks[0]["id"].removeprefix("chatcmpl-")
    async with connected(stack.url) as other, other.follow(turn_id, dialect="completions") as rest:
        frames = await rest.read()
    payloads = [each.payload for each in frames[:-1]]
    assert text_in(SimpleNamespace(chunks=payloads)) == expected_text(6)
    assert frames[-1].data == "[DONE]"


@pytest.mark.parametrize("kind", ["stream", "whole"])
async def test_the_ai_sdk_reads_text_and_usage(stack: Stack, kind: str) -> None:
    found = await run(stack, "compatible.mjs", kind, prompt="#chunks=5 Hello")
    assert (found.text, found.error, found.finish) == (expected_text(5), None, "stop")
    assert found.usage["outputTokens"] == 5


async def test_the_ai_sdk_runs_its_tools_and_passes_over_ours(stack: Stack) -> None:
    found = await run(stack, "compatible.mjs", "tools", prompt='#tool=paint{"colour":"red"} Paint')
    assert (found.text, found.outputs, found.error) == ("The tool says: painted red", ["painted red"], None)
    ours = await run(stack, "compatible.mjs", "tools", prompt='#tool=current_time{"timezone":"UTC"} When?')
    assert ours.text.startswith("The tool says: ")
    assert (ours.outputs, ours.error) == ([], None)


async def test_the_ai_sdk_reads_what_the_model_thinks(stack: Stack) -> None:
    found = await run(stack, "compatible.mjs", "stream", prompt="#reasoning=2 #chunks=2 Hi")
    assert found.text == expected_text(2)
    assert found.reasoning


@pytest.mark.parametrize(
    ("prompt", "said"),
    [("#status=500", "The model service failed with status 500"), ("#chunks=5 #cut=2", "was cut off")],
)
async def test_the_ai_sdk_is_told_of_errors(stack: Stack, prompt: str, said: str) -> None:
    found = await run(stack, "compatible.mjs", "stream", prompt=prompt)
    assert said in found.error
