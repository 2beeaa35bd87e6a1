"""Responses that are come back to, through the openai package of PyPI: resumed after every event, polled, stopped,
gone on with, deleted; at the instance that makes them and at another one."""

import asyncio
import json
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI

from local.model_server import expected_text
from tests.clients.openai_responses.steps import (
    MODEL,
    PAINT,
    TOOL,
    ask,
    client_of,
    dumped,
    numbers,
    response_of,
    rest_of,
    seen_by_model,
    stream,
    text_of,
)
from tests.support.clients import connected
from tests.support.stack import Stack

LONG = "#chunks=8 #reasoning=2 #rate=25"


async def dropped(first: AsyncOpenAI, second: AsyncOpenAI, after: int) -> tuple[list[Any], str]:
    """All events of an answer whose stream broke after that event, and its id."""
    async with await stream(first, LONG) as events:
        seen: list[Any] = []
        async for event in events:
            seen.append(event)
            if event.sequence_number == after:
                break
    response_id = seen[0].response.id
    return seen + await rest_of(second, response_id, after), response_id


async def test_a_stream_that_drops_after_any_event_goes_on_behind_it(
    openai: AsyncOpenAI, there: AsyncOpenAI
) -> None:
    async with await stream(openai, LONG) as events:
        count = len([each async for each in events])
    tasks = [dropped(openai, there if after % 2 else openai, after) for after in range(count)]
    for seen, response_id in await asyncio.gather(*tasks):
        assert numbers(seen) == [*range(count)]
        assert text_of(seen) == expected_text(8)
        assert response_of(seen[-1]).output_text == expected_text(8)
        assert dumped(await rest_of(there, response_id)) == dumped(seen)


async def test_the_helper_goes_on_too(openai: AsyncOpenAI, there: AsyncOpenAI) -> None:
    begun = await ask(openai, LONG, background=True)
    async with there.responses.stream(response_id=begun.id, starting_after=5) as events:
        seen = [each async for each in events]
        final = await events.get_final_response()
    assert numbers(seen)[0] == 6
    assert final.output_text == expected_text(8)


async def test_whoever_has_all_of_it_gets_nothing_more(openai: AsyncOpenAI) -> None:
    done = await ask(openai, "#chunks=2")
    whole = await rest_of(openai, done.id)
    assert await rest_of(openai, done.id, whole[-1].sequence_number) == []
    [end] = await rest_of(openai, done.id, 1000)
    assert (end.type, end.sequence_number) == ("response.completed", 1001)


@pytest.mark.parametrize("where", ["here", "there"])
async def test_in_the_background_until_it_is_done(
    openai: AsyncOpenAI, there: AsyncOpenAI, where: str
) -> None:
    begun = await ask(openai, "#chunks=10 #rate=20", background=True)
    assert begun.status in ("queued", "in_progress")
    assert begun.background
    looked = begun
    async with asyncio.timeout(20):
        while looked.status in ("queued", "in_progress"):
            await asyncio.sleep(0.1)
            looked = await (openai if where == "here" else there).responses.retrieve(begun.id)
            assert expected_text(10).startswith(looked.output_text)
    assert (looked.status, looked.output_text) == ("completed", expected_text(10))


async def test_in_the_background_as_a_stream(openai: AsyncOpenAI, there: AsyncOpenAI) -> None:
    async with await stream(openai, "#chunks=6 #rate=20", background=True) as events:
        first = await anext(aiter(events))
    assert first.type == "response.created"
    seen = await rest_of(there, first.response.id, 0)
    assert (numbers(seen)[0], text_of(seen)) == (1, expected_text(6))


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_response_is_stopped(openai: AsyncOpenAI, there: AsyncOpenAI, where: str) -> None:
    async with await stream(openai, "#endless #rate=20") as events:
        seen: list[Any] = []
        async for event in events:
            seen.append(event)
            if event.type == "response.output_text.delta" and len(text_of(seen)) < 20:
                await (openai if where == "here" else there).responses.cancel(seen[0].response.id)
    stopped = response_of(seen[-1])
    assert (seen[-1].type, stopped.status) == ("response.incomplete", "cancelled")
    assert stopped.output_text == text_of(seen)
    again = await there.responses.cancel(stopped.id)
    assert again.model_dump() == (await openai.responses.retrieve(stopped.id)).model_dump()
    assert (again.status, again.output_text) == ("cancelled", stopped.output_text)


