"""The model stand-in's Responses, as the openai package's own client sees them."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from local.model_server import expected_text, serve
from local.model_server.response_request import LONGEST_ID
from tests.support.model_wire import ModelClient, model_client

MODEL = "model-router"
AZURE, PLAIN, AGENTS = "/openai/v1", "/v1", "/serving-endpoints"
TOOL: Any = {"type": "function", "name": "sum", "parameters": {"type": "object"}, "strict": False}


@pytest.fixture
async def url() -> AsyncGenerator[str]:
    async with serve() as address:
        yield address


@pytest.fixture
async def bare(url: str) -> AsyncGenerator[ModelClient]:
    async with model_client(url) as made:
        yield made


@pytest.fixture(params=[AZURE, PLAIN, AGENTS])
def base(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def client(url: str, base: str) -> AsyncGenerator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=url + base, api_key="k", max_retries=0, timeout=5) as made:
        yield made


async def final(client: openai.AsyncOpenAI, text: str, **more: Any) -> tuple[str, Any]:
    """What the deltas of a stream join to, and the response that the client put together."""
    said = ""
    async with client.responses.stream(model=MODEL, input=text, **more) as stream:
        async for event in stream:
            if event.type == "response.output_text.delta":
                said += event.delta
        return said, await stream.get_final_response()


async def test_a_stream_is_read(client: openai.AsyncOpenAI, base: str) -> None:
    said, whole = await final(client, "#chunks=50 #reasoning=2")
    assert said == whole.output_text == expected_text(50)
    assert (whole.status, whole.usage.output_tokens) == ("completed", 52)
    assert whole.model == (MODEL if base != AZURE else "gpt-5-mini-2025-08-07")
    assert [each.type for each in whole.output] == ["reasoning", "message"]
    assert whole.output[0].summary[0].text == "thought1 thought2 "


async def test_events_are_numbered_from_zero(client: openai.AsyncOpenAI) -> None:
    stream = await client.responses.create(model=MODEL, input="#chunks=3 #reasoning=1", stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert (kinds[:2], kinds[-1]) == (
        ["response.created", "response.in_progress"],
        "response.completed",
    )


async def test_an_answer_in_one_piece_is_the_same(client: openai.AsyncOpenAI) -> None:
    text = '#text="Hello." #reasoning=1 #serve=ask{"q":1}'
    whole = await client.responses.create(model=MODEL, input=text)
    _, streamed = await final(client, text)
    assert whole.output_text == "Hello."
    assert [each.model_dump() for each in whole.output] == [_plain(each) for each in streamed.output]


def _plain(item: Any) -> dict[str, Any]:
    """Without what the client's parser adds."""
    row = item.model_dump()
    for part in row.get("content") or ():
        part.pop("parsed", None)
    row.pop("parsed_arguments", None)
    return row


