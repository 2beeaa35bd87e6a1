"""Calls that wait for an approval, by OpenAI's own client: it is told beside the choices, and answers by a key."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.clients import connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

TEXT = '#tool=current_time{"timezone":"UTC"} When?'


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start(env={**ONE_ATTEMPT, "CHAT_APPROVE_TOOLS": "current_time"}) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.url}/api/openai/v1", api_key="local", max_retries=0) as made:
        yield made


def asked(client: openai.OpenAI, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": TEXT}]
    return client.chat.completions.create(model="m", messages=messages, **more)


def answered(client: openai.OpenAI, waits: Any, **said: Any) -> Any:
    approvals = [{"call_id": waits["call_id"], **said}]
    where: Any = {"session_id": waits["session_id"]}
    return asked(client, metadata=where, extra_body={"approvals": approvals})


def test_a_stream_ends_with_a_call_that_waits(client: openai.OpenAI) -> None:
    chunks = list(asked(client, stream=True))
    [waits] = [each.model_extra["approval"] for each in chunks if "approval" in each.model_extra]
    assert (waits["name"], waits["arguments"]) == ("current_time", '{"timezone":"UTC"}')
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not any(choice.delta.tool_calls for each in chunks for choice in each.choices)


@pytest.mark.parametrize("stored", [False, True], ids=["stateless", "in a session"])
async def test_a_yes_goes_on_with_it(stack: Stack, client: openai.OpenAI, stored: bool) -> None:
    more: Any = {}
    if stored:
        async with connected(stack.url) as other:
            more = {"metadata": {"session_id": await other.new_session()}}
    [waits] = asked(client, **more).model_extra["approval"]
    whole = answered(client, waits, approved=True)
    assert [each["name"] for each in whole.model_extra["tool_output"]] == ["current_time"]
    assert whole.choices[0].message.content.startswith("The tool says: ")


def test_a_no_is_told_to_the_model(client: openai.OpenAI) -> None:
    [waits] = asked(client).model_extra["approval"]
    whole = answered(client, waits, approved=False, reason="not today")
    [output] = whole.model_extra["tool_output"]
    assert output["is_error"] and "not today" in output["output"]


def test_an_answer_to_a_call_that_does_not_wait_is_refused(client: openai.OpenAI) -> None:
    [waits] = asked(client).model_extra["approval"]
    with pytest.raises(openai.BadRequestError):
        answered(client, waits | {"call_id": "another"}, approved=True)
    answered(client, waits, approved=True)
    with pytest.raises(openai.BadRequestError):
        answered(client, waits, approved=True)


async def test_another_protocol_may_answer(stack: Stack, client: openai.OpenAI) -> None:
    [waits] = asked(client).model_extra["approval"]
    async with connected(stack.url) as other:
        path = f"/api/v1/chat/sessions/{waits['session_id']}/turns"
        body = {"approvals": [{"call_id": waits["call_id"], "approved": True}]}
        async with other.open("POST", path, json=body) as stream:
            kinds = [each.payload["type"] for each in (await stream.read())[:-1]]
    assert kinds[0] == "tool.output"