async def test_what_is_not_stored_is_not_found_afterwards(pair: Stack, openai: AsyncOpenAI) -> None:
    async with connected(pair.urls[0]) as client:
        before = (await client.call("GET", "/api/v1/chat/sessions")).body["sessions"]
        response = await ask(openai, "#chunks=2", store=False)
        after = (await client.call("GET", "/api/v1/chat/sessions")).body["sessions"]
    assert response.output_text == expected_text(2)
    assert {each["id"] for each in before} == {each["id"] for each in after}
    for call in (
        openai.responses.retrieve(response.id),
        openai.responses.cancel(response.id),
        openai.responses.delete(response.id),
        openai.responses.input_items.list(response.id),
        ask(openai, "Hi", previous_response_id=response.id),
    ):
        with pytest.raises(sdk.NotFoundError):
            await call


async def test_a_conversation_grows_in_one_session(pair: Stack, openai: AsyncOpenAI) -> None:
    first = await ask(openai, '#text="one"')
    second = await ask(openai, '#text="two"', previous_response_id=first.id)
    third = await ask(openai, "#echo", previous_response_id=second.id)
    said = [("user", '#text="one"'), ("assistant", "one"), ("user", '#text="two"'), ("assistant", "two")]
    assert seen_by_model(third) == [*said, ("user", "#echo")]
    assert session_of(first.id) == session_of(second.id) == session_of(third.id)


async def test_an_older_response_begins_a_branch(openai: AsyncOpenAI) -> None:
    first = await ask(openai, '#text="one"')
    second = await ask(openai, '#text="two"', previous_response_id=first.id)
    branch = await ask(openai, "#echo", previous_response_id=first.id)
    assert seen_by_model(branch) == [("user", '#text="one"'), ("assistant", "one"), ("user", "#echo")]
    assert session_of(branch.id) != session_of(first.id)
    assert branch.previous_response_id == first.id
    [item] = (await openai.responses.input_items.list(branch.id)).data
    assert item.content[0].text == "#echo"
    still = await ask(openai, "#echo", previous_response_id=second.id)
    assert seen_by_model(still)[2:] == [("user", '#text="two"'), ("assistant", "two"), ("user", "#echo")]
    further = await ask(openai, "#echo", previous_response_id=branch.id)
    assert [role for role, _ in seen_by_model(further)] == ["user", "assistant"] * 2 + ["user"]


async def test_many_branches_at_once(openai: AsyncOpenAI, there: AsyncOpenAI) -> None:
    first = await ask(openai, '#text="one"')
    clients = [openai, there] * 3
    forks = [ask(each, "#echo", previous_response_id=first.id) for each in clients]
    for fork in await asyncio.gather(*forks):
        assert seen_by_model(fork) == [("user", '#text="one"'), ("assistant", "one"), ("user", "#echo")]


async def test_a_branch_that_is_not_stored(openai: AsyncOpenAI) -> None:
    first = await ask(openai, '#text="one"')
    fork = await ask(openai, "#echo", previous_response_id=first.id, store=False)
    assert seen_by_model(fork) == [("user", '#text="one"'), ("assistant", "one"), ("user", "#echo")]
    on = await ask(openai, "#echo", previous_response_id=first.id)
    assert session_of(on.id) == session_of(first.id)


async def test_a_call_is_answered_twice_in_two_branches(openai: AsyncOpenAI) -> None:
    asked = await ask(openai, PAINT, tools=[TOOL])
    call_id = getattr(asked.output[0], "call_id", "")
    for colour in ("red", "green"):
        output: Any = {"type": "function_call_output", "call_id": call_id, "output": colour}
        done = await ask(openai, [output], previous_response_id=asked.id, tools=[TOOL])
        assert done.output_text == f"The tool says: {colour}"
        items = (await openai.responses.input_items.list(done.id)).data
        assert [getattr(each, "output", "") for each in items] == [colour]


async def test_an_output_that_no_call_waits_for(openai: AsyncOpenAI) -> None:
    done = await ask(openai, "#chunks=1")
    output: Any = {"type": "function_call_output", "call_id": "c", "output": "x"}
    with pytest.raises(sdk.BadRequestError):
        await ask(openai, [output], previous_response_id=done.id)