@pytest.mark.parametrize("base", [AZURE, PLAIN])
async def test_calls_of_our_tools_come_and_go_back(client: openai.AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": '#tool=sum{"values":[1,2,3]} #tool=sum'}]
    async with client.responses.stream(model=MODEL, input=asked, tools=[TOOL]) as stream:
        calls: Any = (await stream.get_final_response()).output
    assert [(each.call_id, each.arguments) for each in calls] == [
        ("call_1", '{"values":[1,2,3]}'),
        ("call_2", "{}"),
    ]
    outputs: Any = [
        {"type": "function_call_output", "call_id": each.call_id, "output": "6"} for each in calls
    ]
    back: Any = [each.model_dump(exclude={"parsed_arguments"}) for each in calls]
    reply = await client.responses.create(model=MODEL, input=[*asked, *back, *outputs], tools=[TOOL])
    assert reply.output_text == "The tool says: 6; 6"


SERVED = '#serve=read_wiki{"page":"a"} #serve=web_search{"q":1} #chunks=2'


@pytest.mark.parametrize("base", [AZURE])
async def test_a_model_runs_calls_itself(client: openai.AsyncOpenAI) -> None:
    said, whole = await final(client, SERVED)
    assert said == expected_text(2)
    wiki, search, message = whole.output
    assert (wiki.type, wiki.name, wiki.output) == ("mcp_call", "read_wiki", 'read_wiki says: {"page":"a"}')
    assert (search.type, search.action.query, message.type) == ("web_search_call", '{"q":1}', "message")


@pytest.mark.parametrize("base", [AGENTS])
async def test_an_agent_runs_calls_itself(client: openai.AsyncOpenAI) -> None:
    said, whole = await final(client, SERVED)
    assert said == expected_text(2)
    kinds = ["function_call", "function_call_output"] * 2
    assert [each.type for each in whole.output] == [*kinds, "message"]
    assert whole.output[0].call_id == whole.output[1].call_id
    assert {each.id for each in whole.output} == {"__fake_id__"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [("#filter_after=1 #chunks=3", "content_filter"), ("#chunks=3 #finish=length", "max_output_tokens")],
)
async def test_what_is_incomplete_says_why(client: openai.AsyncOpenAI, text: str, reason: str) -> None:
    stream = await client.responses.create(model=MODEL, input=text, stream=True)
    last: Any = [event async for event in stream][-1]
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", reason)


async def test_the_limit_of_tokens_is_kept(client: openai.AsyncOpenAI) -> None:
    reply = await client.responses.create(model=MODEL, input="#chunks=9", max_output_tokens=4)
    assert (reply.output_text, reply.status) == (expected_text(4), "incomplete")


async def test_a_refusal_is_one(client: openai.AsyncOpenAI) -> None:
    _, whole = await final(client, "#refuse")
    assert whole.output[0].content[0].type == "refusal"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("#status=429", openai.RateLimitError),
        ("#status=503", openai.InternalServerError),
        ("#filter", openai.BadRequestError),
        ("#malformed=3 #chunks=5", json.JSONDecodeError),
    ],
)
async def test_the_client_raises_its_own_error(
    client: openai.AsyncOpenAI, text: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await final(client, text)


async def test_an_error_in_the_stream_is_an_event(client: openai.AsyncOpenAI) -> None:
    stream = await client.responses.create(model=MODEL, input="#error_after=2 #chunks=5", stream=True)
    last: Any = [event async for event in stream][-1]
    assert (last.type, last.code) == ("error", "500")


async def test_comments_and_crlf_are_accepted(client: openai.AsyncOpenAI) -> None:
    assert (await final(client, "#chunks=5 #comments #crlf"))[0] == expected_text(5)


CALL = {"type": "function_call", "call_id": "c1", "name": "sum", "arguments": "{}"}
REFUSED: dict[str, dict[str, Any]] = {
    "no input": {"input": []},
    "messages": {"messages": [{"role": "user", "content": "Hi"}]},
    "an unknown role": {"input": [{"role": "robot", "content": "Hi"}]},
    "an unknown item": {"input": [{"type": "dance"}]},
    "a call without its output": {"input": [CALL]},
    "an output without its call": {
        "input": [{"type": "function_call_output", "call_id": "c1", "output": ""}]
    },
    "a name that is none": {"input": [{**CALL, "name": "read.wiki"}]},
    "an id that is too long": {"input": [{**CALL, "call_id": "c" * (LONGEST_ID + 1)}]},
    "a tool of chat completions": {
        "input": "Hi",
        "tools": [{"type": "function", "function": {"name": "sum"}}],
    },
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_the_service_would_refuse_is_refused(bare: ModelClient, what: str) -> None:
    async with bare.session.post(
        f"{bare.url}{AZURE}/responses", json=REFUSED[what], headers={"api-key": "k"}
    ) as reply:
        assert (reply.status, "error" in await reply.json()) == (400, True)


@pytest.mark.parametrize("path", [f"{AGENTS}/responses", f"{AGENTS}/mas/invocations"])
@pytest.mark.parametrize("more", [{"tools": [TOOL]}, {"instructions": "?"}])
async def test_an_agent_refuses_what_its_signature_lacks(
    bare: ModelClient, path: str, more: dict[str, Any]
) -> None:
    for body, status in (({"input": "Hi", **more}, 400), ({"input": "Hi"}, 200)):
        async with bare.session.post(bare.url + path, json=body, headers={"api-key": "k"}) as reply:
            assert reply.status == status


async def test_chat_completions_know_no_calls_of_the_service(bare: ModelClient) -> None:
    async with bare.post("#serve=ask") as reply:
        assert reply.status == 400
