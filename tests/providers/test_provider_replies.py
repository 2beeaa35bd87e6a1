"""Providers against a real HTTP server: what they ask, and what they make of the replies."""

import asyncio
from collections.abc import Callable
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
from tests.providers.conftest import CHAT
from tests.support.model_requests import QUESTION, read
from tests.support.model_service import DONE, HOLD, STOP, ModelService, chunk, frame, text
from tests.support.wires import ModelWire

ROLE = frame(chunk({"role": "assistant", "content": ""}))
HELLO: list[ModelDelta] = [ModelChosen("gpt-9"), TextPiece("Hel"), TextPiece("lo"), StopReason("stop")]
FILTERS = frame(
    {"id": "", "object": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
)


def hello(wire: ModelWire) -> list[bytes]:
    return [wire.begin, wire.text("Hel"), wire.text("lo")]


REPLIES: dict[str, tuple[Callable[[ModelWire], list[bytes]], list[ModelDelta]]] = {
    "with usage": (
        lambda wire: [*hello(wire), *wire.ending(9, 2)],
        [*HELLO, UsageReport(9, 2)],
    ),
    "the bare minimum": (lambda wire: [*hello(wire), wire.stop], HELLO),
    "with [DONE]": (lambda wire: [*hello(wire), wire.stop, DONE], HELLO),
    "all in one packet": (lambda wire: [b"".join([*hello(wire), wire.stop, DONE])], HELLO),
    "with CR LF": (
        lambda wire: [each.replace(b"\n", b"\r\n") for each in (*hello(wire), wire.stop, DONE)],
        HELLO,
    ),
    "with comments": (
        lambda wire: [
            b": ping\n\n",
            wire.begin,
            wire.text("Hel"),
            b": ping\n\n",
            wire.text("lo"),
            wire.stop,
            b": bye\n\n",
        ],
        HELLO,
    ),
    "without the last line end": (lambda wire: [*hello(wire), wire.stop[:-2]], HELLO),
    "cut off by its limit": (
        lambda wire: [*hello(wire), wire.length],
        [*HELLO[:-1], StopReason("length")],
    ),
    "characters that SDKs split at": (
        lambda wire: [wire.begin, wire.text("a\u2028b\u0085c 東京"), wire.stop, DONE],
        [ModelChosen("gpt-9"), TextPiece("a\u2028b\u0085c 東京"), StopReason("stop")],
    ),
}
CHAT_REPLIES: dict[str, tuple[list[bytes], list[ModelDelta]]] = {
    "as Azure sends it": ([FILTERS, ROLE, text("Hel"), text("lo"), STOP, DONE], HELLO),
    "with a router's choice": (
        [FILTERS, frame(chunk({"content": "Hi"}, model="gpt-9-mini-2026-08-07")), STOP, DONE],
        [ModelChosen("gpt-9-mini-2026-08-07"), TextPiece("Hi"), StopReason("stop")],
    ),
}


@pytest.mark.parametrize("name", REPLIES)
async def test_replies_are_read(service: ModelService, provider: ModelProvider, wire: ModelWire, name: str):
    script, expected = REPLIES[name]
    service.script = script(wire)
    assert await read(provider) == expected


@pytest.mark.parametrize("name", REPLIES)
async def test_replies_are_read_byte_by_byte(
    service: ModelService, provider: ModelProvider, wire: ModelWire, name: str
):
    script, expected = REPLIES[name]
    whole = b"".join(script(wire))
    service.script = [whole[at : at + 1] for at in range(len(whole))]
    assert await read(provider) == expected


@pytest.mark.parametrize("provider_name", CHAT)
@pytest.mark.parametrize("name", CHAT_REPLIES)
async def test_replies_of_chat_completions_are_read(
    service: ModelService, provider: ModelProvider, name: str
):
    service.script, expected = CHAT_REPLIES[name]
    assert await read(provider) == expected


@pytest.mark.parametrize("provider_name", CHAT)
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


async def test_a_delta_is_passed_on_as_soon_as_it_came(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), HOLD]
    async with asyncio.timeout(5), aclosing(provider.stream(QUESTION)) as deltas:
        assert await anext(deltas) == ModelChosen("gpt-9")
        assert await anext(deltas) == TextPiece("Hel")


ASKED_FOR_USAGE = {"AZURE", "LOCAL"}


@pytest.mark.parametrize("provider_name", CHAT)
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


async def test_a_connection_is_used_again(service: ModelService, provider: ModelProvider, wire: ModelWire):
    service.script = [wire.begin, wire.text("Hel"), wire.text("lo"), wire.stop, DONE]
    replies = [await read(provider) for _ in range(3)]
    assert replies == [HELLO] * 3
    assert len({asked.client for asked in service.asked}) == 1


async def test_more_than_a_hundred_replies_can_run_at_once(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hi"), HOLD]
    streams = [provider.stream(QUESTION) for _ in range(120)]
    async with asyncio.timeout(10):
        assert await asyncio.gather(*(anext(stream) for stream in streams)) == [ModelChosen("gpt-9")] * 120
        for stream in streams:
            await stream.aclose()


async def test_a_closed_provider_can_be_closed_again_and_asked_again(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), wire.text("lo"), wire.stop, DONE]
    await provider.aclose()
    assert await read(provider) == HELLO
    await provider.aclose()
    await provider.aclose()
    assert await read(provider) == HELLO
