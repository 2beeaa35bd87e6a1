"""Answers by OpenAI's Responses API, through the openai package of PyPI."""

import json
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from local.model_server import expected_text
from tests.clients.openai_responses.steps import (
    MODEL,
    PAINT,
    TOOL,
    ask,
    client_of,
    numbers,
    response_of,
    rest_of,
    seen_by_model,
    stream,
    text_of,
)
from tests.support.clients import connected
from tests.support.stack import Stack


async def test_a_whole_answer(openai: AsyncOpenAI) -> None:
    response = await ask(openai, "#chunks=3", metadata={"page": "home"}, temperature=0.5, user="ann")
    assert (response.status, response.output_text) == ("completed", expected_text(3))
    assert (response.metadata, response.temperature, response.user) == ({"page": "home"}, 0.5, "ann")
    assert response.usage and response.usage.total_tokens > 0
    assert response.model.startswith("gpt"), "the one that answered"
    assert await openai.responses.retrieve(response.id) == response


async def test_the_helper_for_streams(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model=MODEL, input="#chunks=3 #reasoning=2") as events:
        seen = [each async for each in events]
        final = await events.get_final_response()
    assert final.output_text == expected_text(3)
    assert [each.type for each in final.output] == ["reasoning", "message"]
    assert numbers(seen) == [*range(len(seen))]
    whole = await openai.responses.retrieve(final.id)
    assert whole.model_dump(mode="json") == json.loads(whole.model_dump_json())
    assert whole.output_text == final.output_text


async def test_what_it_is_told_and_how_it_shall_answer(openai: AsyncOpenAI) -> None:
    items: Any = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "First"}]},
        {"role": "assistant", "content": "One", "type": "message"},
        {"role": "user", "content": "#echo"},
    ]
    response = await ask(
        openai, items, instructions="Be brief.", temperature=0.25, top_p=0.5, max_output_tokens=9000
    )
    shown = json.loads(response.output_text)
    assert (shown["temperature"], shown["top_p"], shown["max_tokens"]) == (0.25, 0.5, 9000)
    assert shown["messages"][0] == {"role": "system", "content": "Be brief.\n\nBe kind."}
    assert seen_by_model(response) == [("user", "First"), ("assistant", "One"), ("user", "#echo")]
    assert response.instructions == "Be brief."


async def test_our_tools_are_run_for_the_caller(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model=MODEL, input="#tool=describe_data") as events:
        types = [each.type async for each in events]
        final = await events.get_final_response()
    called: Any = final.output[0]
    assert [each.type for each in final.output] == ["mcp_call", "message"]
    assert (called.name, called.status, called.server_label) == ("describe_data", "completed", "parley")
    assert "orders" in called.output
    assert "response.mcp_call.completed" in types


async def test_the_caller_s_tools_are_run_by_the_caller(openai: AsyncOpenAI) -> None:
    async with openai.responses.stream(model=MODEL, input=PAINT, tools=[TOOL]) as events:
        types = [each.type async for each in events]
        asked = await events.get_final_response()
    [call] = asked.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments), asked.status) == ("paint", {"colour": "red"}, "completed")
    assert "response.function_call_arguments.delta" in types
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "it is red"}
    done = await ask(openai, [output], previous_response_id=asked.id, tools=[TOOL])
    assert done.output_text == "The tool says: it is red"
    assert done.previous_response_id == asked.id
    [item] = (await openai.responses.input_items.list(done.id)).data
    assert (item.type, getattr(item, "output", "")) == ("function_call_output", "it is red")


@pytest.mark.parametrize("store", [True, False])
async def test_a_caller_who_keeps_the_conversation_sends_all_of_it(openai: AsyncOpenAI, store: bool) -> None:
    items: list[Any] = [{"role": "user", "content": PAINT}]
    asked = await ask(openai, items, tools=[TOOL], store=store)
    items += [each.model_dump(exclude_none=True) for each in asked.output]
    [call] = asked.output
    items.append({"type": "function_call_output", "call_id": getattr(call, "call_id", ""), "output": "red"})
    done = await ask(openai, items, tools=[TOOL], store=store)
    assert done.output_text == "The tool says: red"
    items += [
        *(each.model_dump(exclude_none=True) for each in done.output),
        {"role": "user", "content": "#echo"},
    ]
    echoed = await ask(openai, items, tools=[TOOL], store=store)
    assert seen_by_model(echoed)[2:] == [
        ("tool", "red"),
        ("assistant", "The tool says: red"),
        ("user", "#echo"),
    ]