async def test_a_conversation_is_a_session(pair: Stack, openai: AsyncOpenAI) -> None:
    async with connected(pair.urls[0]) as client:
        session = (await client.call("POST", "/api/v1/chat/sessions", json={})).body["id"]
        first = await ask(openai, '#text="one"', conversation=session)
        second = await ask(openai, "#echo", conversation={"id": session})
        messages = await client.messages(session)
    assert seen_by_model(second) == [("user", '#text="one"'), ("assistant", "one"), ("user", "#echo")]
    assert first.conversation and first.conversation.id == session
    assert [each["id"] for each in messages][1::2] == [session_turn(first.id), session_turn(second.id)]


async def test_a_conversation_that_is_busy(openai: AsyncOpenAI) -> None:
    async with await stream(openai, "#endless #rate=20") as events:
        created: Any = await anext(aiter(events))
        session = session_of(created.response.id)
        with pytest.raises(sdk.ConflictError) as refused:
            await ask(openai, "Hi", conversation=session)
        with pytest.raises(sdk.ConflictError):
            await ask(openai, "Hi", previous_response_id=created.response.id)
    assert refused.value.code == "turn_in_progress"
    await openai.responses.cancel(created.response.id)


async def test_input_items_page_by_page(openai: AsyncOpenAI) -> None:
    items: Any = [
        {"role": "user", "content": "1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "#chunks=1"},
    ]
    response = await ask(openai, items)
    listed = openai.responses.input_items.list(response.id, limit=2, order="asc")
    texts = [each.content[0].text async for each in listed]
    assert texts == ["1", "2", "#chunks=1"]
    newest = await openai.responses.input_items.list(response.id, limit=1)
    assert (newest.has_more, newest.data[0].content[0].text) == (True, "#chunks=1")


async def test_a_response_that_is_a_conversation_is_deleted_with_it(pair: Stack, openai: AsyncOpenAI) -> None:
    response = await ask(openai, "#chunks=1")
    await openai.responses.delete(response.id)
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.retrieve(response.id)
    async with connected(pair.urls[0]) as client:
        gone = await client.call("GET", f"/api/v1/chat/sessions/{session_of(response.id)}")
    assert gone.status == 404


async def test_a_response_within_a_conversation_is_deleted_alone(openai: AsyncOpenAI) -> None:
    first = await ask(openai, '#text="one"')
    second = await ask(openai, '#text="two"', previous_response_id=first.id)
    await openai.responses.delete(first.id)
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.retrieve(first.id)
    third = await ask(openai, "#echo", previous_response_id=second.id)
    assert seen_by_model(third)[0] == ("user", '#text="one"')


async def test_a_running_response_is_stopped_and_deleted(openai: AsyncOpenAI) -> None:
    begun = await ask(openai, "#endless #rate=20", background=True)
    await openai.responses.delete(begun.id)
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.retrieve(begun.id)


async def test_to_another_user_it_is_not_there(pair: Stack, openai: AsyncOpenAI) -> None:
    response = await ask(openai, "#chunks=1")
    async with client_of(pair.urls[0], **{"x-dev-user": "eve"}) as eve:
        for call in (
            eve.responses.retrieve(response.id),
            eve.responses.cancel(response.id),
            eve.responses.delete(response.id),
            eve.responses.input_items.list(response.id),
            ask(eve, "Hi", previous_response_id=response.id),
        ):
            with pytest.raises(sdk.NotFoundError) as refused:
                await call
            assert refused.value.type == "not_found_error"


async def test_a_request_that_comes_again_makes_nothing_new(openai: AsyncOpenAI) -> None:
    twice = [
        await openai.responses.create(
            model=MODEL, input="#chunks=2", extra_headers={"Idempotency-Key": "responses-twice"}
        )
        for _ in range(2)
    ]
    assert twice[0].model_dump() == twice[1].model_dump()


async def test_a_turn_of_another_protocol_is_a_response_as_well(pair: Stack, openai: AsyncOpenAI) -> None:
    async with connected(pair.urls[0]) as client:
        async with client.say("#tool=current_time") as said:
            frames = await said.read()
        text = "".join(each.payload.get("delta", "") for each in frames[:-1])
    response = await openai.responses.retrieve(f"resp_{said.turn_id}")
    assert (response.status, response.output_text) == ("completed", text)
    assert [each.type for each in response.output] == ["mcp_call", "message"]
    assert text_of(await rest_of(openai, said.turn_id)) == text
    assert json.loads(response.model_dump_json())["id"] == response.id


def session_turn(response_id: str) -> str:
    return response_id.removeprefix("resp_")


def session_of(response_id: str) -> str:
    return session_turn(response_id).rpartition("-")[0]
