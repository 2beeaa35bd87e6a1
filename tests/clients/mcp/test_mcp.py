"""The clients that the makers of the Model Context Protocol ship, for Node and for Python, in both of its eras."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.support.clients import connected, eventually
from tests.support.node import run_script
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

HERE = Path(__file__).parent
TOOLS = ["ask", "list_conversations", "get_conversation", "stop"]
PATIENCE = 1.5  # seconds, in place of 55
SLOW = "#chunks=60 #rate=20"  # three seconds
ERAS = ["legacy", "2026-07-28", "auto"]


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    asks_first = {"CHAT_APPROVE_TOOLS": "current_time"}
    with Stack.start(env={"CHAT_MCP_PATIENCE_S": str(PATIENCE), **asks_first, **ONE_ATTEMPT}) as running:
        yield running


@asynccontextmanager
async def client_of(stack: Stack, user: str, era: str = "auto", instance: int = 0) -> AsyncGenerator[Client]:
    headers = {"x-dev-user": user}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(f"{stack.urls[instance]}/api/mcp", http_client=http)
        async with Client(transport, mode=era, cache=None) as client:
            yield client


async def on_node(stack: Stack, user: str, *script: tuple[str, Any]) -> list[tuple[str, Any]]:
    """What the client for Node prints."""
    said = await run_script(HERE / "client.mjs", f"{stack.url}/api/mcp", user, json.dumps(script))
    return [tuple(json.loads(line)) for line in said.splitlines()]


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def whole(client: Client, text: str, heard: "Heard | None" = None, turn_id: str = "") -> CallToolResult:
    """The answer to a text, or of a turn, however often that has to be asked for."""
    arguments = {"turn_id": turn_id} if turn_id else {"text": text}
    answer = await client.call_tool("ask", arguments, progress_callback=heard)
    while answer.structured_content["state"] == "running":
        turn_id = answer.structured_content["turn_id"]
        answer = await client.call_tool("ask", {"turn_id": turn_id}, progress_callback=heard)
    return answer


class Heard:
    """The progress that a client was told of."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.numbers: list[float] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.numbers.append(progress)
        self.messages.append(message or "")

    @property
    def turn_id(self) -> str:
        found = re.search(r"turn (\S+) of the conversation (\S+) began", self.messages[0])
        assert found
        return found[1]


@pytest.mark.parametrize("era", ERAS)
async def test_tools_and_resources_are_listed_and_used(stack: Stack, era: str) -> None:
    async with client_of(stack, f"ann-{era}", era) as client:
        assert [each.name for each in (await client.list_tools()).tools] == TOOLS
        heard = Heard()
        answer = await client.call_tool("ask", {"text": "#chunks=3"}, progress_callback=heard)
        assert (text_of(answer), answer.is_error) == ("word1 word2 word3", False)
        assert answer.structured_content["state"] == "finished"
        assert answer.structured_content["turn_id"] == heard.turn_id
        assert all(one < two for one, two in pairwise(heard.numbers))
        conversation = answer.structured_content["conversation_id"]
        listed = await client.call_tool("list_conversations")
        assert [each["conversation_id"] for each in listed.structured_content["conversations"]] == [
            conversation
        ]
        assert json.loads(text_of(listed)) == listed.structured_content
        found = await client.call_tool("get_conversation", {"conversation_id": conversation})
        assert [each["content"] for each in found.structured_content["messages"]] == [
            "#chunks=3",
            "word1 word2 word3",
        ]
        (resource,) = (await client.list_resources()).resources
        (content,) = (await client.read_resource(str(resource.uri))).contents
        assert json.loads(content.model_dump()["text"])["messages"] == found.structured_content["messages"]
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "parley://conversations/{conversation_id}"


async def test_the_client_for_node_lists_asks_and_reads(stack: Stack) -> None:
    lines = await on_node(
        stack,
        "bob",
        ("ping", {}),
        ("tools", {}),
        ("ask", {"text": "#chunks=3"}),
        ("resources", {}),
        ("templates", {}),
    )
    assert [what for what, _ in lines] == [
        *("server", "ping", "tools", "progress", "result", "resources", "templates")
    ]
    said = dict(lines)
    assert (said["server"], said["tools"]) == ("parley", TOOLS)
    assert said["result"]["content"][0]["text"] == "word1 word2 word3"
    assert said["progress"][0][1].endswith("began")
    read = await on_node(stack, "bob", ("read", {"uri": said["resources"][0]["uri"]}))
    assert json.loads(dict(read)["read"][0]["text"])["messages"][1]["content"] == "word1 word2 word3"


