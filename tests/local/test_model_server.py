"""The model stand-in's wire, seen byte by byte: frames, tokens, errors of a request, and what it remembers."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from local.model_server import expected_text, serve
from local.model_server.chunks import Chunks
from tests.support.model_wire import (
    AZURE,
    KEY,
    ModelClient,
    deltas_of,
    finish_of,
    model_client,
    text_of,
    texts_of,
)

PLAIN = "/v1/chat/completions"
OPENROUTER = "/api/v1/chat/completions"
CLASSIC = "/openai/deployments/model-router/chat/completions?api-version=2024-10-21"


@pytest.fixture
async def model() -> AsyncGenerator[ModelClient]:
    async with serve() as url, model_client(url) as client:
        yield client


async def test_an_azure_stream_opens_with_the_prompt_filter_then_the_role(model: ModelClient) -> None:
    frames = await model.frames("#chunks=2")
    assert frames[0]["choices"] == [] and frames[0]["prompt_filter_results"][0]["prompt_index"] == 0
    assert deltas_of(frames) == [
        {"role": "assistant", "content": ""},
        {"content": "word1"},
        {"content": " word2"},
        {},
    ]
    assert finish_of(frames) == "stop"
    assert frames[-1] == "[DONE]"


async def test_a_plain_stream_has_no_filter_results(model: ModelClient) -> None:
    raw = await model.raw("#chunks=2", path=PLAIN)
    assert b"filter" not in raw and b'"role":"assistant"' in raw.split(b"\n\n")[0]


async def test_every_frame_has_the_same_id_time_and_model(model: ModelClient) -> None:
    frames = (await model.frames("#chunks=3"))[:-1]
    assert len({(frame["id"], frame["created"], frame["model"]) for frame in frames}) == 1
    assert frames[0]["model"] == "gpt-5-mini-2025-08-07"


@pytest.mark.parametrize(
    ("path", "text", "model_name"),
    [
        (AZURE, "hi", "gpt-5-mini-2025-08-07"),
        (CLASSIC, "hi", "gpt-5-mini-2025-08-07"),
        (PLAIN, "hi", "asked/for"),
        (AZURE, "hi #model=grok-4 #empty", "grok-4"),
        (PLAIN, "hi #model=grok-4 #empty", "grok-4"),
        (OPENROUTER, "hi", "asked/for"),
    ],
)
async def test_the_reply_names_the_model_that_answers(
    model: ModelClient, path: str, text: str, model_name: str
) -> None:
    frames = await model.frames(text, path=path, model="asked/for", max_tokens=1)
    assert frames[0]["model"] == model_name


async def test_openrouter_routes_and_reports_usage_unasked(model: ModelClient) -> None:
    frames = await model.frames("#chunks=2", path=OPENROUTER, model="openrouter/auto")
    assert {frame["model"] for frame in frames[:-1]} == {"openai/gpt-5-mini"}
    assert frames[-2]["usage"]["completion_tokens"] == 2


async def test_usage_comes_in_a_frame_of_its_own_when_asked_for(model: ModelClient) -> None:
    frames = await model.frames("two words #chunks=5 #reasoning=2", stream_options={"include_usage": True})
    usage = frames[-2]
    assert usage["choices"] == [] and all(frame["usage"] is None for frame in frames[:-2])
    assert (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"]) == (4, 7)
    assert usage["usage"]["completion_tokens_details"]["reasoning_tokens"] == 2


async def test_no_frame_speaks_of_usage_unasked(model: ModelClient) -> None:
    assert b"usage" not in await model.raw("#chunks=5")


@pytest.mark.parametrize(("chunks", "size"), [(0, 0), (1, 0), (12, 0), (3, 50), (1000, 0), (40, 5000)])
async def test_the_text_of_chunks_is_known_beforehand(model: ModelClient, chunks: int, size: int) -> None:
    order = f"#chunks={chunks}" + (f" #size={size}" if size else "")
    texts = texts_of(await model.frames(order))
    assert len(texts) == chunks
    assert "".join(texts) == expected_text(chunks, size=size)
    assert all(len(text) >= size for text in texts)


async def test_the_answer_stops_at_max_tokens(model: ModelClient) -> None:
    frames = await model.frames("#chunks=10", max_completion_tokens=4)
    assert text_of(frames) == expected_text(4)
    assert finish_of(frames) == "length"


async def test_stamps_are_the_times_of_sending(model: ModelClient) -> None:
    before = time.monotonic_ns() // 1000
    text = await model.say("#chunks=20 #stamp #size=40")
    stamps = [int(word) for word in text.split() if word.isdecimal()]
    assert len(stamps) == 20 and stamps == sorted(stamps)
    assert before <= stamps[0] and stamps[-1] <= time.monotonic_ns() // 1000
    assert len(text) == 20 * 40


async def test_the_pace_does_not_drift(model: ModelClient) -> None:
    text = await model.say("#chunks=41 #rate=200 #stamp")
    stamps = [int(word) for word in text.split()]
    late = [stamp - stamps[0] - number * 5000 for number, stamp in enumerate(stamps)]
    # Each delta has its own place in the schedule, so the last is no later than any other.
    assert min(late) > -5000
    assert min(late[-10:]) < 20_000


@pytest.mark.usefixtures("alone")
async def test_the_first_delta_waits_but_the_headers_do_not(model: ModelClient) -> None:
    started = time.monotonic()
    async with model.post("#chunks=1 #first=150") as reply:
        headers = time.monotonic() - started
        await reply.read()
    assert headers < 0.1 <= 0.15 <= time.monotonic() - started


async def test_a_delay_holds_the_headers_too(model: ModelClient) -> None:
    started = time.monotonic()
    async with model.post("#chunks=1 #delay=100"):
        assert time.monotonic() - started >= 0.1


async def test_echo_answers_with_the_request_as_it_came(model: ModelClient) -> None:
    system = {"role": "system", "content": "Be brief. Ünïcode 🙂"}
    sent = [system, {"role": "user", "content": "#echo"}]
    echoed = json.loads(await model.say("", messages=sent, temperature=0.25, model="model-router"))
    assert echoed == {"messages": sent, "stream": True, "temperature": 0.25, "model": "model-router"}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('#json={"a": [1, 2]}', '{"a": [1, 2]}'),
        ('#text="one\\ntwo #cut=1"', "one\ntwo #cut=1"),
        ("#empty", ""),
        ("#refuse", ""),
        ("#reasoning=2", ""),
    ],
)
async def test_an_ordered_text_is_the_answer(model: ModelClient, text: str, answer: str) -> None:
    assert await model.say(text) == answer


async def test_reasoning_comes_before_the_text(model: ModelClient) -> None:
    kinds = [next(iter(delta), "") for delta in deltas_of(await model.frames("#reasoning=2 #chunks=1"))]
    assert kinds == ["role", "reasoning_content", "reasoning_content", "content", ""]


async def test_a_refusal_is_a_delta_of_its_own_kind(model: ModelClient) -> None:
    deltas = deltas_of(await model.frames("#refuse #chunks=3"))
    assert [delta for delta in deltas if "refusal" in delta] == [
        {"refusal": "I'm sorry, but I can't help with that."}
    ]


async def test_the_last_user_message_gives_the_directives(model: ModelClient) -> None:
    talk = [
        {"role": "user", "content": "#status=500"},
        {"role": "assistant", "content": "#status=500"},
        {"role": "user", "content": [{"type": "text", "text": "#chunks=1"}, {"type": "image_url"}]},
        {"role": "assistant", "content": "#status=500"},
    ]
    assert await model.say("", messages=talk) == "word1"


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "messages"),
        ("text", "messages"),
        (["text"], "role"),
        ([{"role": "robot", "content": ""}], "role"),
        ([{"role": "tool", "tool_call_id": "a", "content": ""}], "must be a response"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], "did not have response messages: a"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}, {"role": "user"}], "did not have response"),
        ([{"role": "user", "content": "#chunk=1"}], "#chunk is unknown"),
    ],
)
async def test_a_request_that_the_service_would_refuse_is_400(
    model: ModelClient, messages: Any, complaint: str
) -> None:
    async with model.post("", messages=messages) as reply:
        assert reply.status == 400
        assert complaint in (await reply.json())["error"]["message"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"messages": null}'])
async def test_a_body_that_is_no_request_is_400(model: ModelClient, raw: bytes) -> None:
    async with model.session.post(model.url + AZURE, data=raw, headers=KEY) as reply:
        assert reply.status == 400 and (await reply.json())["error"]["code"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"api-key": ""}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer t"}, 200),
        (KEY, 200),
    ],
)
async def test_a_request_needs_some_key(model: ModelClient, headers: dict[str, str], status: int) -> None:
    sent = {"messages": [{"role": "user", "content": "#empty"}]}
    async with model.session.post(model.url + AZURE, json=sent, headers=headers) as reply:
        assert reply.status == status
        if status == 401:
            assert (await reply.json())["error"]["code"] == "401"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/models/chat/completions", 404),
        ("/openai/deployments/model-router/chat/completions", 404),
        (CLASSIC, 200),
        (AZURE + "?api-version=v1", 200),
        (AZURE + "?api-version=preview", 200),
        (AZURE + "?api-version=2024-05-01-preview", 400),
    ],
)
async def test_only_the_routes_and_versions_of_today_answer(
    model: ModelClient, path: str, status: int
) -> None:
    async with model.post("#empty", path=path) as reply:
        assert reply.status == status


@pytest.mark.parametrize("path", ["/openai/v1/models", "/openai/deployments/x/models", "/v1/models"])
async def test_the_models_are_listed(model: ModelClient, path: str) -> None:
    listed = await model.get(path)
    assert [each["id"] for each in listed["data"]] == ["model-router", "gpt-5-mini-2025-08-07"]


async def test_the_last_requests_can_be_looked_at(model: ModelClient) -> None:
    for number in range(3):
        await model.raw(f"#chunks={number}")
    newest = await model.get("/_model/requests?last=2")
    assert [each["body"]["messages"][0]["content"] for each in newest] == ["#chunks=1", "#chunks=2"]
    assert newest[0]["path"] == AZURE and newest[0]["headers"]["api-key"] == "*** key"


async def test_no_more_than_200_requests_are_kept(model: ModelClient) -> None:
    await asyncio.gather(*[model.raw("#empty") for _ in range(210)])
    assert len(await model.get("/_model/requests?last=1000")) == 200


async def test_a_reset_forgets_requests_and_counts(model: ModelClient) -> None:
    await model.raw("#empty")
    async with model.session.post(model.url + "/_model/reset") as reply:
        assert (await reply.json()) == {"open": 0, "closed_by_client": 0, "finished": 0, "total": 0}
    assert await model.get("/_model/requests") == []


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("order", ["#chunks=1 #stall=1", "#endless"])
async def test_the_program_says_where_it_is_and_stops_within_a_second_of_sigterm(order: str) -> None:
    program = [sys.executable, "-m", "local.model_server", "--port", "0"]
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        ready = (await asyncio.wait_for(process.stdout.readline(), 10)).decode().split()
        assert ready[0] == "ready"
        async with model_client(ready[1]) as model, model.post(order) as reply:
            await reply.content.readany()
            await asyncio.sleep(0.05)  # an answer without end fills the socket, since nobody reads on
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 1) == 0
    finally:
        if process.returncode is None:
            process.kill()


def test_text_that_json_must_escape_survives_the_template() -> None:
    text = '"\\\n\t\x00 DELTA "DELTA" ünï 🙂'
    chunks = Chunks(number=1, created=1, model="DELTA", azure=True, usage=False)
    frame = chunks.delta(b'{"content":%s}' % orjson.dumps(text))
    assert json.loads(frame.removeprefix(b"data: "))["choices"][0]["delta"] == {"content": text}
