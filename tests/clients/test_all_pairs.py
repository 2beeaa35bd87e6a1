"""A turn that one protocol started is watched, resumed and stopped by each of the others, at another instance."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

USER = "pairs"
HEADERS = {"x-dev-user": USER}
SLOW = "#chunks=120 #rate=20 Say"  # six seconds, in which all others come
ENDLESS = "#chunks=900 #rate=20 Say"
TEXT = " ".join(f"word{number}" for number in range(1, 121))


@pytest.fixture(scope="module")
def pair() -> Generator[Stack]:
    with Stack.start(2, env=ONE_ATTEMPT) as running:
        yield running


@dataclass
class Side:
    """One instance, asked over plain HTTP."""

    http: aiohttp.ClientSession
    url: str

    async def call(self, method: str, path: str, **options: Any) -> Any:
        async with self.http.request(method, self.url + path, headers=HEADERS, **options) as reply:
            body = await reply.text()
            assert reply.status == 200, (path, reply.status, body)
            return json.loads(body)

    async def stream(self, method: str, path: str, **options: Any) -> AsyncGenerator[Any]:
        """The payloads of a stream of events, or of lines; its turn's id comes first."""
        async with self.http.request(method, self.url + path, headers=HEADERS, **options) as reply:
            assert reply.status == 200, (path, reply.status, await reply.text())
            yield reply.headers.get("x-turn-id", "")
            async for line in reply.content:
                text = line.decode().removeprefix("data:").strip()
                if text.startswith(("{", "[{")):
                    yield json.loads(text)

    async def watch(self, said: "Said", path: str) -> str:
        events = self.stream("GET", path)
        await anext(events)
        return "".join([piece async for each in events for piece in said(each)])


type Said = Callable[[Any], Iterable[str]]


def delta(frame: Any) -> Iterable[str]:
    return [frame["delta"]] if frame.get("type") == "text.delta" else []


def chat(frame: Any) -> Iterable[str]:
    return [frame["payload"]["text"]] if frame["type"] == "chat_chunk" else []


def completions(frame: Any) -> Iterable[str]:
    return [each["delta"].get("content") or "" for each in frame["choices"]]


def responses(frame: Any) -> Iterable[str]:
    return [frame["delta"]] if frame["type"] == "response.output_text.delta" else []


def ai_sdk(frame: Any) -> Iterable[str]:
    return [frame["delta"]] if frame["type"] == "text-delta" else []


def ag_ui(frame: Any) -> Iterable[str]:
    return [frame["delta"]] if frame["type"] == "TEXT_MESSAGE_CONTENT" else []


def ai_chat(frame: Any) -> Iterable[str]:
    return [frame.get("delta", {}).get("content") or ""]


def durable(frame: Any) -> Iterable[str]:
    return [piece for each in frame for piece in delta(each)] if isinstance(frame, list) else []


def question(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


STARTS: Mapping[str, tuple[str, Callable[[str], Any], Said]] = {
    "delta": ("/api/chat/stream", lambda text: {"messages": question(text)}, delta),
    "completions": (
        "/api/openai/v1/chat/completions",
        lambda text: {"model": "default", "messages": question(text), "stream": True},
        completions,
    ),
    "responses": (
        "/api/openai/v1/responses",
        lambda text: {"model": "default", "input": text, "stream": True},
        responses,
    ),
    "ai-sdk": (
        "/api/chat",
        lambda text: {
            "id": f"chat-{abs(hash(text))}",
            "trigger": "submit-message",
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}],
        },
        ai_sdk,
    ),
    "ag-ui": (
        "/api/ag-ui",
        lambda text: {
            "threadId": f"thread-{abs(hash(text))}",
            "runId": f"run-{abs(hash(text))}",
            "messages": [{"id": "m1", "role": "user", "content": text}],
        },
        ag_ui,
    ),
    "ai-chat": ("/api/ai-chat/stream", lambda text: {"messages": question(text)}, ai_chat),
}
"""Where a protocol starts a turn, with what, and what its frames say."""