async def test_a_tool_of_ours_is_seen_at_work(stack: Stack) -> None:
    async with client_of(stack, "cat") as client:
        heard = Heard()
        answer = await whole(client, "What is our total revenue?", heard)
        assert text_of(answer) == "The total is 18503842.03."
        assert {"Calls query_data", "query_data answered"} <= set(heard.messages)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("with_progress", [False, True])
async def test_what_takes_long_is_asked_for_again(stack: Stack, era: str, with_progress: bool) -> None:
    async with client_of(stack, "dan", era) as client:
        heard = Heard() if with_progress else None
        first = await client.call_tool("ask", {"text": SLOW}, progress_callback=heard)
        assert (first.structured_content["state"], first.is_error) == ("running", False)
        turn_id = first.structured_content["turn_id"]
        assert turn_id in text_of(first)
        found = await whole(client, "", heard, turn_id)
        assert text_of(found) == " ".join(f"word{number}" for number in range(1, 61))
        assert found.structured_content["text"].startswith(first.structured_content["text"])
        again = await client.call_tool("ask", {"turn_id": turn_id})
        assert text_of(again) == text_of(found)


async def test_the_first_progress_names_the_turn_which_stop_ends(stack: Stack) -> None:
    async with client_of(stack, "eve") as client:
        heard = Heard()
        asking = asyncio.create_task(
            client.call_tool("ask", {"text": "#chunks=500 #rate=20"}, progress_callback=heard)
        )

        async def began() -> bool:
            return bool(heard.messages)

        await eventually(began, seconds=10, what="progress")
        stopped = await client.call_tool("stop", {"turn_id": heard.turn_id})
        assert stopped.structured_content["turn_id"] == heard.turn_id
        answer = await asking
        assert answer.structured_content["state"] == "cancelled"
        assert text_of(answer) == answer.structured_content["text"]
    lines = await on_node(stack, "eve", ("ask", {"text": "#chunks=500 #rate=20", "stopAtFirst": True}))
    assert dict(lines)["result"]["structuredContent"]["state"] == "cancelled"


async def test_who_leaves_stops_nothing(stack: Stack) -> None:
    heard = Heard()
    async with client_of(stack, "fay") as client:
        asking = asyncio.create_task(
            client.call_tool("ask", {"text": "#chunks=30 #rate=20"}, progress_callback=heard)
        )

        async def began() -> bool:
            return bool(heard.messages)

        await eventually(began, seconds=10, what="progress")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with client_of(stack, "fay") as client:
        answer = await whole(client, "", turn_id=heard.turn_id)
        assert text_of(answer) == " ".join(f"word{number}" for number in range(1, 31))


async def test_a_model_that_fails_is_an_error_of_the_tool(stack: Stack) -> None:
    async with client_of(stack, "gil") as client:
        for text, code in (("#status=500", "MODEL_UNAVAILABLE"), ("#chunks=5 #cut=2", "MODEL_BAD_REPLY")):
            for heard in (None, Heard()):
                answer = await client.call_tool("ask", {"text": text}, progress_callback=heard)
                assert answer.is_error and text_of(answer).startswith(code)
                assert answer.structured_content["error"]["code"] == code
    lines = await on_node(stack, "gil", ("ask", {"text": "#chunks=5 #cut=2"}))
    assert dict(lines)["result"]["isError"]


