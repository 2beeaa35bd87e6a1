"""AG-UI's own client against a running stack. Its verifier refuses a stream that breaks a rule of the protocol."""

import asyncio
import uuid
from typing import Any

import pytest

from local.model_server import expected_text
from tests.clients.ag_ui.agents import PATH, body, post, run_agent, text_of, until_it_runs
from tests.support.clients import connected
from tests.support.clients import text_of as text_of_deltas
from tests.support.stack import Stack

PICK = {"name": "pick", "description": "Lets the user pick.", "parameters": {"type": "object"}}


async def test_an_answer_is_the_one_that_every_other_client_gets(stack: Stack) -> None:
    agent = await run_agent(stack.url, {"say": "#chunks=5 Hello"})
    [run] = agent.runs
    assert run.outcome == {"type": "success"}
    assert run.events[-1]["usage"][0]["provider"]
    assert run.text == agent.messages[-1]["content"] == expected_text(5)
    async with connected(stack.url) as client, client.follow(run.turn_id) as stream:
        assert text_of_deltas(await stream.read()) == run.text


async def test_a_thread_goes_on_and_its_stored_history_counts(stack: Stack) -> None:
    agent = await run_agent(stack.url, {"say": "#chunks=1 One"}, {"say": "#chunks=2 Two"})
    assert len({each.session_id for each in agent.runs}) == 1
    async with connected(stack.url) as client:
        stored = [each["content"] for each in await client.messages(agent.runs[0].session_id)]
    assert stored == ["#chunks=1 One", expected_text(1), "#chunks=2 Two", expected_text(2)]


async def test_what_stands_before_the_question_begins_a_new_thread(stack: Stack) -> None:
    before = [
        {"id": "a", "role": "user", "content": "Hi"},
        {"id": "b", "role": "assistant", "content": "Hello"},
    ]
    agent = await run_agent(stack.url, {"say": "#chunks=1 And?"}, initialMessages=before)
    async with connected(stack.url) as client:
        stored = [each["content"] for each in await client.messages(agent.runs[0].session_id)]
    assert stored == ["Hi", "Hello", "#chunks=1 And?", expected_text(1)]


async def test_a_session_of_any_other_protocol_is_a_thread_by_its_id(stack: Stack) -> None:
    async with connected(stack.url) as client:
        heard = await client.hear("#chunks=1 Hi")
        agent = await run_agent(stack.url, {"say": "#chunks=2 Two"}, threadId=heard.session_id)
        assert agent.runs[0].session_id == heard.session_id
        assert len(await client.messages(heard.session_id)) == 4


async def test_tools_of_ours_are_called_within_the_run(stack: Stack) -> None:
    agent = await run_agent(stack.url, {"say": '#tool=current_time{"timezone":"UTC"} Now?'})
    assert agent.roles == ["user", "assistant", "tool", "assistant"]
    assert agent.messages[1]["toolCalls"][0]["function"]["name"] == "current_time"
    assert agent.messages[3]["content"] == f"The tool says: {agent.messages[2]['content']}"
    assert agent.runs[0].outcome == {"type": "success"}
    assert agent.runs[0].kinds.count("STEP_STARTED") == 2


async def test_tools_of_the_page_are_left_to_it_and_its_results_go_on(stack: Stack) -> None:
    first = {"say": '#tool=pick{"of":["red"]}', "input": {"tools": [PICK]}}
    agent = await run_agent(stack.url, first, {"outputs": {"call_1": "red"}, "input": {"tools": [PICK]}})
    asked, answered = agent.runs
    assert asked.outcome == {"type": "success", "pendingToolCallIds": ["call_1"]}
    assert (answered.text, answered.outcome) == ("The tool says: red", {"type": "success"})
    async with connected(stack.url) as client:
        [question, *_, answer] = await client.messages(answered.session_id)
    assert question["role"] == "user"
    assert [each["output"] for each in answer["metadata"]["tool_calls"]] == ["red"]


async def test_results_that_the_thread_has_already_are_passed_over(stack: Stack) -> None:
    """Of two calls one was ours: clients send both results again."""
    say = '#tool=current_time{"timezone":"UTC"} #tool=pick{}'
    first = {"say": say, "input": {"tools": [PICK]}}
    agent = await run_agent(stack.url, first, {"outputs": {"call_2": "red"}, "input": {"tools": [PICK]}})
    assert agent.runs[0].outcome["pendingToolCallIds"] == ["call_2"]
    assert agent.runs[1].outcome == {"type": "success"}
    assert "red" in agent.runs[1].text


