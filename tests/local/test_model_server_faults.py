"""The model stand-in's faults, and what it notices of a client that leaves."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest

from local.model_server import expected_text, serve
from tests.support.model_wire import (
    AZURE,
    ModelClient,
    ask_half_open,
    body,
    finish_of,
    model_client,
    read_frames,
    text_of,
)


@pytest.fixture
async def model() -> AsyncGenerator[ModelClient]:
    async with serve() as url, model_client(url) as client:
        yield client


async def read_until_torn(reply: Any) -> bytes:
    """What came before the connection broke; fails when the body ended as it should."""
    raw = b""
    with pytest.raises(aiohttp.ClientPayloadError):
        async for part in reply.content.iter_any():
            raw += part
    return raw


async def counts_become(model: ModelClient, **expected: int) -> None:
    seen: dict[str, int] = {}
    deadline = time.monotonic() + 1
    while not expected.items() <= seen.items() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
        seen = await model.get("/_model/connections")
    assert expected.items() <= seen.items()


@pytest.mark.parametrize(
    ("status", "code"), [(400, "400"), (401, "401"), (404, "404"), (429, "429"), (500, "500"), (503, "503")]
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_status_is_answered_in_azures_form(
    model: ModelClient, status: int, code: str, stream: bool
) -> None:
    async with model.post(f"#status={status}", stream=stream) as reply:
        assert reply.status == status
        assert (await reply.json())["error"]["code"] == code
        assert "retry-after" not in reply.headers


@pytest.mark.parametrize(("order", "header"), [("1", "1"), ("0.05", "0.05"), ("30", "30")])
async def test_a_status_can_ask_to_come_back_later(model: ModelClient, order: str, header: str) -> None:
    async with model.post(f"#status=429 #retry_after={order}") as reply:
        assert reply.headers["retry-after"] == header


async def test_a_fault_can_be_limited_to_the_first_times(model: ModelClient) -> None:
    statuses: list[int] = []
    for _ in range(3):
        async with model.post("#status=503 #times=2 #chunks=1") as reply:
            statuses.append(reply.status)
    assert statuses == [503, 503, 200]


async def test_the_content_filter_refuses_a_prompt(model: ModelClient) -> None:
    async with model.post("#filter") as reply:
        error = (await reply.json())["error"]
    assert (reply.status, error["code"]) == (400, "content_filter")
    assert error["innererror"]["content_filter_result"]["violence"] == {
        "filtered": True,
        "severity": "medium",
    }


async def test_the_content_filter_ends_an_answer(model: ModelClient) -> None:
    frames = await model.frames("#chunks=9 #filter_after=3")
    assert (text_of(frames), finish_of(frames), frames[-1]) == (expected_text(3), "content_filter", "[DONE]")


@pytest.mark.parametrize("rate", ["", " #rate=500"])
@pytest.mark.parametrize("after", [0, 1, 5])
async def test_a_cut_tears_the_connection_after_its_deltas(model: ModelClient, after: int, rate: str) -> None:
    async with model.post(f"#chunks=9 #cut={after}{rate}") as reply:
        raw = await read_until_torn(reply)
    assert text_of(read_frames(raw)) == expected_text(after)


async def test_a_cut_tears_a_whole_answer_too(model: ModelClient) -> None:
    async with model.post("#chunks=9 #cut=1", stream=False) as reply:
        assert (await read_until_torn(reply)).startswith(b'{"id"')


@pytest.mark.parametrize("after", [0, 5])
async def test_a_stall_keeps_the_connection_open_and_says_nothing(model: ModelClient, after: int) -> None:
    raw = b""
    async with model.post(f"#chunks=9 #stall={after}") as reply:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                async for part in reply.content.iter_any():
                    raw += part
        await counts_become(model, open=1, closed_by_client=0)
        reply.close()
    assert text_of(read_frames(raw)) == expected_text(after)
    await counts_become(model, open=0, closed_by_client=1, finished=0, total=1)


@pytest.mark.parametrize("order", ["#endless", "#endless #rate=100", "#chunks=2 #rate=0.1", "#first=60000"])
async def test_a_client_that_leaves_is_noticed(model: ModelClient, order: str) -> None:
    async with model.post(order) as reply:
        await reply.content.readany()
        await counts_become(model, open=1)
        reply.close()
    await counts_become(model, open=0, closed_by_client=1)


async def test_a_client_that_leaves_before_the_headers_is_noticed(model: ModelClient) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await model.raw("#delay=60000")
    await counts_become(model, open=0, closed_by_client=1)


async def test_an_answer_that_was_read_to_its_end_counts_as_finished(model: ModelClient) -> None:
    await model.raw("#chunks=3")
    await counts_become(model, open=0, finished=1, closed_by_client=0)


@pytest.mark.parametrize("number", [1, 2, 3, 5])
async def test_one_frame_is_malformed_and_the_others_are_whole(model: ModelClient, number: int) -> None:
    blocks = (await model.raw(f"#chunks=9 #malformed={number}")).decode().split("\n\n")
    whole = blocks[: number - 1] + blocks[number:]
    assert len(read_frames("\n\n".join(whole).encode())) == 2 + 9 + 2 - 1
    with pytest.raises(ValueError):
        read_frames(blocks[number - 1].encode())


async def test_a_whole_answer_can_be_malformed(model: ModelClient) -> None:
    async with model.post("#malformed=1", stream=False) as reply:
        with pytest.raises(ValueError):
            await reply.json()


async def test_an_error_frame_ends_the_stream(model: ModelClient) -> None:
    frames = await model.frames("#chunks=9 #error_after=2")
    assert text_of(frames[:-1]) == expected_text(2)
    assert frames[-1]["error"]["code"] == "500"


async def test_nodone_ends_in_good_order_but_without_an_end(model: ModelClient) -> None:
    frames = await model.frames("#chunks=2 #nodone")
    assert (text_of(frames), finish_of(frames)) == (expected_text(2), None)


async def test_another_finish_reason_can_be_given(model: ModelClient) -> None:
    assert finish_of(await model.frames("#chunks=2 #finish=length")) == "length"


async def test_comments_stand_between_the_frames(model: ModelClient) -> None:
    blocks = (await model.raw("#chunks=2 #comments")).decode().split("\n\n")[:-1]
    assert blocks[::2] == [": keep-alive"] * 6
    assert text_of(read_frames("\n\n".join(blocks[1::2]).encode())) == expected_text(2)


async def test_crlf_ends_every_line(model: ModelClient) -> None:
    raw = await model.raw("#chunks=2 #crlf")
    assert raw.count(b"\n") == raw.count(b"\r\n") > 0
    assert text_of(read_frames(raw.replace(b"\r\n", b"\n"))) == expected_text(2)


async def test_a_burst_without_end_leaves_room_for_others(model: ModelClient) -> None:
    async with model.post("#endless") as reply:
        reader = asyncio.create_task(drain(reply))
        assert await asyncio.wait_for(model.say("#chunks=2"), 2) == expected_text(2)
        reader.cancel()


async def drain(reply: Any) -> None:
    async for _ in reply.content.iter_any():
        pass


@pytest.mark.parametrize("text", ["#chunks=5 #rate=20", "#chunks=3 #delay=300"])
async def test_a_client_that_has_asked_and_sends_no_more_gets_its_answer(
    model: ModelClient, text: str
) -> None:
    sent = json.dumps(body(text))
    head = f"POST {AZURE} HTTP/1.1\r\nHost: x\r\napi-key: k\r\nContent-Length: {len(sent)}\r\n\r\n"
    assert (await ask_half_open(model.url, (head + sent).encode())).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    await counts_become(model, open=0, finished=1)
