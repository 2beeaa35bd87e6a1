"""Clients of the stream as their authors write them: they split at blank lines, or look at the status."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.support.azurite import NODE
from tests.support.clients import connected
from tests.support.stack import Stack

HERE = Path(__file__).parent
AWAY = "The model service failed with status 500."
CUT = "The model's reply was cut off."


async def printed(stack: Stack, script: str, text: str) -> list[str]:
    """What a client prints that asks this."""
    program = [sys.executable] if script.endswith(".py") else [str(NODE)]
    process = await asyncio.create_subprocess_exec(
        *(*program, str(HERE / script), f"{stack.url}/api/chat/stream", text), stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(60):
        said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return said.decode().splitlines()


def words(lines: list[str]) -> str:
    return "".join(line.removeprefix("text ") for line in lines if line.startswith("text "))


@pytest.mark.parametrize(
    ("text", "status", "said", "end"),
    [
        ("#chunks=3", 200, "word1 word2 word3", []),
        ("#status=500", 503, "", [f"error MODEL_UNAVAILABLE {AWAY}"]),
        ("#chunks=5 #cut=2", 200, "word1 word2", [f"error MODEL_BAD_REPLY {CUT}"]),
    ],
)
async def test_who_splits_at_blank_lines_learns_of_everything(
    stack: Stack, text: str, status: int, said: str, end: list[str]
) -> None:
    first, *rest = await printed(stack, "stream.py", text)
    assert first == f"status {status}"
    assert words(rest) == said
    assert [line for line in rest if not line.startswith("text ")] == [*end, "done"]


@pytest.mark.parametrize(
    ("text", "said", "end"),
    [
        ("#chunks=3", "word1 word2 word3", []),
        ("#status=500", "", [f"error MODEL_UNAVAILABLE {AWAY}"]),
        ("#chunks=5 #cut=2", "word1 word2", [f"error MODEL_BAD_REPLY {CUT}"]),
    ],
)
async def test_a_client_that_asks_again_when_a_reply_is_no_stream_asks_once(
    stack: Stack, text: str, said: str, end: list[str]
) -> None:
    lines = await printed(stack, "stream.mjs", text)
    assert words(lines) == said
    assert [line for line in lines if not line.startswith("text ")] == [*end, "done", "asked 1"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("#chunks=2", "200 data: [DONE]"),
        ("#status=500", f"503 MODEL_UNAVAILABLE {AWAY}"),
        ("", "422 INVALID_INPUT Message content cannot be empty"),
    ],
)
async def test_who_looks_at_the_status_decides_by_the_content_type(
    stack: Stack, text: str, line: str
) -> None:
    assert await printed(stack, "decide.mjs", text) == [line]


async def test_each_of_them_asked_the_model_once(stack: Stack) -> None:
    async with connected(stack.url) as client:
        before = (await client.call("GET", "/api/v1/chat/sessions")).body["sessions"]
        await printed(stack, "stream.mjs", "#status=500")
        after = (await client.call("GET", "/api/v1/chat/sessions")).body["sessions"]
        [new] = {each["id"] for each in after} - {each["id"] for each in before}
        assert [each["role"] for each in await client.messages(new)] == ["user", "assistant"]
