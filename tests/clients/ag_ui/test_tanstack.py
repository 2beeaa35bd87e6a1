"""TanStack AI's client against a running stack: it comes back to what it lost, by itself."""

import asyncio
import uuid
from typing import Any

import pytest

from local.model_server import expected_text
from tests.clients.ag_ui.agents import PATH, body, is_running, post, run_tanstack, until_it_runs
from tests.support.clients import connected
from tests.support.stack import Stack


def shown(chat: Any) -> list[tuple[str, str]]:
    """The texts on the screen."""
    return [
        (each["role"], "".join(part["content"] for part in each["parts"] if part["type"] == "text"))
        for each in chat["messages"]
    ]


def parts(chat: Any, kind: str) -> list[Any]:
    return [part for each in chat["messages"] for part in each["parts"] if part["type"] == kind]


async def test_an_answer_is_shown(stack: Stack) -> None:
    chat = await run_tanstack(stack.url, say=["#chunks=5 Hello", "#chunks=2 Two"])
    assert shown(chat) == [
        ("user", "#chunks=5 Hello"),
        ("assistant", expected_text(5)),
        ("user", "#chunks=2 Two"),
        ("assistant", expected_text(2)),
    ]
    assert (chat["errors"], chat["status"], len(chat["asked"])) == ([], "ready", 2)


@pytest.mark.parametrize("drop", [1, 2, 3])
async def test_a_connection_that_is_lost_behind_every_few_frames_loses_nothing(
    stack: Stack, drop: int
) -> None:
    thread = uuid.uuid4().hex
    chat = await run_tanstack(stack.url, say=["#chunks=6 #rate=30 Hello"], drop=drop, threadId=thread)
    assert shown(chat)[-1] == ("assistant", expected_text(6))
    assert (chat["errors"], chat["status"]) == ([], "ready")
    assert chat["chunks"].count("RUN_STARTED") == chat["chunks"].count("RUN_FINISHED") == 1
    assert len(chat["asked"]) > 3
    assert all(each["last"] for each in chat["asked"][1:])
    async with connected(stack.url) as client:
        page = (await client.call("GET", f"{PATH}?threadId={thread}")).body
        assert [each["role"] for each in page["messages"]] == ["user", "assistant"]  # one turn


async def test_tools_of_the_page_are_run_and_the_chat_goes_on(stack: Stack) -> None:
    tool = {"name": "pick", "output": {"picked": "red"}}
    chat = await run_tanstack(stack.url, say=['#tool=pick{"of":["red"]}'], tool=tool)
    assert chat["ran"] == [{"of": ["red"]}]
    [call] = parts(chat, "tool-call")
    assert (call["name"], call["output"], call["state"]) == ("pick", {"picked": "red"}, "complete")
    assert shown(chat)[-1] == ("assistant", 'The tool says: {"picked":"red"}')
    assert (len(chat["asked"]), chat["errors"]) == (2, [])


async def test_tools_of_ours_and_reasoning_are_shown(stack: Stack) -> None:
    chat = await run_tanstack(stack.url, say=['#reasoning=2 #tool=current_time{"timezone":"UTC"} Now?'])
    [call] = parts(chat, "tool-call")
    assert (call["name"], call["state"], len(chat["asked"])) == ("current_time", "complete", 1)
    assert shown(chat)[-1] == ("assistant", f"The tool says: {call['output']}")
    assert parts(chat, "thinking")[0]["content"] == "thought1 thought2 "


async def test_a_model_that_is_cut_in_the_middle_is_an_error(stack: Stack) -> None:
    chat = await run_tanstack(stack.url, say=["#chunks=5 #cut=2"])
    assert shown(chat)[-1] == ("assistant", expected_text(2))
    assert (chat["errors"], chat["status"]) == (["The model's reply was cut off."], "error")
    assert len(chat["asked"]) == 1


async def test_what_is_refused_is_an_error_with_its_status(stack: Stack) -> None:
    chat = await run_tanstack(stack.url, say=["#status=500"])
    assert chat["errors"] == ["HTTP error! status: 503 Service Unavailable"]
    assert len(chat["asked"]) == 1