async def test_what_came_of_a_call_and_a_new_question_at_once(openai: AsyncOpenAI) -> None:
    asked = await ask(openai, PAINT, tools=[TOOL])
    [call] = asked.output
    output = {"type": "function_call_output", "call_id": getattr(call, "call_id", ""), "output": "red"}
    echoed = await ask(
        openai, [output, {"role": "user", "content": "#echo"}], previous_response_id=asked.id, tools=[TOOL]
    )
    assert seen_by_model(echoed)[2:] == [("tool", "red"), ("user", "#echo")]


class Sum(BaseModel):
    total: int


async def test_an_answer_that_is_parsed(openai: AsyncOpenAI) -> None:
    parsed = await openai.responses.parse(model=MODEL, input='#json={"total":3}', text_format=Sum)
    assert parsed.output_parsed == Sum(total=3)


async def test_a_turn_with_stages_says_what_its_answer_says(pair: Stack, openai: AsyncOpenAI) -> None:
    async with connected(pair.urls[0]) as client:
        plan = (await client.call("POST", "/chat", json={"message": "a day in Tokyo"})).body
        [_, answer] = await client.messages(plan["session_id"])
    response = await openai.responses.retrieve(f"resp_{plan['turn_id']}")
    assert (response.status, response.output_text) == ("completed", answer["content"])
    assert text_of(await rest_of(openai, response.id)) == answer["content"]


async def test_the_model_is_cut_in_the_middle(openai: AsyncOpenAI) -> None:
    async with await stream(openai, "#chunks=5 #cut=2") as events:
        seen = [each async for each in events]
    failed = response_of(seen[-1])
    assert seen[-1].type == "response.failed"
    assert failed.error and (failed.error.code, failed.error.type) == ("server_error", "model_bad_reply")
    assert failed.output_text == text_of(seen) == "word1 word2"
    whole = await ask(openai, "#chunks=5 #cut=2")
    assert (whole.status, whole.output_text) == ("failed", "word1 word2")


async def test_an_answer_that_came_to_its_limit(openai: AsyncOpenAI) -> None:
    async with await stream(openai, "#chunks=2 #finish=length") as events:
        seen = [each async for each in events]
    assert seen[-1].type == "response.incomplete"
    incomplete = response_of(seen[-1])
    assert incomplete.incomplete_details
    assert incomplete.incomplete_details.reason == "max_output_tokens"


# What is asked, and how it is refused: the class of the error, its code and the field that it names.
REFUSED: list[tuple[dict[str, Any], type[sdk.APIStatusError], str, str | None]] = [
    ({"input": "#status=429"}, sdk.RateLimitError, "model_rate_limited", None),
    ({"input": "#filter"}, sdk.BadRequestError, "content_filtered", None),
    ({"input": "#status=500"}, sdk.InternalServerError, "model_unavailable", None),
    ({"input": " "}, sdk.BadRequestError, "invalid_input", "input[0].content"),
    ({"input": []}, sdk.BadRequestError, "invalid_input", "input"),
    ({"input": "Hi", "temperature": 7}, sdk.BadRequestError, "invalid_input", "temperature"),
    ({"input": "Hi", "background": True, "store": False}, sdk.BadRequestError, "invalid_input", "background"),
    ({"input": "Hi", "prompt": {"id": "p"}}, sdk.BadRequestError, "invalid_input", "prompt"),
    ({"input": "Hi", "top_logprobs": 3}, sdk.BadRequestError, "invalid_input", "top_logprobs"),
    (
        {"input": "Hi", "include": ["message.output_text.logprobs"]},
        sdk.BadRequestError,
        "invalid_input",
        "include",
    ),
    ({"input": "Hi", "tools": [{"type": "web_search"}]}, sdk.BadRequestError, "invalid_input", "tools[0].type"),
    ({"input": "Hi", "tools": [{**TOOL, "name": "query_data"}]}, sdk.BadRequestError, "invalid_input",
     "tools[0]"),
    ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://x"}]}]},
     sdk.BadRequestError, "invalid_input", "input[0].content[0].type"),
    ({"input": [{"type": "item_reference", "id": "x"}]}, sdk.BadRequestError, "invalid_input", "input[0].type"),
    ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, sdk.BadRequestError,
     "invalid_input", "input"),
    ({"input": "Hi", "previous_response_id": "resp_x"}, sdk.NotFoundError, "turn_not_found", None),
    ({"input": "Hi", "previous_response_id": "resp_"}, sdk.NotFoundError, "turn_not_found", None),
    ({"input": "Hi", "parallel_tool_calls": "yes"}, sdk.BadRequestError, "invalid_input", "parallel_tool_calls"),
    ({"input": "Hi", "temperature": True}, sdk.BadRequestError, "invalid_input", "temperature"),
    ({"input": "Hi", "max_output_tokens": "9"}, sdk.BadRequestError, "invalid_input", "max_output_tokens"),
    ({"input": [{"role": "user", "content": "Hi"}, {"type": "function_call", "call_id": "c", "name": "a b"}]},
     sdk.BadRequestError, "invalid_input", "input[1].name"),
    ({"input": "Hi", "conversation": "conv_x"}, sdk.NotFoundError, "session_not_found", None),
    ({"input": "Hi", "conversation": "x", "previous_response_id": "y"}, sdk.BadRequestError, "invalid_input",
     "conversation"),
    ({"input": "Hi", "text": {"format": {"type": "grammar"}}}, sdk.BadRequestError, "invalid_input",
     "text.format.type"),
]  # fmt: skip


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("body", "kind", "code", "param"), REFUSED)
async def test_refusals_before_the_headers(
    openai: AsyncOpenAI,
    body: dict[str, Any],
    kind: type[sdk.APIStatusError],
    code: str,
    param: str | None,
    streams: bool,
) -> None:
    with pytest.raises(kind) as refused:
        await openai.responses.create(model=MODEL, stream=streams, **body)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize("size", [900_000, 60_000], ids=["one large call", "many calls"])
