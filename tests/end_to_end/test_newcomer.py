"""What a newcomer finds: the local stack as its settings file has it, with three model services, and the README's first
commands as they stand."""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Callable, Generator

import pytest

from tests.support.clients import ChatClient, connected, text_of
from tests.support.processes import ROOT
from tests.support.stack import Stack

SERVICES = [
    ("AZURE", "gpt-5-mini-2025-08-07", "/openai/v1/chat/completions"),
    ("LOCAL", "local-model", "/v1/chat/completions"),
    ("OPENROUTER", "openai/gpt-5-mini", "/api/v1/chat/completions"),
]
"""Who may be asked, the model that answers, and where the stand-in was asked."""


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    with Stack.start() as running:
        yield running


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(stack.url) as connection:
        yield connection


@pytest.mark.parametrize(("provider", "model", "path"), SERVICES)
async def test_a_session_asks_the_service_that_it_names(
    client: ChatClient, stack: Stack, provider: str, model: str, path: str
) -> None:
    session_id = await client.new_session(llm_provider=provider)
    base = f"/api/v1/chat/sessions/{session_id}"
    posted = await client.call("POST", f"{base}/messages", json={"content": f"#chunks=3 {provider}"})
    async with client.open("POST", f"{base}/turns", json={"message_id": posted.body["id"]}) as stream:
        assert text_of(await stream.read()) == "word1 word2 word3"
    [_, answer] = await client.messages(session_id)
    turn = await client.turn(answer["id"])
    assert (answer["llm_provider"], answer["llm_model"], answer["status"]) == (provider, model, "complete")
    assert [(each["provider"], each["model"]) for each in turn["attempts"]] == [(provider, model)]
    assert not turn["usage"]["estimated"]
    at_the_model = client.at(stack.model_url.removesuffix("/openai/v1"))
    async with at_the_model.open("GET", "/_model/requests") as stream:
        [asked] = await stream.response.json()
    assert asked["path"] == path


async def test_a_session_can_change_its_service_and_health_knows_them_all(client: ChatClient) -> None:
    session_id = await client.new_session()
    for provider, _, _ in SERVICES[::-1]:
        await client.call("PUT", f"/api/v1/chat/sessions/{session_id}", json={"llm_provider": provider})
        await client.hear("#chunks=1", session_id)
    answers = (await client.messages(session_id))[1::2]
    assert [each["llm_provider"] for each in answers] == ["OPENROUTER", "LOCAL", "AZURE"]
    health = (await client.call("GET", "/api/v1/chat/health")).body
    assert list(health["dependencies"]["models"]) == ["AZURE", "LOCAL", "OPENROUTER"]


async def test_a_failure_of_all_three_is_told_before_the_headers_must_go_out(client: ChatClient) -> None:
    async with asyncio.timeout(10), client.say("#status=503") as stream:
        await stream.response.read()
        assert stream.status == 503
    turn = await client.turn(stream.turn_id)
    assert {each["provider"] for each in turn["attempts"]} == {"AZURE", "LOCAL", "OPENROUTER"}


async def test_every_session_that_is_made_stands_in_the_log(client: ChatClient, stack: Stack) -> None:
    posted = await client.new_session(llm_provider="LOCAL")
    negotiated = (await client.call("GET", "/ws")).body["session_id"]
    heard = await client.as_user("ann").hear("#chunks=1")
    logged = re.findall(r"session_created (\{.*?\})", stack.errors)
    made = {each["session_id"]: (each["user_id"], each["provider"]) for each in map(json.loads, logged)}
    assert len(logged) == len(made)
    assert (made[posted], made[negotiated]) == (("dev", "LOCAL"), ("dev", "AZURE"))
    assert made[heard.session_id] == ("ann", "AZURE")
    [started] = re.findall(rf'turn_started (\{{"turn_id": "{heard.turn_id}".*?\}})', stack.errors)
    endpoint = stack.model_url.removeprefix("http://").removesuffix("/openai/v1")
    assert json.loads(started) | {"dialect": ""} == {
        "turn_id": heard.turn_id,
        "dialect": "",
        "provider": "AZURE",
        "endpoint": endpoint,
        "messages": 1,
    }


async def test_the_first_commands_of_the_readme_do_what_it_shows(
    stack: Stack, tool: Callable[[str], str]
) -> None:
    tool("curl")
    [first] = re.findall(r"```console\n(\$ make run\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    blocks = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", first, re.MULTILINE)
    session_id, replies = "", []
    for command, shown in blocks:
        if command.startswith("curl"):
            replies.append(await run(command.replace("localhost:7071", stack.url), session_id))
            told = re.search(r'"id":"(\w+)"', replies[-1])
            session_id = session_id or (told[1] if told else "")
            assert shown.split(":")[0] == replies[-1].split(":")[0], command
    session, message, answer = replies
    assert (json.loads(session)["llm_provider"], json.loads(session)["title"]) == ("LOCAL", None)
    assert json.loads(message)["id"] == f"{session_id}-00000001"
    assert answer.startswith("id: ") and answer.endswith("data: [DONE]\n\n")


async def run(command: str, session_id: str) -> str:
    """What a shell prints."""
    process = await asyncio.create_subprocess_shell(
        command.replace("curl", "curl -s", 1),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "SESSION": session_id},
    )
    async with asyncio.timeout(30):
        printed, _ = await process.communicate()
    assert process.returncode == 0, command
    return printed.decode()