async def test_a_run_that_is_stopped_ends_with_what_was_said(stack: Stack) -> None:
    async with connected(stack.url) as client:
        thread = await client.new_session()
        chatting = asyncio.create_task(run_tanstack(stack.url, say=["#chunks=400 #rate=20"], threadId=thread))
        await client.cancel(await client.running_turn(thread, seconds=20))
        chat = await chatting
    assert expected_text(400).startswith(shown(chat)[-1][1])
    assert (chat["errors"], chat["status"], chat["chunks"][-1]) == ([], "ready", "RUN_FINISHED")


async def test_a_page_that_is_opened_anew_has_what_was_said(stack: Stack) -> None:
    thread = uuid.uuid4().hex
    tool = {"name": "pick", "output": "red"}
    said = await run_tanstack(stack.url, say=["#tool=pick{}", "#chunks=2 Two"], tool=tool, threadId=thread)
    chat = await run_tanstack(stack.url, hydrate=True, threadId=thread)
    assert [text for _, text in shown(chat) if text] == [text for _, text in shown(said) if text]
    [call] = parts(chat, "tool-call")
    assert (call["state"], call["output"]) == ("complete", "red")
    assert [each["query"] for each in chat["asked"]] == [f"?threadId={thread}"]
    assert (chat["errors"], chat["ran"]) == ([], [])


async def test_a_page_that_nobody_said_anything_on_is_empty(stack: Stack) -> None:
    chat = await run_tanstack(stack.url, hydrate=True, threadId=uuid.uuid4().hex)
    assert (chat["messages"], chat["asked"][0]["status"]) == ([], 200)


@pytest.mark.parametrize("drop", [0, 5])
async def test_a_page_that_is_opened_anew_joins_what_runs(stack: Stack, drop: int) -> None:
    thread = uuid.uuid4().hex
    async with connected(stack.url) as client:
        await post(client, body(thread, "1" + thread, "#chunks=1 Before"))
        asking = asyncio.create_task(post(client, body(thread, "2" + thread, "#chunks=60 #rate=20 Hello")))
        await until_it_runs(client, thread)
        chat = await run_tanstack(stack.url, hydrate=True, threadId=thread, drop=drop)
        await asking
        assert not await is_running(client, thread)
    assert shown(chat) == [
        ("user", "#chunks=1 Before"),
        ("assistant", expected_text(1)),
        ("user", "#chunks=60 #rate=20 Hello"),
        ("assistant", expected_text(60)),
    ]
    assert chat["asked"][1]["query"] == f"?offset=-1&runId=2{thread}"
    assert (chat["errors"], chat["status"]) == ([], "ready")
    assert (len(chat["asked"]) > 2) is bool(drop)


async def test_a_run_of_another_member_is_joined_too(stack: Stack) -> None:
    async with connected(stack.url, "ann") as client:
        thread = await client.new_session()
        asking = asyncio.create_task(post(client, body(thread, "3" + thread, "#chunks=60 #rate=20 Hello")))
        bob = client.as_user("bob")
        path = f"/api/v1/chat/sessions/{thread}/members/bob"
        assert (await client.call("PUT", path, json={"role": "viewer"})).status == 200
        assert (await bob.call("POST", f"/api/v1/chat/invitations/{thread}/accept")).status == 200
        await until_it_runs(bob, thread)
        chat = await run_tanstack(stack.url, hydrate=True, threadId=thread, headers={"x-dev-user": "bob"})
        await asking
    assert shown(chat)[-1] == ("assistant", expected_text(60))
    assert chat["asked"][1]["query"].startswith(f"?offset=-1&runId={thread}-")


async def test_older_messages_come_in_pages(stack: Stack) -> None:
    thread = uuid.uuid4().hex
    async with connected(stack.url) as client:
        for number in range(3):
            await post(client, body(thread, f"{number}{thread}", f"#chunks=1 {number}"))
        found: list[str] = []
        before = ""
        for _ in range(3):
            path = f"{PATH}?threadId={thread}&limit=2{before}"
            page = (await client.call("GET", path)).body
            found[:0] = [each["parts"][0]["content"] for each in page["messages"]]
            before = f"&before={page['page'].get('cursor')}"
        assert page["page"] == {"truncated": False}
        answer = expected_text(1)
        assert found == ["#chunks=1 0", answer, "#chunks=1 1", answer, "#chunks=1 2", answer]
        refused = await client.call("GET", f"{PATH}?threadId={thread}&before=x")
        assert (refused.status, refused.body["details"]["field"]) == (422, "before")
        refused = await client.call("GET", PATH)
        assert (refused.status, refused.body["details"]["field"]) == (422, "threadId")
