"""The script that asks a provider of the settings one question."""

import asyncio
import os
import sys

from tests.support.model_service import DONE, STOP, ModelService, running_model_service, text
from tests.support.processes import ROOT


async def run(*arguments: str, **environ: str) -> tuple[int | None, list[str]]:
    """Its exit status and what it printed, with the times taken off."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scripts.ask_provider",
        *arguments,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return process.returncode, [line.rpartition(" ms  ")[2] for line in output.decode().splitlines()]


def local(service: ModelService) -> dict[str, str]:
    return {"LOCAL_AI_ENDPOINT": service.url, "LOCAL_AI_MODEL": "m"}


async def test_every_piece_of_the_reply_is_shown():
    async with running_model_service() as service:
        service.script = [text("Hi"), STOP, DONE]
        shown = await run("LOCAL", "Good morning", '{"max_tokens": 5, "seed": 1}', **local(service))
    assert shown == (
        0,
        ["ModelChosen(model='gpt-9', provider='')", "TextPiece(text='Hi')", "StopReason(reason='stop')"],
    )
    asked = service.asked[0].body
    assert (asked["model"], asked["max_tokens"], asked["seed"]) == ("m", 5, 1)
    assert asked["messages"] == [{"role": "user", "content": "Good morning"}]


async def test_a_refusal_is_shown_with_its_code():
    async with running_model_service() as service:
        service.status = 401
        shown = await run("LOCAL", "Hi", **local(service))
    assert shown == (1, ["MODEL_AUTH_FAILED: The model service refused our credentials."])


async def test_what_is_missing_is_named():
    status, lines = await run("GITHUB", "Hi")
    assert (status, [line.partition(":")[0] for line in lines]) == (2, ["GITHUB_AI_KEY", "GITHUB_AI_MODEL"])