PATHS: Mapping[str, tuple[str, Said]] = {
    "delta": ("/api/v1/chat/turns/{}/events", delta),
    "chat": ("/api/v1/chat/turns/{}/events?dialect=chat", chat),
    "completions": ("/api/v1/chat/turns/{}/events?dialect=completions", completions),
    "ai-chat": ("/api/v1/chat/turns/{}/events?dialect=ai-chat", ai_chat),
    "responses": ("/api/openai/v1/responses/resp_{}?stream=true", responses),
    "ai-sdk": ("/api/chat/{}/stream", ai_sdk),
    "ag-ui": ("/api/ag-ui?offset=-1&runId={}", ag_ui),
    "durable streams": ("/api/streams/turns/{}?dialect=delta&live=sse&offset=-1", durable),
}
"""By which a protocol watches a turn, from its beginning."""

STOPS: Mapping[str, str] = {
    "parley": "/api/v1/chat/turns/{}/cancel",
    "responses": "/api/openai/v1/responses/resp_{}/cancel",
    "ai-sdk": "/api/chat/{}/stop",
}


@asynccontextmanager
async def mcp_at(side: Side) -> AsyncGenerator[Client]:
    async with httpx2.AsyncClient(headers=HEADERS, timeout=30) as http:
        transport = streamable_http_client(f"{side.url}/api/mcp", http_client=http)
        async with Client(transport, mode="auto", cache=None) as client:
            yield client


async def asked_by_mcp(side: Side, turn_id: str) -> str:
    async with mcp_at(side) as client:
        answer = await client.call_tool("ask", {"turn_id": turn_id})
        assert answer.structured_content is not None
        return str(answer.structured_content["text"])


async def stopped_by_mcp(side: Side, turn_id: str) -> None:
    async with mcp_at(side) as client:
        await client.call_tool("stop", {"turn_id": turn_id})


@asynccontextmanager
async def sides(stack: Stack) -> AsyncGenerator[tuple[Side, Side]]:
    async with aiohttp.ClientSession() as http:
        yield Side(http, stack.urls[0]), Side(http, stack.urls[1])


async def start(here: Side, name: str, text: str) -> tuple[str, AsyncGenerator[Any]]:
    """The turn's id, and the rest of what its starter hears."""
    path, body, _ = STARTS[name]
    events = here.stream("POST", path, json=body(text))
    turn_id = await anext(events)
    assert turn_id
    return turn_id, events


@pytest.mark.parametrize("name", STARTS)
async def test_each_watches_what_the_other_started_and_hears_the_same(pair: Stack, name: str) -> None:
    async with sides(pair) as (here, there):
        turn_id, events = await start(here, name, f"{SLOW} {name}")
        watching: dict[str, Awaitable[str]] = {
            other: asyncio.create_task(there.watch(said, path.format(turn_id)))
            for other, (path, said) in PATHS.items()
        }
        watching["mcp"] = asyncio.create_task(asked_by_mcp(there, turn_id))
        said = STARTS[name][2]
        heard = {"starter": "".join([piece async for each in events for piece in said(each)])}
        heard |= {other: await task for other, task in watching.items()}
        assert heard == dict.fromkeys(heard, TEXT)


@pytest.mark.parametrize("name", STARTS)
async def test_each_stops_what_the_other_started(pair: Stack, name: str) -> None:
    async def stop(other: str) -> tuple[str, bool]:
        turn_id, events = await start(here, name, f"{ENDLESS} {name} {other}")
        if other == "mcp":
            await stopped_by_mcp(there, turn_id)
        else:
            body = {} if other == "ai-sdk" else None
            await there.call("POST", STOPS[other].format(turn_id), json=body)
        async with asyncio.timeout(10):
            ended = [each async for each in events]
        turn = await here.call("GET", f"/api/v1/chat/turns/{turn_id}")
        return turn["status"], len(ended) < 900

    async with sides(pair) as (here, there):
        others = (*STOPS, "mcp")
        stopped = await asyncio.gather(*map(stop, others))
        assert dict(zip(others, stopped, strict=True)) == dict.fromkeys(others, ("cancelled", True))
