"""Models and agents that speak Responses, through the whole app: tools of both sides, changes of service, and stops."""

import json
import re
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from tests.support.clients import ChatClient, connected, eventually
from tests.support.processes import Command
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

SERVED = '#serve=ask_sales{"q":1} #serve=ask_plants{"q":2} #chunks=3'
WORDS = "word1 word2 word3"


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    with Stack.start(env={"CHAT_COALESCE_MS": "0", **ONE_ATTEMPT}) as running:
        yield running


@pytest.fixture(scope="module")
def host(stack: Stack) -> Command:
    """AZURE speaks Responses, LOCAL chat completions, and DATABRICKS is an agent."""
    services = {
        "CHAT_PROVIDERS": "AZURE,LOCAL,DATABRICKS",
        "AZURE_AI_PROTOCOL": "responses",
        "LOCAL_AI_MODEL": "small",
        "DATABRICKS_HOST": stack.model_url.partition("/openai")[0],
        "DATABRICKS_TOKEN": "local",
        "MAS_ENDPOINT_NAME": "mas-1-endpoint",
    }
    return stack.add_host(services)


@pytest.fixture(scope="module")
def url(host: Command) -> str:
    return host.wait_ready()


@pytest.fixture
async def client(url: str) -> AsyncGenerator[ChatClient]:
    async with connected(url) as connection:
        yield connection


@pytest.fixture
async def model(stack: Stack) -> AsyncGenerator[ChatClient]:
    """The stand-in itself."""
    async with connected(stack.model_url.partition("/openai")[0]) as connection:
        await tell(connection, "POST", "/_model/reset")
        yield connection


async def tell(model: ChatClient, method: str, path: str) -> Any:
    async with model.open(method, path) as stream:
        return await stream.response.json()


async def asked(model: ChatClient, number: int = 1) -> list[Any]:
    return await tell(model, "GET", f"/_model/requests?last={number}")


async def said(client: ChatClient, provider: str, text: str, session: str = "") -> tuple[str, list[Any]]:
    """A turn at a provider of choice: its session and the frames, but for the last."""
    session = session or await client.new_session(llm_provider=provider)
    async with client.ask(session, text, "delta") as stream:
        *frames, _ = await stream.read()
        await client.until_ended(stream.turn_id)
    return session, [frame.payload for frame in frames]


def words(frames: list[Any]) -> str:
    return "".join(each["delta"] for each in frames if each["type"] == "text.delta")


async def test_our_tools_go_there_and_back(client: ChatClient, model: ChatClient) -> None:
    session, frames = await said(client, "AZURE", "What is our total revenue?")
    call, output, *_ = frames
    assert (call["type"], call["name"], output["type"]) == ("tool.call", "query_data", "tool.output")
    assert words(frames).startswith("The total is ")
    first, second = await asked(model, 2)
    assert first["path"] == second["path"] == "/openai/v1/responses"
    assert {tool["name"] for tool in first["body"]["tools"]} >= {"query_data"}
    *_, made, came = second["body"]["input"]
    assert (made["type"], made["call_id"]) == ("function_call", call["id"])
    assert (came["type"], came["output"]) == ("function_call_output", output["output"])
    answer = (await client.messages(session))[-1]
    assert (answer["llm_provider"], answer["llm_model"]) == ("AZURE", "gpt-5-mini-2025-08-07")


@pytest.mark.parametrize("provider", ["AZURE", "DATABRICKS"])
async def test_calls_of_the_service_are_shown_and_never_run(
    client: ChatClient, model: ChatClient, provider: str
) -> None:
    session, frames = await said(client, provider, SERVED)
    assert [each["type"] for each in frames[:4]] == ["tool.call", "tool.output"] * 2
    assert [each["name"] for each in frames[:4]] == ["ask_sales"] * 2 + ["ask_plants"] * 2
    assert [each["output"] for each in frames[1:4:2]] == [
        'ask_sales says: {"q":1}',
        'ask_plants says: {"q":2}',
    ]
    assert words(frames) == WORDS
    answer = (await client.messages(session))[-1]
    assert answer["content"] == WORDS
    assert [(each["name"], each["output"]) for each in answer["metadata"]["tool_calls"]] == [
        ("ask_sales", 'ask_sales says: {"q":1}'),
        ("ask_plants", 'ask_plants says: {"q":2}'),
    ]
    connections = await tell(model, "GET", "/_model/connections")
    assert connections["total"] == 1, "the model is not asked what to do with it"


@pytest.mark.parametrize(("provider", "next_one"), [("AZURE", "LOCAL"), ("DATABRICKS", "AZURE")])
async def test_what_a_service_called_is_history_for_the_next(
    client: ChatClient, model: ChatClient, provider: str, next_one: str
) -> None:
    session, _ = await said(client, provider, SERVED)
    await client.call("PATCH", f"/api/v1/chat/sessions/{session}", json={"llm_provider": next_one})
    assert words((await said(client, next_one, "#chunks=2", session))[1]) == "word1 word2"
    [request] = await asked(model)
    history = json.dumps(request["body"])
    assert "ask_sales" in history and "ask_plants says" in history


async def test_an_agent_is_asked_as_it_wants(client: ChatClient, model: ChatClient) -> None:
    await said(client, "DATABRICKS", "#chunks=3")
    [request] = await asked(model)
    assert request["path"] == "/serving-endpoints/responses"
    assert request["body"]["model"] == "mas-1-endpoint"
    assert request["body"].keys() == {"model", "input", "stream", "store"}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("AZURE", ["/openai/v1/responses", "/v1/chat/completions"]),
        ("LOCAL", ["/v1/chat/completions", "/openai/v1/responses"]),
        ("DATABRICKS", ["/serving-endpoints/responses", "/openai/v1/responses"]),
    ],
)
@pytest.mark.parametrize("fault", ["#status=503", "#cut=0", "#error_after=0"])
async def test_one_protocol_stands_in_for_the_other_before_the_first_word(
    client: ChatClient, model: ChatClient, first: str, then: list[str], fault: str
) -> None:
    text = f"#chunks=3 {fault} #times=1 first at {first}"
    session, frames = await said(client, first, text)
    assert words(frames) == WORDS
    assert [each["path"] for each in await asked(model, 9)] == then
    turn = (await client.messages(session))[-1]
    assert turn["llm_provider"] != first


@pytest.mark.parametrize("provider", ["AZURE", "DATABRICKS"])
async def test_a_stop_closes_the_stream_of_the_model(
    client: ChatClient, model: ChatClient, provider: str
) -> None:
    session = await client.new_session(llm_provider=provider)
    async with client.ask(session, "#endless #rate=20", "delta") as stream:
        first = await stream.take(5)
        await client.cancel(stream.turn_id)
        *frames, _ = [*first, *await stream.read()]

    async def left() -> bool:
        found = await tell(model, "GET", "/_model/connections")
        return (found["open"], found["closed_by_client"]) == (0, 1)

    await eventually(left, seconds=2, what="end of the model's stream")
    assert words([frame.payload for frame in frames]).startswith("word1 word2")


async def test_the_log_says_where_the_model_is_and_how_it_failed(
    stack: Stack, host: Command, client: ChatClient
) -> None:
    await said(client, "DATABRICKS", "#status=401 #times=1 who asks?")
    where = stack.model_url.split("/")[2]
    assert re.search(rf'turn_started .*"DATABRICKS", "endpoint": "{where}", "messages": 1', host.errors)
    failed = r'model_call_failed .*"DATABRICKS".*"MODEL_AUTH_FAILED".*\nTraceback[\s\S]+?ProviderAuthFailed: '
    assert re.search(failed, host.errors)