async def test_a_history_of_large_calls_is_told_whole_and_kept_within_bounds(
    openai: AsyncOpenAI, size: int
) -> None:
    count = 900_000 // size
    calls = [
        {"type": "function_call", "call_id": f"c{n}", "name": "paint", "arguments": "{}"}
        for n in range(count)
    ]
    outputs = [
        {"type": "function_call_output", "call_id": f"c{n}", "output": "y" * 60_000} for n in range(count)
    ]
    if count == 1:
        calls[0]["arguments"], outputs[0]["output"] = json.dumps({"x": "y" * size}), "done"
    items: Any = [
        {"role": "user", "content": "Paint"},
        *calls,
        *outputs,
        {"role": "user", "content": "#echo"},
    ]
    response = await ask(openai, items, tools=[TOOL])
    shown = [each for each in json.loads(response.output_text)["messages"] if each["role"] == "tool"]
    assert [each["content"] for each in shown] == [each["output"] for each in outputs]
    later = await ask(openai, "#chunks=1", previous_response_id=response.id)
    assert later.status == "completed"


async def test_input_items_are_paged_though_ids_of_calls_come_again(openai: AsyncOpenAI) -> None:
    """Some services number the calls of each reply from 1."""
    items: list[Any] = []
    for number in range(6):
        items.append({"role": "user", "content": f"question {number}"})
        items.append({"type": "function_call", "call_id": "call_1", "name": "paint", "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": "call_1", "output": f"output {number}"})
    response = await ask(openai, [*items, {"role": "user", "content": "#chunks=1"}])
    for order in ("asc", "desc"):
        listed: list[Any] = []
        async for item in openai.responses.input_items.list(response.id, order=order, limit=4):
            listed.append(item)
            assert len(listed) <= 19, "it comes to an end"
        assert len({each.id for each in listed}) == len(listed) == 19


async def test_an_output_of_an_id_that_came_before_is_listed_once(openai: AsyncOpenAI) -> None:
    previous: Any = None
    for said in ("first", "second"):
        asked = await ask(openai, PAINT, tools=[TOOL], previous_response_id=previous)
        [call] = asked.output
        output: Any = {
            "type": "function_call_output",
            "call_id": getattr(call, "call_id", ""),
            "output": said,
        }
        done = await ask(openai, [output], previous_response_id=asked.id, tools=[TOOL])
        previous = done.id
        [item] = (await openai.responses.input_items.list(done.id)).data
        assert getattr(item, "output", "") == said


async def test_what_is_not_here_is_not_found_as_openai_says_it(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.NotFoundError) as missing:
        await openai.embeddings.create(model=MODEL, input="Hi")
    assert (missing.value.code, missing.value.type) == ("not_found", "not_found_error")


async def test_nobody_knows_who_asks(pair: Stack) -> None:
    async with client_of(pair.urls[0], **{"x-dev-user": "x" * 300}) as stranger:
        with pytest.raises(sdk.BadRequestError) as refused:
            await ask(stranger, "Hi")
    assert refused.value.type == "invalid_request_error"