async def test_reasoning_is_a_message_of_its_own(stack: Stack) -> None:
    agent = await run_agent(stack.url, {"say": "#reasoning=2 #chunks=2 Hm"})
    assert agent.roles == ["user", "reasoning", "assistant"]
    assert agent.messages[1]["content"] == "thought1 thought2 "


async def test_a_trip_is_planned_in_the_state_that_agent_and_page_share(stack: Stack) -> None:
    plan = {"forwardedProps": {"pipeline": "trip"}}
    first = {"say": "plan 2 days in Tokyo", "state": {"mine": 1}, "input": plan}
    agent = await run_agent(stack.url, first, {"say": "add a museum", "input": plan})
    planned, changed = agent.runs
    steps = [each["stepName"] for each in planned.events if each["type"] == "STEP_STARTED"]
    assert steps == ["intents", "pois", "requirements", "plan"]
    assert planned.events[1]["type"] == "STATE_SNAPSHOT"
    before = changed.events[1]["snapshot"]
    assert before["mine"] == agent.state["mine"] == 1
    assert [each["kind"] for each in agent.state["pois"][len(before["pois"]) :]] == ["museum"]
    assert agent.state["pois"][: len(before["pois"])] == before["pois"]
    assert len(agent.state["plan"][0]["days"]) == 2
    assert agent.messages[-1]["content"] == changed.text


async def test_a_model_that_is_cut_in_the_middle_ends_with_an_error(stack: Stack) -> None:
    agent = await run_agent(stack.url, {"say": "#chunks=5 #cut=2"}, {"say": "#chunks=1 Again"})
    broken, again = agent.runs
    assert (broken.text, broken.error) == (expected_text(2), None)
    last = broken.events[-1]
    assert (last["type"], last["code"]) == ("RUN_ERROR", "MODEL_BAD_REPLY")
    assert again.outcome == {"type": "success"}


async def test_a_run_that_is_stopped_from_elsewhere_is_cancelled(stack: Stack) -> None:
    async with connected(stack.url) as client:
        thread = await client.new_session()
        running = asyncio.create_task(run_agent(stack.url, {"say": "#chunks=400 #rate=20"}, threadId=thread))
        await client.cancel(await client.running_turn(thread, seconds=20))
        [run] = (await running).runs
    assert run.outcome == {"type": "cancelled"}
    assert expected_text(400).startswith(run.text)


async def test_who_leaves_stops_nothing_and_the_same_run_again_is_followed(stack: Stack) -> None:
    thread, run = uuid.uuid4().hex, uuid.uuid4().hex
    asked = body(thread, run, "#chunks=20 #rate=40 Hello")
    async with connected(stack.url) as client:
        async with client.open("POST", PATH, json=asked) as stream:
            await stream.take(4)
            stream.drop()
            turn_id = stream.turn_id
        again = await post(client, asked)
        assert again[0].payload["metadata"]["turnId"] == turn_id
        assert text_of(again) == expected_text(20)
        assert len(await client.messages(turn_id.rpartition("-")[0])) == 2


async def test_an_agent_that_aborts_finds_its_thread_with_the_whole_answer(stack: Stack) -> None:
    thread = uuid.uuid4().hex
    left = {"say": "#chunks=20 #rate=40 Hello", "abortAfter": 5}
    await run_agent(stack.url, left, threadId=thread)
    joined = await run_agent(stack.url, {"connect": f"offset=-1&threadId={thread}"}, threadId=thread)
    assert joined.runs[0].outcome == {"type": "success"}
    assert joined.messages[-1]["content"] == expected_text(20)
    again = await run_agent(stack.url, {"connect": f"offset=-1&threadId={thread}"}, threadId=thread)
    assert [each["content"] for each in again.messages] == [left["say"], expected_text(20)]
    assert again.runs[0].kinds == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]


async def test_a_run_is_joined_in_its_middle_by_its_name_or_that_of_its_turn(stack: Stack) -> None:
    thread, run = uuid.uuid4().hex, uuid.uuid4().hex
    async with connected(stack.url) as client:
        await post(client, body(thread, "before" + run, "#chunks=1 Before"))
        asking = asyncio.create_task(post(client, body(thread, run, "#chunks=30 #rate=20 Hello")))
        await until_it_runs(client, thread)
        by_run = asyncio.create_task(
            run_agent(stack.url, {"connect": f"offset=-1&runId={run}"}, threadId=thread)
        )
        frames = await asking
        turn_id = frames[0].payload["metadata"]["turnId"]
        by_turn = await run_agent(stack.url, {"connect": f"runId={turn_id}"}, threadId=thread)
    for joined in (await by_run, by_turn):
        said = [each["content"] for each in joined.messages]
        assert said == ["#chunks=1 Before", expected_text(1), "#chunks=30 #rate=20 Hello", expected_text(30)]
        assert joined.runs[0].outcome == {"type": "success"}


