"""A tool of another server that waits for an approval: what somebody approved runs as it was then, or not at all."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, Generator
from typing import Any

import openai
import pytest

from tests.support.clients import ChatClient, Heard, connected
from tests.support.processes import Command
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def desk() -> Generator[Command]:
    command = Command("tests.support.mcp_desk", [])
    try:
        yield command
    finally:
        command.kill()


@pytest.fixture(scope="module")
def asking(desk: Command) -> Generator[Stack]:
    server = {"name": "desk", "url": f"{desk.wait_ready()}/mcp", "needs_approval": ["refund"]}
    with Stack.start(env={"CHAT_MCP_SERVERS": json.dumps([server])}) as running:
        yield running


@pytest.fixture
async def client(asking: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(asking.url) as connection:
        yield connection


@pytest.fixture
async def server(desk: Command) -> AsyncGenerator[ChatClient]:
    async with connected(desk.wait_ready()) as connection:
        yield connection
        await tell(connection, "POST", "/pays")


async def tell(server: ChatClient, method: str, path: str) -> Any:
    async with server.open(method, path) as stream:
        return json.loads(await stream.response.read() or b"null")


async def elsewhere(asking: Stack, client: ChatClient) -> ChatClient:
    """At an instance that has asked the server nothing yet."""
    return client.at(asking.add_host().wait_ready())


def payloads(heard: Heard, kind: str) -> list[Any]:
    said = [frame.payload for frame in heard.frames if frame.data != "[DONE]"]
    return [payload for payload in said if payload["type"] == kind]


class Waiting:
    """A call of `refund` for an order of its own, which waits."""

    def __init__(self, client: ChatClient, server: ChatClient) -> None:
        self._client, self._server = client, server
        self.order = uuid.uuid4().hex[:8]
        self.text = f'#tool=desk_refund{{"order":"{self.order}"}}'
        self.session_id = self.call_id = ""

    async def asked(self) -> "Waiting":
        heard = await self._client.hear(self.text)
        while (
            "no tool of the name" in heard.text
        ):  # an instance that just started waits for no server for long
            await asyncio.sleep(0.3)
            heard = await self._client.hear(self.text)
        [call] = payloads(heard, "tool.call")
        assert payloads(heard, "tool.output") == [] and self.order not in await self.ran()
        self.session_id, self.call_id = heard.session_id, call["id"]
        return self

    async def answered(self, at: ChatClient | None = None, **said: Any) -> tuple[Any, Heard]:
        """What came of it, by the turn that goes on."""
        path = f"/api/v1/chat/sessions/{self.session_id}/turns"
        body = {"approvals": [{"call_id": self.call_id, **said}]}
        async with (at or self._client).open("POST", path, json=body) as stream:
            heard = Heard(stream.session_id, stream.turn_id, await stream.read())
        [output] = payloads(heard, "tool.output")
        return output, heard

    async def ran(self) -> list[str]:
        return await tell(self._server, "GET", "/ran")

    async def kept(self) -> Any:
        return (await self._client.messages(self.session_id))[-1]["metadata"]["tool_calls"][0]


@pytest.fixture
async def waiting(client: ChatClient, server: ChatClient) -> Waiting:
    return await Waiting(client, server).asked()


async def test_it_waits_and_runs_once_it_is_approved(waiting: Waiting) -> None:
    assert (await waiting.kept())["approval"] == "requested"
    output, heard = await waiting.answered(approved=True)
    assert output["output"] == f"{waiting.order} is paid back"
    assert "is paid back" in heard.text
    assert (await waiting.ran()).count(waiting.order) == 1
    kept = await waiting.kept()
    assert (kept["approval"], kept["decided_by"], kept["run_for"]) == ("approved", "dev", "dev")


async def test_a_no_keeps_it_from_the_server(waiting: Waiting) -> None:
    output, heard = await waiting.answered(approved=False, reason="Ask the boss")
    assert "Ask the boss" in output["output"] and "Ask the boss" in heard.text
    assert waiting.order not in await waiting.ran()


async def test_other_arguments_are_good_at_an_instance_that_knows_no_tools_yet(
    asking: Stack, client: ChatClient, waiting: Waiting
) -> None:
    other = f"other-{waiting.order}"
    output, _ = await waiting.answered(
        await elsewhere(asking, client), approved=True, arguments={"order": other}
    )
    assert output["output"] == f"{other} is paid back"
    ran = await waiting.ran()
    assert other in ran and waiting.order not in ran


async def test_it_is_approved_by_another_protocol(asking: Stack, waiting: Waiting) -> None:
    approval = {"call_id": waiting.call_id, "approved": True}
    async with openai.AsyncOpenAI(base_url=f"{asking.url}/api/openai/v1", api_key="local") as other:
        whole = await other.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": waiting.text}],
            metadata={"session_id": waiting.session_id},
            extra_body={"approvals": [approval]},
        )
    assert "is paid back" in (whole.choices[0].message.content or "")
    assert waiting.order in await waiting.ran()


@pytest.mark.parametrize("here", [False, True], ids=["at a new instance", "where it was asked"])
async def test_a_definition_that_changed_meanwhile_is_not_run(
    asking: Stack, client: ChatClient, server: ChatClient, waiting: Waiting, here: bool
) -> None:
    """The last of all: who learned of the other definition takes it back with its next listing, minutes later."""
    await tell(server, "POST", "/lies")
    output, _ = await waiting.answered(client if here else await elsewhere(asking, client), approved=True)
    assert output["output"].startswith("Not run: ")
    assert waiting.order not in await waiting.ran()
