"""Calls of our tools that wait for somebody's word: interrupts of AG-UI, and approvals of TanStack AI."""

import uuid
from collections.abc import Generator
from typing import Any

import pytest

from tests.clients.ag_ui.agents import PATH, body, post, run_agent, run_tanstack, text_of
from tests.support.clients import connected
from tests.support.stack import Stack

ADD = '#tool=query_data{"sql":"SELECT 41 + 1"}'
PICK = {"name": "pick", "description": "Lets the user pick.", "parameters": {"type": "object"}}


@pytest.fixture(scope="module")
def asking() -> Generator[Stack]:
    with Stack.start(env={"CHAT_APPROVE_TOOLS": "query_data"}) as running:
        yield running


def calls_of(messages: list[Any]) -> list[Any]:
    return [call for each in messages for call in each.get("metadata", {}).get("tool_calls", ())]


@pytest.mark.parametrize(
    ("payload", "said", "approval"),
    [
        ({"approved": True}, "42", "approved"),
        ({"approved": True, "arguments": {"sql": "SELECT 6 * 7 + 1"}}, "43", "approved"),
        ({"approved": False, "reason": "Not today."}, "Not today.", "denied"),
        (None, "", "denied"),
    ],
)
async def test_an_interrupt_is_resumed(asking: Stack, payload: Any, said: str, approval: str) -> None:
    agent = await run_agent(asking.url, {"say": ADD}, {"resume": {"call_1": payload}})
    interrupted, resumed = agent.runs
    [interrupt] = interrupted.outcome["interrupts"]
    assert (interrupt["toolCallId"], interrupt["metadata"]["toolName"]) == ("call_1", "query_data")
    assert interrupt["id"] == f"{interrupted.turn_id}.call_1"
    assert interrupt["metadata"]["input"] == {"sql": "SELECT 41 + 1"}
    assert resumed.outcome == {"type": "success"}
    assert resumed.kinds[1] == "TOOL_CALL_RESULT"
    assert said in resumed.events[1]["content"]
    assert ("denied" in resumed.events[1].get("metadata", {})) is (approval == "denied")
    assert agent.pending == []
    async with connected(asking.url) as client:
        [call] = calls_of((await client.messages(resumed.session_id))[-1:])
    assert call["approval"] == approval


async def test_one_of_two_answers_is_approved_which_have_calls_of_one_id(asking: Stack) -> None:
    """The second was made anew, by another protocol: who comes to the thread is shown that one."""
    asked = await run_agent(asking.url, {"say": ADD})
    [run] = asked.runs
    async with connected(asking.url) as client:
        path = f"/api/v1/chat/messages/{run.turn_id}/regenerate"
        async with client.open("POST", path, json={}) as stream:
            await stream.read()
    there = {"connect": f"offset=-1&threadId={run.session_id}"}
    agent = await run_agent(
        asking.url, there, {"resume": {"call_1": {"approved": True}}}, threadId=run.session_id
    )
    assert agent.runs[1].outcome == {"type": "success"}
    assert "42" in agent.runs[1].text


async def test_an_interrupt_and_a_tool_of_the_page_are_answered_together(asking: Stack) -> None:
    more = {"input": {"tools": [PICK]}}
    answer = {"resume": {"call_1": {"approved": True}}, "outputs": {"call_2": "red"}, **more}
    agent = await run_agent(asking.url, {"say": f"{ADD} #tool=pick{{}}", **more}, answer)
    assert [each["toolCallId"] for each in agent.runs[0].outcome["interrupts"]] == ["call_1"]
    assert agent.runs[1].outcome == {"type": "success"}
    assert "red" in agent.runs[1].text


async def test_another_question_leaves_an_interrupt_behind(asking: Stack) -> None:
    thread = uuid.uuid4().hex
    async with connected(asking.url) as client:
        await post(client, body(thread, "1" + thread, ADD))
        assert text_of(await post(client, body(thread, "2" + thread, "#chunks=1 Never mind"))) == "word1"
        page = (await client.call("GET", f"{PATH}?threadId={thread}")).body
    assert page["interrupts"] is None


@pytest.mark.parametrize("approve", [True, False])
async def test_tanstack_shows_who_has_to_approve_and_goes_on(asking: Stack, approve: bool) -> None:
    chat = await run_tanstack(asking.url, say=[ADD], approve=approve)
    assert (chat["errors"], len(chat["asked"])) == ([], 2)
    texts = [part["content"] for each in chat["messages"] for part in each["parts"] if part["type"] == "text"]
    assert ("42" in texts[-1]) is approve
    [call] = [part for each in chat["messages"] for part in each["parts"] if part["type"] == "tool-call"]
    assert call["approval"]["approved"] is approve


async def test_a_page_that_is_opened_anew_asks_again(asking: Stack) -> None:
    thread = uuid.uuid4().hex
    async with connected(asking.url) as client:
        await post(client, body(thread, "1" + thread, ADD))
    chat = await run_tanstack(asking.url, hydrate=True, threadId=thread, approve=True, say=[])
    assert [each.split(".")[1] for each in chat["pending"]] == ["call_1"]
    [call] = [part for each in chat["messages"] for part in each["parts"] if part["type"] == "tool-call"]
    assert call["state"] == "approval-requested"
    again = await run_agent(asking.url, {"connect": f"offset=-1&threadId={thread}"}, threadId=thread)
    assert [each["id"] for each in again.pending] == chat["pending"]
