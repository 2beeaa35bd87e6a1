"""The scripted provider keeps the promises of the port."""

import asyncio
from contextlib import aclosing

import pytest

from chat.errors import ProviderUnavailable
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
from chat.providers.scripted import Line, Pause, ScriptedProvider

QUESTION = ModelRequest(messages=(ModelMessage("user", "Hi"),))
CHOSEN, STOP = ModelChosen("scripted-1"), StopReason("stop")
CALL = ToolCallPiece(0, "c1", "now", "{}")

CASES: dict[str, tuple[list[Line], list[ModelDelta]]] = {
    "nothing": ([], [CHOSEN, STOP]),
    "text": (["Hel", "lo"], [CHOSEN, TextPiece("Hel"), TextPiece("lo"), STOP]),
    "a call": ([CALL], [CHOSEN, CALL, StopReason("tool_calls")]),
    "usage last": (["Hi", UsageReport(3, 1)], [CHOSEN, TextPiece("Hi"), STOP, UsageReport(3, 1)]),
    "a model": ([ModelChosen("gpt-9"), "Hi"], [ModelChosen("gpt-9"), TextPiece("Hi"), STOP]),
    "a reason": (["Hi", StopReason("length")], [CHOSEN, TextPiece("Hi"), StopReason("length")]),
    "pauses": ([Pause(0), "a", 0.001, "b"], [CHOSEN, TextPiece("a"), TextPiece("b"), STOP]),
}


async def read(provider: ModelProvider, request: ModelRequest = QUESTION) -> list[ModelDelta]:
    async with aclosing(provider.stream(request)) as deltas:
        return [delta async for delta in deltas]


@pytest.mark.parametrize("name", CASES)
async def test_a_script_is_completed(name: str):
    script, expected = CASES[name]
    assert await read(ScriptedProvider(script)) == expected


async def test_each_call_plays_the_next_script_and_the_last_one_stays():
    provider = ScriptedProvider(["one"], ["two"])
    replies = [await read(provider) for _ in range(3)]
    assert [reply[1] for reply in replies] == [TextPiece("one"), TextPiece("two"), TextPiece("two")]


async def test_a_script_may_be_made_from_the_request():
    provider = ScriptedProvider(lambda request: [request.messages[-1].content.upper()])
    assert TextPiece("HI") in await read(provider)
    assert provider.requests == [QUESTION]


async def test_the_model_of_the_request_is_the_one_that_answers():
    request = ModelRequest(messages=QUESTION.messages, model="gpt-9")
    assert (await read(ScriptedProvider(["Hi"]), request))[0] == ModelChosen("gpt-9")


async def test_an_exception_is_raised_where_it_stands():
    provider = ScriptedProvider(["Hel", ProviderUnavailable()])
    said: list[ModelDelta] = []
    with pytest.raises(ProviderUnavailable):
        async for delta in provider.stream(QUESTION):
            said.append(delta)
    assert said == [CHOSEN, TextPiece("Hel")]
    assert provider.open_streams == 0


async def test_an_event_holds_the_stream_until_it_is_set():
    gate = asyncio.Event()
    provider = ScriptedProvider(["Hel", gate, "lo"])
    async with asyncio.timeout(5), aclosing(provider.stream(QUESTION)) as deltas:
        assert [await anext(deltas), await anext(deltas)] == [CHOSEN, TextPiece("Hel")]
        waiting = asyncio.ensure_future(anext(deltas))
        assert not (await asyncio.wait([waiting], timeout=0.01))[0]
        gate.set()
        assert await waiting == TextPiece("lo")


async def test_open_streams_are_counted():
    provider = ScriptedProvider(["a", "b"])
    deltas = provider.stream(QUESTION)
    assert provider.open_streams == 0
    await anext(deltas)
    assert provider.open_streams == 1
    await deltas.aclose()
    assert (provider.opened, provider.closed) == (1, 1)


async def test_a_cancelled_reader_closes_its_stream():
    provider = ScriptedProvider([asyncio.Event()])
    task = asyncio.create_task(read(provider))
    await asyncio.sleep(0.01)
    assert provider.open_streams == 1
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert provider.open_streams == 0


async def test_closing_the_provider_is_noted():
    provider = ScriptedProvider()
    await provider.aclose()
    assert provider.was_closed
