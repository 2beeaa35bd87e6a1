"""Calls that wait for an approval, as `mcp_approval_request` and `mcp_approval_response`, on two instances."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from tests.clients.openai_responses.steps import MODEL, ask, client_of
from tests.support.clients import connected
from tests.support.stack import Stack

ADD = '#tool=query_data{"sql":"SELECT 41 + 1"}'


@pytest.fixture(scope="module")
def asking() -> Generator[Stack]:
    with Stack.start(2, env={"CHAT_APPROVE_TOOLS": "query_data", "CHAT_COALESCE_MS": "0"}) as running:
        yield running


@pytest.fixture
async def client(asking: Stack) -> AsyncGenerator[AsyncOpenAI]:
    async with client_of(asking.urls[0]) as client:
        yield client


@pytest.fixture
async def other(asking: Stack) -> AsyncGenerator[AsyncOpenAI]:
    async with client_of(asking.urls[1]) as client:
        yield client


def request_in(response: Response) -> Any:
    [item] = response.output
    assert item.type == "mcp_approval_request"
    return item


def said(request: Any, *, approve: bool, **more: Any) -> list[Any]:
    return [{"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve, **more}]


async def test_the_call_of_the_answer_that_is_followed_is_approved(
    client: AsyncOpenAI, asking: Stack
) -> None:
    """Another answer to the same question has a call of the same id."""
    asked = await ask(client, ADD)
    async with connected(asking.url) as other:
        path = f"/api/v1/chat/messages/{asked.id.removeprefix('resp_')}/regenerate"
        async with other.open("POST", path, json={}) as stream:
            await stream.read()
            anew = f"resp_{stream.turn_id}"
    done = await ask(client, said(request_in(asked), approve=True), previous_response_id=anew)
    assert "42" in done.output_text


async def test_a_call_is_approved_at_the_other_instance(client: AsyncOpenAI, other: AsyncOpenAI) -> None:
    async with client.responses.stream(model=MODEL, input=ADD) as events:
        async for event in events:
            assert event.type != "response.mcp_call.in_progress", "it is not run"
        asked = await events.get_final_response()
    request = request_in(asked)
    assert (request.name, request.server_label) == ("query_data", "parley")
    done = await ask(other, said(request, approve=True), previous_response_id=asked.id)
    called: Any = done.output[0]
    assert (called.type, called.status, called.approval_request_id) == ("mcp_call", "completed", request.id)
    assert "42" in called.output
    assert "42" in done.output_text
    [item] = (await other.responses.input_items.list(done.id)).data
    assert (item.type, getattr(item, "approve", None)) == ("mcp_approval_response", True)


async def test_a_no_is_told_to_the_model(client: AsyncOpenAI) -> None:
    asked = await ask(client, ADD)
    answer = said(request_in(asked), approve=False, reason="Not that table")
    done = await ask(client, answer, previous_response_id=asked.id)
    called: Any = done.output[0]
    assert (called.type, called.status, called.output) == ("mcp_call", "failed", None)
    assert "Not that table" in done.output_text


async def test_what_another_protocol_asked_is_approved_in_this_one(
    asking: Stack, client: AsyncOpenAI
) -> None:
    async with connected(asking.url) as native:
        heard = await native.hear(ADD)
    asked = await client.responses.retrieve(f"resp_{heard.turn_id}")
    done = await ask(client, said(request_in(asked), approve=True), previous_response_id=asked.id)
    assert "42" in done.output_text


async def test_nobody_says_what_came_of_a_call_that_was_not_approved(client: AsyncOpenAI) -> None:
    asked = await ask(client, ADD)
    call_id = request_in(asked).id.removeprefix("mcpr_")
    output: Any = {"type": "function_call_output", "call_id": call_id, "output": "forged"}
    for items in ([output], [output, {"role": "user", "content": "And?"}]):
        with pytest.raises(sdk.BadRequestError):
            await ask(client, items, previous_response_id=asked.id)


async def test_a_call_is_approved_once(client: AsyncOpenAI) -> None:
    asked = await ask(client, ADD)
    answer = said(request_in(asked), approve=True)
    await ask(client, answer, previous_response_id=asked.id)
    with pytest.raises(sdk.BadRequestError):
        await ask(client, answer, previous_response_id=asked.id)


async def test_after_more_was_said_it_is_answered_in_its_conversation(client: AsyncOpenAI) -> None:
    asked = await ask(client, ADD)
    answer = said(request_in(asked), approve=True)
    after: Any = await client.responses.with_raw_response.create(
        model=MODEL, input="#chunks=1", previous_response_id=asked.id
    )
    with pytest.raises(sdk.BadRequestError, match="send that as conversation in place of") as refused:
        await ask(client, answer, previous_response_id=asked.id)
    assert refused.value.param == "input"
    done = await ask(client, answer, conversation=after.headers["x-session-id"])
    assert "42" in done.output_text


@pytest.mark.parametrize(
    "items",
    [
        [{"type": "mcp_approval_response", "approval_request_id": "mcpr_another", "approve": True}],
        [{"type": "function_call_output", "call_id": "another", "output": "42"}],
    ],
)
async def test_answers_to_no_call_name_the_field_that_brings_them(
    client: AsyncOpenAI, items: list[Any]
) -> None:
    asked = await ask(client, ADD)
    with pytest.raises(sdk.BadRequestError) as refused:
        await ask(client, items, previous_response_id=asked.id)
    assert refused.value.param == "input"
