"""Approvals over HTTP, on two instances: who may give them, in which words, and that what they allow is done once."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from tests.support.clients import DONE, ChatClient, Heard, Reply, connected
from tests.support.members import let_in
from tests.support.sockets import room, socket_of
from tests.support.stack import Stack

SLOW = "SELECT COUNT(*) FROM range(1000000000) a, range(1000) b WHERE a.range * b.range % 7 = 3"
ADD = '#tool=query_data{"sql":"SELECT 41 + 1"}'


@pytest.fixture(scope="module")
def asking() -> Generator[Stack]:
    with Stack.start(2, env={"CHAT_APPROVE_TOOLS": "query_data"}) as running:
        yield running


@pytest.fixture
async def client(asking: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(asking.url) as connection:
        yield connection


@pytest.fixture
def other(asking: Stack, client: ChatClient) -> ChatClient:
    """The same user at the other instance."""
    return client.at(asking.urls[1])


def payloads(heard: Heard, kind: str) -> list[Any]:
    said = [frame.payload for frame in heard.frames if frame.data != DONE]
    return [payload for payload in said if payload["type"] == kind]


def turns_path(session_id: str) -> str:
    return f"/api/v1/chat/sessions/{session_id}/turns"


def yes(call_id: str, **more: Any) -> dict[str, Any]:
    return {"call_id": call_id, "approved": True, **more}


async def waiting(client: ChatClient, order: str = ADD) -> tuple[str, str]:
    """A session with a call that waits, and the id of the call."""
    heard = await client.hear(order)
    assert payloads(heard, "tool.output") == []
    return heard.session_id, payloads(heard, "tool.call")[0]["id"]


async def approve(client: ChatClient, session_id: str, *approvals: Any, key: str = "") -> Heard:
    headers = {"Idempotency-Key": key} if key else {}
    body = {"approvals": list(approvals)}
    async with client.open("POST", turns_path(session_id), json=body, headers=headers) as stream:
        return Heard(stream.session_id, stream.turn_id, await stream.read())


async def refused(client: ChatClient, session_id: str, **body: Any) -> Reply:
    return await client.call("POST", turns_path(session_id), json=body)


async def calls(client: ChatClient, session_id: str) -> list[Any]:
    return (await client.messages(session_id))[-1]["metadata"]["tool_calls"]


async def test_a_call_waits_and_the_other_instance_runs_it(client: ChatClient, other: ChatClient) -> None:
    session_id, call_id = await waiting(client)
    [kept] = await calls(client, session_id)
    assert (kept["output"], kept["approval"]) == (None, "requested")
    heard = await approve(other, session_id, yes(call_id))
    [output] = payloads(heard, "tool.output")
    assert (output["id"], json.loads(output["output"])["rows"]) == (call_id, [[42]])
    assert "42" in heard.text
    [kept] = await calls(client, session_id)
    assert (kept["approval"], kept["decided_by"], kept["run_for"]) == ("approved", "dev", "dev")
    shown = json.loads((await client.hear("#echo", session_id)).text)["messages"]
    assert [each["role"] for each in shown] == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_a_no_is_told_to_the_model_with_its_reason(client: ChatClient, other: ChatClient) -> None:
    session_id, call_id = await waiting(client)
    no = {"call_id": call_id, "approved": False, "reason": "Not that table"}
    heard = await approve(other, session_id, no)
    [output] = payloads(heard, "tool.output")
    assert "Not that table" in output["output"]
    assert "Not that table" in heard.text


async def test_other_arguments_are_the_ones_that_run(client: ChatClient) -> None:
    session_id, call_id = await waiting(client)
    heard = await approve(client, session_id, yes(call_id, arguments={"sql": "SELECT 1000 + 1"}))
    assert "1001" in heard.text
    assert json.loads((await calls(client, session_id))[0]["arguments"]) == {"sql": "SELECT 1000 + 1"}


async def test_an_editor_may_approve_what_another_asked(client: ChatClient, other: ChatClient) -> None:
    session_id, call_id = await waiting(client)
    await let_in(client, session_id, "bob", "editor")
    heard = await approve(other.as_user("bob"), session_id, yes(call_id))
    assert "42" in heard.text
    [kept] = await calls(client, session_id)
    assert (kept["decided_by"], kept["run_for"]) == ("bob", "dev")


async def test_viewers_and_strangers_may_not(client: ChatClient) -> None:
    session_id, call_id = await waiting(client)
    await let_in(client, session_id, "vera", "viewer")
    for user, status in (("vera", 403), ("eve", 404)):
        for said in (yes(call_id), yes("call_9"), {"call_id": call_id, "approved": False}):
            reply = await refused(client.as_user(user), session_id, approvals=[said])
            assert reply.status == status
    assert (await calls(client, session_id))[0]["approval"] == "requested"


LARGE = {"sql": "x" * 65_536}
ATTACKS: list[tuple[str, dict[str, Any], str]] = [
    ("another call", {"approvals": [yes("call_9")]}, "approvals.0.call_id"),
    ("no call", {"approvals": [{"approved": True}]}, "approvals.0.call_id"),
    ("an empty id", {"approvals": [yes("")]}, "approvals.0.call_id"),
    ("nothing said", {"approvals": [{"call_id": "ID"}]}, "approvals.0.approved"),
    ("a word for a yes", {"approvals": [{"call_id": "ID", "approved": "no"}]}, "approvals.0.approved"),
    ("no approvals", {"approvals": []}, "approvals"),
    ("an object", {"approvals": {"call_id": "ID"}}, "approvals"),
    ("twice", {"approvals": [yes("ID"), yes("ID")]}, "approvals.1.call_id"),
    ("a text as arguments", {"approvals": [yes("ID", arguments="{}")]}, "approvals.0.arguments"),
    ("a list as arguments", {"approvals": [yes("ID", arguments=[1])]}, "approvals.0.arguments"),
    ("arguments of 64 KiB", {"approvals": [yes("ID", arguments=LARGE)]}, "approvals.0.arguments"),
    ("arguments the tool does not know", {"approvals": [yes("ID", arguments={"x": 1})]}, "approvals.0.arguments"),
    ("arguments that are missing", {"approvals": [yes("ID", arguments={})]}, "approvals.0.arguments"),
    ("a long reason", {"approvals": [yes("ID", reason="x" * 2001)]}, "approvals.0.reason"),
    ("an output", {"tool_outputs": [{"call_id": "ID", "output": "42"}]}, "tool_outputs.0.call_id"),
    ("with a message", {"content": "Hi", "approvals": [yes("ID")]}, "approvals"),
    ("for a pipeline", {"pipeline": "trip", "approvals": [yes("ID")]}, "pipeline"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "body", "field"), ATTACKS, ids=[each[0] for each in ATTACKS])
async def test_what_does_not_fit_is_422_and_nothing_runs(
    client: ChatClient, what: str, body: dict[str, Any], field: str
) -> None:
    session_id, call_id = await waiting(client)
    meant = json.loads(json.dumps(body).replace('"ID"', json.dumps(call_id)))
    reply = await refused(client, session_id, **meant)
    assert (reply.status, reply.body["details"].get("field")) == (422, field), what
    assert len(await client.messages(session_id)) == 2
    assert (await calls(client, session_id))[0]["approval"] == "requested"


async def test_an_approval_is_taken_once_and_its_repetition_gets_its_turn(
    client: ChatClient, other: ChatClient
) -> None:
    session_id, call_id = await waiting(client)
    first = await approve(client, session_id, yes(call_id), key=f"once-{session_id}")
    again = await approve(other, session_id, yes(call_id), key=f"once-{session_id}")
    assert (again.turn_id, again.text) == (first.turn_id, first.text)
    reply = await refused(other, session_id, approvals=[yes(call_id)])
    assert (reply.status, reply.body["details"]["field"]) == (422, "approvals.0.call_id")
    assert len(await client.messages(session_id)) == 3


async def test_of_many_at_once_on_two_instances_one_is_taken(client: ChatClient, other: ChatClient) -> None:
    session_id, call_id = await waiting(client)

    async def try_it(number: int) -> int:
        at = (client, other)[number % 2]
        async with at.open("POST", turns_path(session_id), json={"approvals": [yes(call_id)]}) as stream:
            await stream.response.read()
            return stream.status

    statuses = await asyncio.gather(*map(try_it, range(8)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 409, 422}
    assert len(await client.messages(session_id)) == 3


async def test_while_another_turn_runs_an_approval_is_409_and_good_afterwards(
    client: ChatClient, other: ChatClient
) -> None:
    session_id, call_id = await waiting(client)
    async with client.ask(session_id, "#chunks=500 #rate=20") as stream:
        await stream.take(1)
        for on_busy in ("reject", "queue"):
            reply = await refused(other, session_id, approvals=[yes(call_id)], on_busy=on_busy)
            assert (reply.status, reply.body["details"]["turn_id"]) == (409, stream.turn_id)
        await other.cancel(stream.turn_id)
    assert "42" in (await approve(other, session_id, yes(call_id))).text


async def test_a_turn_is_stopped_while_its_approved_tool_runs(client: ChatClient, other: ChatClient) -> None:
    session_id, call_id = await waiting(client, f'#tool=query_data{{"sql":"{SLOW}"}}')
    posted = asyncio.create_task(approve(client, session_id, yes(call_id)))
    turn_id = await client.running_turn(session_id)
    assert (await other.cancel(turn_id)).body["status"] == "cancelled"
    assert payloads(await posted, "tool.output") == []
    reply = await refused(client, session_id, approvals=[yes(call_id)])
    assert (reply.status, reply.body["details"]["field"]) == (422, "approvals.0.call_id")
    shown = json.loads((await client.hear("#echo", session_id)).text)["messages"]
    assert "not known whether it ran" in shown[3]["content"]


@pytest.mark.slow
async def test_what_a_process_that_was_killed_had_begun_is_not_done_again(
    asking: Stack, client: ChatClient
) -> None:
    doomed = asking.add_host()
    session_id, call_id = await waiting(client, f'#tool=query_data{{"sql":"{SLOW}"}}')
    there = client.at(await asyncio.to_thread(doomed.wait_ready))
    posted = asyncio.create_task(approve(there, session_id, yes(call_id)))
    turn_id = await client.running_turn(session_id)
    doomed.process.kill()
    await asyncio.wait([posted])
    assert posted.exception() is not None
    ended = await client.until_ended(turn_id, seconds=25)
    assert ended["error"]["code"] == "INTERRUPTED"
    reply = await refused(client, session_id, approvals=[yes(call_id)])
    assert (reply.status, reply.body["details"]["field"]) == (422, "approvals.0.call_id")
    shown = json.loads((await client.hear("#echo", session_id)).text)["messages"]
    assert "not known whether it ran" in shown[3]["content"]


async def test_a_room_is_asked_and_whoever_may_write_answers(client: ChatClient, other: ChatClient) -> None:
    session_id = await client.new_session()
    for user, role in (("bob", "editor"), ("vera", "viewer")):
        await let_in(client, session_id, user, role)
    async with (
        socket_of(client, room(session_id)) as dev,
        socket_of(other.as_user("bob"), room(session_id)) as bob,
        socket_of(other.as_user("vera"), room(session_id)) as vera,
    ):
        await dev.say(type="send_message", content=ADD)
        asked = [await each.of("tool_update", action="approval") for each in (dev, bob, vera)]
        assert {each["name"] for each in asked} == {"query_data"}
        await dev.of("message_update", action="completed")
        said = {"type": "approve_tool", "approvals": [yes(asked[0]["id"])]}
        await vera.say(**said)
        assert (await vera.of("error"))["error_code"] == "FORBIDDEN"
        await bob.say(**said, request_id="r")
        ack = await bob.of("ack", request_id="r")
        for each in (dev, bob, vera):
            output = await each.of("tool_update", action="output", turn_id=ack["turn_id"])
            assert "42" in output["output"]
            ended = await each.of("message_update", action="completed", turn_id=ack["turn_id"])
            assert "42" in ended["message"]["content"]
        await dev.say(**said)
        assert (await dev.of("error"))["details"]["field"] == "approvals.0.call_id"
    assert (await calls(client, session_id))[0]["decided_by"] == "bob"


async def test_a_message_in_place_of_an_answer_goes_on_without_it(client: ChatClient) -> None:
    session_id, call_id = await waiting(client)
    shown = json.loads((await client.hear("#echo", session_id)).text)["messages"]
    assert "the call was not run" in shown[3]["content"]
    assert "42" in (await approve(client, session_id, yes(call_id))).text
