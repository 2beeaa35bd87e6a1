"""Every way in which a model service fails, at each of three providers and by each protocol: one right ending, no text
twice, and every attempt in the turn's record."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import pytest

from tests.support.azurite import free_port
from tests.support.clients import ChatClient, connected, eventually, text_of
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

PROVIDERS = ("AZURE", "LOCAL", "OPENROUTER")
SOON = {"FIRST_TOKEN_TIMEOUT_S": "0.5", "TOKEN_GAP_TIMEOUT_S": "0.5"}
WORDS = "word1 word2 word3 word4 word5 word6"


def three_services(model_url: str, **more: str) -> dict[str, str]:
    """The stand-in, asked in three ways; who fails is asked twice."""
    timeouts = {f"{name}_AI_{key}": value for name in PROVIDERS for key, value in SOON.items()}
    return {
        **ONE_ATTEMPT,
        "CHAT_PROVIDERS": ",".join(PROVIDERS),
        "LOCAL_AI_ENDPOINT": model_url,
        "LOCAL_AI_KEY": "local",
        "LOCAL_AI_MODEL": "small",
        "OPENROUTER_AI_ENDPOINT": model_url,
        "OPENROUTER_AI_KEY": "local",
        "CHAT_RETRY_ATTEMPTS": "2",
        "CHAT_RETRY_WAIT_S": "0.01",
        "CHAT_RETRY_AFTER_MAX_S": "0.5",
        "CHAT_TURN_MAX_S": "5",
        **timeouts,
        **more,
    }


@pytest.fixture(scope="module")
def stack() -> Generator[Stack]:
    with Stack.start(env=ONE_ATTEMPT) as running:
        yield running


@pytest.fixture(scope="module", params=["chat", "responses"])
def url(stack: Stack, request: pytest.FixtureRequest) -> Generator[str]:
    urlopen(
        stack.model_url.replace("/openai/v1", "/_model/reset"), data=b""
    ).close()  # its counts of `#times`
    protocols = {f"{name}_AI_PROTOCOL": request.param for name in PROVIDERS}
    host = stack.add_host(three_services(stack.model_url, **protocols))
    yield host.wait_ready()
    host.stop()


@pytest.fixture
async def client(url: str) -> AsyncGenerator[ChatClient]:
    async with connected(url) as connection:
        yield connection


@dataclass(frozen=True)
class Fault:
    """What the model does, and what becomes of the turn when it does so every time."""

    directives: str
    code: str  # of the failure; "" when the turn finishes
    asked: str  # "all twice", "all once", "one"
    text: str = ""  # what was said before
    status: int = 200


FAULTS = {
    "a wrong key": Fault("#status=401", "MODEL_AUTH_FAILED", "all once", status=502),
    "an unknown model": Fault("#status=404", "MODEL_NOT_FOUND", "all once", status=502),
    "a limit": Fault("#status=429", "MODEL_RATE_LIMITED", "all twice", status=429),
    "a limit for a bearable time": Fault(
        "#status=429 #retry_after=0.2", "MODEL_RATE_LIMITED", "all twice", status=429
    ),
    "a limit for long": Fault("#status=429 #retry_after=7", "MODEL_RATE_LIMITED", "all once", status=429),
    "an error inside": Fault("#status=500", "MODEL_UNAVAILABLE", "all twice", status=503),
    "overload": Fault("#status=503", "MODEL_UNAVAILABLE", "all twice", status=503),
    "a stall before the first word": Fault("#stall=0", "MODEL_TIMEOUT", "all twice", status=504),
    "a stall in the middle": Fault("#chunks=6 #stall=3", "MODEL_TIMEOUT", "one", "word1 word2 word3"),
    "a cut before the first word": Fault("#cut=0", "MODEL_BAD_REPLY", "all twice", status=502),
    "a cut in the middle": Fault("#chunks=6 #cut=3", "MODEL_BAD_REPLY", "one", "word1 word2 word3"),
    "a malformed chunk": Fault("#chunks=6 #malformed=1", "MODEL_BAD_REPLY", "all twice", status=502),
    "an error frame in the middle": Fault("#chunks=6 #error_after=3", "", "one", "word1 word2 word3"),
    "the content filter": Fault("#filter", "CONTENT_FILTERED", "one", status=502),
    "an empty answer": Fault("#empty", "MODEL_NO_ANSWER", "all twice", status=502),
    "thoughts alone": Fault("#reasoning=3 #empty", "MODEL_NO_ANSWER", "one", status=502),
    "a thought without end": Fault('#text="<think>Well, let me see"', "MODEL_NO_ANSWER", "one", status=502),
    "a limit before the first word": Fault("#empty #finish=length", "MODEL_NO_ANSWER", "one", status=502),
    "an endless answer": Fault("#endless #rate=50", "TURN_TIMED_OUT", "one", "word1 "),
}


async def run_turn(client: ChatClient, provider: str, text: str) -> tuple[int, Any, list[Any]]:
    """A turn at a provider of choice: its HTTP status, its record when it is over, and its frames in dialect `chat`."""
    session = await client.new_session(llm_provider=provider)
    path = f"/api/v1/chat/sessions/{session}/turns"
    async with client.open("POST", path, json={"content": text}) as stream:
        await stream.response.read()
        turn = await client.until_ended(stream.turn_id, seconds=20)
    async with client.follow(turn["id"], dialect="chat") as replay:
        frames = [frame.payload for frame in await replay.read()]
    return stream.status, turn, frames


def said(frames: list[Any]) -> str:
    return "".join(each["payload"]["text"] for each in frames if each["type"] == "chat_chunk")


def endings(frames: list[Any]) -> int:
    return sum(each["type"] == "chat_error" or each["payload"].get("done", False) for each in frames)


def expected_attempts(provider: str, asked: str) -> list[str]:
    order = [provider, *(name for name in PROVIDERS if name != provider)]
    return {
        "all twice": [each for name in order for each in (name, name)],
        "all once": order,
        "one": [provider],
    }[asked]


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_that_stays_ends_the_turn_once(client: ChatClient, name: str) -> None:
    fault = FAULTS[name]
    turns = await asyncio.gather(*(run_turn(client, each, fault.directives) for each in PROVIDERS))
    for provider, (status, turn, frames) in zip(PROVIDERS, turns, strict=True):
        assert status == fault.status
        assert turn["status"] == "failed"
        assert fault.code in ("", turn["error"]["code"])
        assert endings(frames) == 1
        assert said(frames).startswith(fault.text) if "endless" in name else said(frames) == fault.text
        attempts = [each["provider"] for each in turn["attempts"]]
        assert attempts == expected_attempts(provider, fault.asked)
        last = turn["attempts"][-1]["outcome"]
        assert last == turn["error"]["code"]


async def test_a_prompt_cannot_have_a_service_left_alone(stack: Stack) -> None:
    """What a caller can bring about by words alone: neither it nor anybody else must be refused for it."""
    host = stack.add_host(
        three_services(
            stack.model_url, CHAT_PROVIDERS="AZURE", CHAT_BREAKER_FAILURES="1", CHAT_RETRY_ATTEMPTS="3"
        )
    )
    async with connected(host.wait_ready()) as client:
        for text in ("#empty", "#stall=0", "#malformed=1", "#cut=0", "#status=400", "#status=422", "#filter"):
            await run_turn(client, "AZURE", text)
            health = (await client.call("GET", "/api/v1/chat/health")).body
            assert health["dependencies"]["models"]["AZURE"]["breaker"] == "closed", text
        status, _, frames = await run_turn(client, "AZURE", "#chunks=6")
        assert (status, said(frames)) == (200, WORDS)
    host.stop()


async def test_an_answer_that_was_cut_says_so(client: ChatClient) -> None:
    for finish in ("length", "content_filter"):
        _, turn, frames = await run_turn(client, "LOCAL", f"#chunks=6 #finish={finish}")
        answer = (await client.messages(turn["session_id"]))[-1]
        assert (turn["status"], said(frames), answer["status"]) == ("finished", WORDS, "complete")
        assert answer["metadata"] == {"finish_reason": finish}


async def test_a_name_of_any_length_ends_its_turn_as_usual(client: ChatClient) -> None:
    _, turn, frames = await run_turn(client, "LOCAL", f"#chunks=6 #model={'m' * 40_000}")
    assert (turn["status"], said(frames)) == ("finished", WORDS)
    answer = (await client.messages(turn["session_id"]))[-1]
    assert answer["llm_model"] == "m" * 128


UNWRITABLE = [r'{"a":"\ud800"}', '{"a":99999999999999999999}', '{"a":' + "[" * 600 + "]" * 600 + "}"]


@pytest.mark.parametrize("arguments", UNWRITABLE, ids=["surrogate", "number", "depth"])
async def test_arguments_that_cannot_be_written_again_tear_no_stream(
    client: ChatClient, arguments: str
) -> None:
    session = await client.new_session(llm_provider="LOCAL")
    path = f"/api/v1/chat/sessions/{session}/turns"
    async with client.open("POST", path, json={"content": f"#tool=nope{arguments}"}) as stream:
        *frames, done = await stream.read()
        turn = await client.until_ended(stream.turn_id, seconds=20)
    assert (turn["status"], done.data) == ("finished", "[DONE]")
    types = [frame.payload["type"] for frame in frames]
    assert types[:2] == ["tool.call", "tool.output"] and types[-1] == "text.delta"
    async with client.follow(turn["id"], dialect="delta") as replay:
        assert [frame.data for frame in await replay.read()] == [frame.data for frame in (*frames, done)]


PASSING = ["#status=429 #retry_after=0.1", "#status=500", "#status=503", "#stall=0", "#cut=0", "#malformed=1"]


@pytest.mark.parametrize("fault", PASSING)
async def test_a_fault_that_passes_is_not_seen(client: ChatClient, fault: str) -> None:
    texts = {each: f"#chunks=6 {fault} #times=1 asked of {each}" for each in PROVIDERS}
    turns = await asyncio.gather(*(run_turn(client, each, text) for each, text in texts.items()))
    for provider, (status, turn, frames) in zip(PROVIDERS, turns, strict=True):
        assert (status, turn["status"], said(frames), endings(frames)) == (200, "finished", WORDS, 1)
        assert [each["provider"] for each in turn["attempts"]] == [provider] * 2
        assert turn["attempts"][-1]["outcome"] == "stop"
        assert turn["usage"]["completion_tokens"] >= 6


async def test_a_service_that_is_not_there_is_stood_in_for_by_the_next(stack: Stack) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    host = stack.add_host(three_services(stack.model_url, LOCAL_AI_ENDPOINT=nowhere))
    async with connected(host.wait_ready()) as client:
        status, turn, frames = await run_turn(client, "LOCAL", "#chunks=6")
        assert (status, said(frames)) == (200, WORDS)
        outcomes = [(each["provider"], each["outcome"]) for each in turn["attempts"]]
        assert outcomes == [("LOCAL", "MODEL_UNAVAILABLE")] * 2 + [("AZURE", "stop")]
        answer = (await client.messages(turn["session_id"]))[-1]
        assert answer["llm_provider"] == "AZURE"
    host.stop()


async def test_a_dead_service_is_left_alone_and_comes_back(stack: Stack) -> None:
    host = stack.add_host(
        three_services(
            stack.model_url,
            CHAT_PROVIDERS="AZURE",
            CHAT_RETRY_ATTEMPTS="1",
            CHAT_BREAKER_FAILURES="3",
            CHAT_BREAKER_REST_S="1.5",
        )
    )
    async with (
        connected(host.wait_ready()) as client,
        connected(stack.model_url.partition("/openai")[0]) as model,
    ):

        async def asked() -> int:
            async with model.open("GET", "/_model/connections") as stream:
                return (await stream.response.json())["total"]

        async def state() -> tuple[str, str]:
            health = (await client.call("GET", "/api/v1/chat/health")).body
            return health["status"], health["dependencies"]["models"]["AZURE"]["breaker"]

        assert await state() == ("healthy", "closed")
        for _ in range(3):
            await run_turn(client, "AZURE", "#status=503")
        assert await state() == ("degraded", "open")
        before = await asked()
        status, turn, _ = await run_turn(client, "AZURE", "#chunks=6")
        assert (status, turn["error"]["code"], await asked() - before) == (503, "MODEL_UNAVAILABLE", 0)
        await eventually(lambda: _is(state, ("degraded", "half_open")), seconds=5, what="half-open breaker")
        status, _, frames = await run_turn(client, "AZURE", "#chunks=6")
        assert (status, said(frames), await asked() - before) == (200, WORDS, 1)
        assert await state() == ("healthy", "closed")
    host.stop()


async def _is(state: Any, wanted: tuple[str, str]) -> bool:
    return await state() == wanted


async def test_a_broken_answer_can_be_made_anew(client: ChatClient) -> None:
    _, turn, frames = await run_turn(client, "LOCAL", "#chunks=6 #cut=3 #times=1 once more")
    assert (turn["error"]["retryable"], said(frames)) == (True, "word1 word2 word3")
    assert turn["usage"]["estimated"]
    async with client.open("POST", f"/api/v1/chat/messages/{turn['id']}/regenerate") as stream:
        assert text_of(await stream.read()) == WORDS