async def test_an_answer_that_ends_with_a_call_to_approve_says_which_and_where(stack: Stack) -> None:
    """Nobody approves anything over this protocol, and nothing else tells a client what the answer lacks."""
    arguments = '{"timezone":"UTC"}'
    text = f"#tool=current_time{arguments}"
    call = {"call_id": "call_1", "name": "current_time", "arguments": arguments, "needs_approval": True}
    async with client_of(stack, "max") as client:
        answer = await client.call_tool("ask", {"text": text})
        said = answer.structured_content
        conversation = {"conversation_id": said["conversation_id"]}
        place = f"/api/v1/chat/sessions/{said['conversation_id']}/turns"
        [told] = answer.content
        assert isinstance(told, TextContent)
        assert all(part in told.text for part in ("current_time", "call_1", arguments, place))
        assert (said["state"], said["waiting"]) == ("finished", [call])
        [_, last] = (await client.call_tool("get_conversation", conversation)).structured_content["messages"]
        assert (last["content"], last["waiting"]) == ("", [call])
        [given] = re.findall(r'{"approvals": .*}]}', told.text)
        async with (
            connected(stack.url, user="max") as other,
            other.open("POST", place, json=json.loads(given)) as approved,
        ):
            await approved.read()
        found = (await client.call_tool("get_conversation", conversation)).structured_content["messages"]
        assert not any("waiting" in each for each in found)
        assert found[-1]["content"].startswith("The tool says: ")
    lines = dict(await on_node(stack, "max", ("ask", {"text": text})))
    assert [each["text"] for each in lines["result"]["content"]] != [""]
    assert lines["result"]["structuredContent"]["waiting"] == [call]


async def test_an_answer_without_a_word_is_no_empty_text(stack: Stack) -> None:
    """Services of models refuse empty texts in what came of a call."""
    async with client_of(stack, "ned") as client:
        answer = await client.call_tool("ask", {"text": "#empty"})
        assert all(getattr(each, "text", "") for each in answer.content)


async def test_each_sees_their_own_alone(stack: Stack) -> None:
    async with client_of(stack, "hal") as hal, client_of(stack, "ida") as ida:
        said = (await hal.call_tool("ask", {"text": "#chunks=2"})).structured_content
        conversation = {"conversation_id": said["conversation_id"]}
        assert (await ida.call_tool("list_conversations")).structured_content["conversations"] == []
        assert (await ida.list_resources()).resources == []
        for name, arguments in (
            ("get_conversation", conversation),
            ("ask", {"text": "Hello", **conversation}),
            ("ask", {"turn_id": said["turn_id"]}),
            ("stop", {"turn_id": said["turn_id"]}),
        ):
            refused = await ida.call_tool(name, arguments)
            assert refused.is_error and "NOT_FOUND" in text_of(refused), name
        with pytest.raises(MCPError, match="Resource not found"):
            await ida.read_resource(f"parley://conversations/{said['conversation_id']}")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({}, "text: This field must be given"),
        ({"text": " "}, "text: Message content cannot be empty"),
        ({"text": "Hi", "turn_id": "x"}, "text: Cannot be given with turn_id"),
        ({"text": "Hi", "session": "x"}, "session: "),
        ({"text": "x" * 300_000}, "TOO_LARGE"),
        ({"turn_id": "x"}, "TURN_NOT_FOUND"),
    ],
)
async def test_wrong_arguments_are_told_to_the_model(
    stack: Stack, arguments: dict[str, Any], wrong: str
) -> None:
    async with client_of(stack, "jon") as client:
        answer = await client.call_tool("ask", arguments)
        assert answer.is_error and wrong in text_of(answer)


async def test_a_busy_conversation_says_so(stack: Stack) -> None:
    async with client_of(stack, "kim") as client:
        first = (await client.call_tool("ask", {"text": SLOW})).structured_content
        busy = await client.call_tool("ask", {"text": "And?", "conversation_id": first["conversation_id"]})
        assert busy.is_error and text_of(busy).startswith("TURN_IN_PROGRESS")
        await client.call_tool("stop", {"turn_id": first["turn_id"]})


async def test_a_stream_that_breaks_is_reported_and_the_turn_ends_for_who_looks() -> None:
    """The process that answers is killed; another one shows how it ended."""
    with Stack.start(instances=2, env=ONE_ATTEMPT) as stack:
        heard = Heard()
        with pytest.raises((MCPError, httpx2.HTTPError, ExceptionGroup)):
            async with client_of(stack, "lea") as client:
                asking = asyncio.create_task(
                    client.call_tool("ask", {"text": "#chunks=500 #rate=20"}, progress_callback=heard)
                )

                async def began() -> bool:
                    return len(heard.messages) > 1

                await eventually(began, seconds=10, what="progress")
                os.kill(stack.pids[0], signal.SIGKILL)
                async with asyncio.timeout(10):
                    await asking
        async with client_of(stack, "lea", instance=1) as other:
            answer = await whole(other, "", turn_id=heard.turn_id)
            assert answer.is_error and text_of(answer).startswith("INTERRUPTED")
