"""Providers against a real HTTP server: what they ask, and what they make of the replies."""

import asyncio
from contextlib import aclosing

import pytest

from chat.providers.base import (
    ModelChosen,
    ModelDelta,
    ModelMessage,
    ModelProvider,
    ModelRequest,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from tests.support.model_requests import QUESTION, read
from tests.support.model_service import DONE, HOLD, STOP, ModelService, chunk, frame, text

HELLO: list[ModelDelta] = [ModelChosen("gpt-9"), TextPiece("Hel"), TextPiece("lo"), StopReason("stop")]
FILTERS = frame(
    {"id": "", "object": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
)
USAGE = frame(
    {
        "id": "c1",
        "model": "gpt-9",
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }
)
ROLE = frame(chunk({"role": "assistant", "content": ""}))

REPLIES: dict[str, tuple[list[bytes], list[ModelDelta]]] = {
    "as Azure sends it": (
        [FILTERS, ROLE, text("Hel"), text("lo"), STOP, USAGE, DONE],
        [*HELLO, UsageReport(9, 2)],
    ),
    "the bare minimum": ([text("Hel"), text("lo"), STOP], HELLO),
    "without [DONE]": ([text("Hel"), text("lo"), STOP, USAGE], [*HELLO, UsageReport(9, 2)]),
    "all in one packet": ([text("Hel") + text("lo") + STOP + DONE], HELLO),
    "with CR LF": ([frame.replace(b"\n", b"\r\n") for frame in (text("Hel"), text("lo"), STOP, DONE)], HELLO),
    "with comments": (
        [b": ping\n\n", text("Hel"), b": ping\n\n", text("lo"), STOP, b": bye\n\n", DONE],
        HELLO,
    ),
    "without the last line end": ([text("Hel"), text("lo"), STOP, USAGE[:-2]], [*HELLO, UsageReport(9, 2)]),
    "with a router's choice": (
        [FILTERS, frame(chunk({"content": "Hi"}, model="gpt-9-mini-2026-08-07")), STOP, DONE],
        [ModelChosen("gpt-9-mini-2026-08-07"), TextPiece("Hi"), StopReason("stop")],
    ),
    "characters that SDKs split at": (
        [text("a\u2028b\u0085c 東京"), STOP, DONE],
        [ModelChosen("gpt-9"), TextPiece("a\u2028b\u0085c 東京"), StopReason("stop")],
    ),
}


@pytest.mark.parametrize("name", REPLIES)
async def test_replies_are_read(service: ModelService, provider: ModelProvider, name: str):
    service.script, expected = REPLIES[name]
    assert await read(provider) == expected


@pytest.mark.parametrize("name", REPLIES)
async def test_replies_are_read_byte_by_byte(service: ModelService, provider: ModelProvider, name: str):
    frames, expected = REPLIES[name]
    whole = b"".join(frames)
    service.script = [whole[at : at + 1] for at in range(len(whole))]
    assert await read(provider) == expected


async def test_parallel_calls_come_in_pieces(service: ModelService, provider: ModelProvider):
    def piece(index: int, arguments: str, **more: object) -> bytes:
        call = {"index": index, "function": {"arguments": arguments}} | more
        return frame(chunk({"tool_calls": [call]}))

    service.script = [
        piece(0, "", id="a", type="function", function={"name": "now", "arguments": ""}),
        piece(0, '{"zone"'),
        piece(1, "", id="b", type="function", function={"name": "sum", "arguments": "{"}),
        piece(0, ':"UTC"}'),
        piece(1, "}"),
        frame(chunk(reason="tool_calls")),
        DONE,
    ]
    assert await read(provider) == [
        ModelChosen("gpt-9"),
        ToolCallPiece(0, "a", "now"),
        ToolCallPiece(0, arguments='{"zone"'),
        ToolCallPiece(1, "b", "sum", "{"),
        ToolCallPiece(0, arguments=':"UTC"}'),
        ToolCallPiece(1, arguments="}"),
        StopReason("tool_calls"),
    ]


async def test_a_delta_is_passed_on_as_soon_as_it_came(service: ModelService, provider: ModelProvider):
    service.script = [text("Hel"), HOLD]
    async with asyncio.timeout(5), aclosing(provider.stream(QUESTION)) as deltas:
        assert await anext(deltas) == ModelChosen("gpt-9")
        assert await anext(deltas) == TextPiece("Hel")


ASKED_FOR_USAGE = {"AZURE", "LOCAL"}


async def test_the_body_is_the_request(service: ModelService, provider: ModelProvider):
    service.script = [text("Hi"), STOP, DONE]
    request = ModelRequest(messages=(ModelMessage("user", "Zürich?"),), temperature=0.5, max_tokens=7)
    await read(provider, request)
    usage = {"stream_options": {"include_usage": True}} if provider.name in ASKED_FOR_USAGE else {}
    assert service.asked[0].body == usage | {
        "model": "model-router",
        "messages": [{"role": "user", "content": "Zürich?"}],
        "stream": True,
        "temperature": 0.5,
        "max_tokens": 7,
    }


async def test_a_connection_is_used_again(service: ModelService, provider: ModelProvider):
    service.script = [text("Hel"), text("lo"), STOP, DONE]
    replies = [await read(provider) for _ in range(3)]
    assert replies == [HELLO] * 3
    assert len({asked.client for asked in service.asked}) == 1


async def test_more_than_a_hundred_replies_can_run_at_once(service: ModelService, provider: ModelProvider):
    service.script = [text("Hi"), HOLD]
    streams = [provider.stream(QUESTION) for _ in range(120)]
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(anext(stream) for stream in streams)) == [ModelChosen("gpt-9")] * 120
        for stream in streams:
            await stream.aclose()


async def test_a_closed_provider_can_be_closed_again_and_asked_again(
    service: ModelService, provider: ModelProvider
):
    service.script = [text("Hel"), text("lo"), STOP, DONE]
    await provider.aclose()
    assert await read(provider) == HELLO
    await provider.aclose()
    await provider.aclose()
    assert await read(provider) == HELLO