async def test_who_joins_a_run_that_goes_on_from_results_has_them(stack: Stack) -> None:
    thread, more = uuid.uuid4().hex, {"tools": [PICK]}
    async with connected(stack.url) as client:
        await post(client, body(thread, "1" + thread, "#tool=pick{}", **more))
        output = {"id": "t", "role": "tool", "toolCallId": "call_1", "content": "red"}
        frames = await post(client, body(thread, "2" + thread, output, **more))
        assert text_of(frames) == "The tool says: red"
    joined = await run_agent(stack.url, {"connect": f"offset=-1&runId=2{thread}"}, threadId=thread)
    assert joined.roles == ["user", "assistant", "tool", "assistant"]
    assert [each.get("content") for each in joined.messages[2:]] == ["red", "The tool says: red"]


async def test_requests_of_clients_for_python_are_read(stack: Stack) -> None:
    """As Microsoft's Agent Framework writes them: snake_case, and without lists that are empty."""
    thread = uuid.uuid4().hex
    theirs = {"thread_id": thread, "run_id": uuid.uuid4().hex}
    messages = [{"id": "1", "role": "user", "content": "#chunks=2 Hi"}]
    async with connected(stack.url) as client:
        frames = await post(client, {**theirs, "messages": messages})
        assert text_of(frames) == expected_text(2)
        assert frames[0].payload["threadId"] == thread


async def test_frames_are_lines_with_ids_and_a_stream_goes_on_behind_any_of_them(stack: Stack) -> None:
    thread, run = uuid.uuid4().hex, uuid.uuid4().hex
    asked = body(thread, run, '#tool=current_time{"timezone":"UTC"} Now?')
    async with connected(stack.url) as client:
        whole = await post(client, asked)
        assert all(each.id for each in whole)
        for place, frame in enumerate(whole):
            rest = await post(client, asked, **{"last-event-id": frame.id})
            assert [each.data for each in rest] == [each.data for each in whole[place + 1 :]]


REFUSED: list[tuple[Any, int, str]] = [
    ({"say": " "}, 422, "INVALID_INPUT"),
    ({"say": "Hi", "input": {"forwardedProps": {"pipeline": "x"}}}, 422, "INVALID_INPUT"),
    ({"say": "Hi", "input": {"tools": [{**PICK, "name": "current_time"}]}}, 422, "INVALID_INPUT"),
    ({"outputs": {"call_9": "x"}}, 404, "SESSION_NOT_FOUND"),
    ({"say": "#status=500"}, 503, "MODEL_UNAVAILABLE"),
    ({"say": "#status=429"}, 429, "MODEL_RATE_LIMITED"),
]


@pytest.mark.parametrize(("run", "status", "code"), REFUSED)
async def test_what_is_refused_comes_with_its_status_and_what_is_wrong(
    stack: Stack, run: Any, status: int, code: str
) -> None:
    [found] = (await run_agent(stack.url, run)).runs
    assert found.error is not None
    assert (found.error["status"], found.error["payload"]["error_code"]) == (status, code)
    assert found.events == []


async def test_a_thread_that_is_busy_is_refused(stack: Stack) -> None:
    async with connected(stack.url) as client:
        thread = await client.new_session()
        running = asyncio.create_task(run_agent(stack.url, {"say": "#chunks=400 #rate=20"}, threadId=thread))
        turn_id = await client.running_turn(thread, seconds=20)
        [refused] = (await run_agent(stack.url, {"say": "And?"}, threadId=thread)).runs
        assert (refused.error["status"], refused.error["payload"]["error_code"]) == (409, "TURN_IN_PROGRESS")
        await client.cancel(turn_id)
        await running


async def test_the_name_of_a_run_is_not_another_one_s(stack: Stack) -> None:
    thread, run = uuid.uuid4().hex, uuid.uuid4().hex
    async with connected(stack.url) as client:
        await post(client, body(thread, run, "#chunks=1 Hi"))
        refused = await client.call("POST", PATH, json=body(thread, run, "#chunks=1 Else"))
        assert (refused.status, refused.body["error_code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        other = client.as_user("somebody")
        assert text_of(await post(other, body(thread, run, "#chunks=2 Mine"))) == expected_text(2)
        assert (await other.call("GET", f"{PATH}?runId=unheard")).status == 404
