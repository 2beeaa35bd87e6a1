"""Tools over HTTP: the model's question goes to the data, and the caller's own tools come back with their outputs."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.support.clients import DONE, ChatClient, Heard, Stream, connected, text_of
from tests.support.processes import ROOT
from tests.support.stack import Stack

ORDERS = ROOT / "data" / "orders.csv"
ASK = {
    "type": "function",
    "function": {
        "name": "ask_user",
        "description": "Asks the user.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    },
}


@pytest.fixture
async def client(stack: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(stack.url) as connection:
        yield connection


def total(folder: Path = ORDERS) -> float:
    [[found]] = duckdb.sql(f"SELECT round(SUM(revenue), 2) FROM '{folder}'").fetchall()
    return found


def payloads(frames: Any, kind: str) -> list[Any]:
    said = [frame.payload for frame in frames if frame.data != DONE]
    return [payload for payload in said if payload["type"] == kind]


def turns_path(session_id: str) -> str:
    return f"/api/v1/chat/sessions/{session_id}/turns"


async def post(client: ChatClient, session_id: str, **body: Any) -> Heard:
    async with client.open("POST", turns_path(session_id), json=body) as stream:
        return await heard(stream)


async def heard(stream: Stream) -> Heard:
    return Heard(stream.session_id, stream.turn_id, await stream.read())


@pytest.mark.parametrize("question", ["What is our total revenue?", "What's our total revenue?"])
async def test_a_question_about_the_data_is_answered_from_the_data(client: ChatClient, question: str) -> None:
    found = await client.hear(question)
    [call], [output] = payloads(found.frames, "tool.call"), payloads(found.frames, "tool.output")
    assert (call["name"], call["args"]) == ("query_data", {"sql": "SELECT SUM(revenue) AS total FROM orders"})
    assert (output["name"], output["id"]) == ("query_data", call["id"])
    assert json.loads(output["output"]) == {"columns": ["total"], "rows": [[total()]]}
    assert found.text == f"The total is {total()}."
    assert len(payloads(found.frames, "text.delta")) > 1
    assert found.frames[-1].data == DONE


async def test_the_call_is_kept_with_the_answer_and_shown_to_the_model_later(client: ChatClient) -> None:
    found = await client.hear("What is our total revenue?")
    answer = (await client.messages(found.session_id))[-1]
    [call] = answer["metadata"]["tool_calls"]
    assert (call["name"], call["is_error"]) == ("query_data", False)
    assert str(total()) in call["output"]
    shown = json.loads((await client.hear("#echo", found.session_id)).text)["messages"]
    assert [each["role"] for each in shown] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert shown[3]["content"] == call["output"]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ('#tool=query_data{"sql":"DROP TABLE orders"}', "Only one SELECT"),
        ('#tool=query_data{"sql":"SELECT * FROM orders"}', "more than 200 rows"),
        ('#tool=query_data{"query":"SELECT 1"}', "sql: Field required"),
        ('#tool=query_data{"sql":"SELECT 1"} #tool_cut', "Invalid JSON"),
        ("#tool=dance{}", "There is no tool of the name 'dance'"),
    ],
)
async def test_what_goes_wrong_in_a_tool_is_told_to_the_model(
    client: ChatClient, order: str, said: str
) -> None:
    found = await client.hear(order)
    [output] = payloads(found.frames, "tool.output")
    assert said in output["output"]
    assert said in found.text
    assert (await client.turn(found.turn_id))["status"] == "finished"


async def test_calls_of_one_reply_run_and_rounds_repeat(client: ChatClient) -> None:
    found = await client.hear('#tool=current_time{} #tool=query_data{"sql":"SELECT 41 + 1"} #rounds=3')
    assert len(payloads(found.frames, "tool.output")) == 6
    assert len((await client.turn(found.turn_id))["attempts"]) == 4


async def test_a_model_that_never_stops_calling_ends_with_a_reason(client: ChatClient) -> None:
    found = await client.hear("#tool=current_time{} #rounds=50")
    assert (await client.turn(found.turn_id))["error"]["code"] == "TOOL_LIMIT_REACHED"
    assert len(payloads(found.frames, "tool.output")) == 9
    [error] = payloads(found.frames, "error")
    assert error["code"] == "TOOL_LIMIT_REACHED"


async def test_a_stopped_turn_stops_its_query(client: ChatClient) -> None:
    slow = "SELECT COUNT(*) FROM range(1000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3"
    order = f'#tool=query_data{{"sql":"{slow}"}}'
    async with client.say(order) as stream:
        await stream.take(1)
        assert (await client.cancel(stream.turn_id)).body["status"] == "cancelled"
        frames = await stream.read()
    assert payloads(frames, "tool.output") == []
    call = (await client.messages(stream.session_id))[-1]["metadata"]["tool_calls"][0]
    assert call["output"] is None


async def test_the_caller_runs_a_tool_of_its_own(client: ChatClient) -> None:
    session_id = await client.new_session()
    order = '#tool=ask_user{"q":"which?"}'
    first = await post(client, session_id, content=order, tools=[ASK])
    [call] = payloads(first.frames, "tool.call")
    assert (call["name"], call["args"], first.frames[-1].data) == ("ask_user", {"q": "which?"}, DONE)
    outputs = [{"call_id": call["id"], "output": "the blue one"}]
    second = await post(client, session_id, tool_outputs=outputs, tools=[ASK])
    assert "the blue one" in second.text
    asked, pending, answer = await client.messages(session_id)
    assert asked["content"] == order
    assert pending["metadata"]["tool_calls"][0]["output"] is None
    assert answer["metadata"]["continues"] == pending["id"] == first.turn_id
    assert answer["metadata"]["tool_calls"][0]["output"] == "the blue one"


async def test_ours_and_the_callers_tools_work_in_one_round(client: ChatClient) -> None:
    session_id = await client.new_session()
    order = '#tool=ask_user{"q":"x"} #tool=query_data{"sql":"SELECT 41 + 1"}'
    first = await post(client, session_id, content=order, tools=[ASK])
    assert [each["name"] for each in payloads(first.frames, "tool.output")] == ["query_data"]
    [pending] = [each for each in payloads(first.frames, "tool.call") if each["name"] == "ask_user"]
    second = await post(client, session_id, tool_outputs=[{"call_id": pending["id"], "output": "blue"}])
    assert "blue" in text_of(second.frames)
    assert "42" in text_of(second.frames)


def function(**changes: Any) -> dict[str, Any]:
    return {"type": "function", "function": ASK["function"] | changes}  # type: ignore[operator]


BAD_BODIES = [
    ({"content": "Hi", "tools": [function(name="query_data")]}, "tools.0.function.name"),
    ({"content": "Hi", "tools": [ASK, ASK]}, "tools.1.function.name"),
    ({"content": "Hi", "tools": [function(name="no spaces")]}, "tools.0.function.name"),
    ({"content": "Hi", "tools": [function(parameters={"type": "string"})]}, "tools.0.function.parameters"),
    ({"content": "Hi", "tools": [function(parameters={"x": "y" * 17_000})]}, "tools.0.function.parameters"),
    ({"content": "Hi", "tools": [{"type": "retrieval"}]}, "tools.0.type"),
    ({"content": "Hi", "tools": [function(name=f"t{n}") for n in range(65)]}, "tools"),
    ({"content": "Hi", "tool_outputs": [{"call_id": "c", "output": "x"}]}, "tool_outputs"),
    ({"tool_outputs": []}, "tool_outputs"),
    ({"tool_outputs": [{"call_id": "", "output": "x"}]}, "tool_outputs.0.call_id"),
    ({"tool_outputs": [{"call_id": "c", "output": {"a": 1}}]}, "tool_outputs.0.output"),
    ({"tool_outputs": [{"call_id": "c", "output": "x"}]}, "tool_outputs.0.call_id"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
async def test_bad_tools_and_outputs_are_named(client: ChatClient, body: Any, field: str) -> None:
    session_id = await client.new_session()
    reply = await client.call("POST", turns_path(session_id), json=body)
    assert (reply.status, reply.body["details"].get("field")) == (422, field)
    assert await client.messages(session_id) == []


async def test_an_output_that_is_too_large_is_413(client: ChatClient) -> None:
    outputs = [{"call_id": "c", "output": "x" * 70_000}]
    reply = await client.call("POST", turns_path(await client.new_session()), json={"tool_outputs": outputs})
    assert reply.status == 413
