"""The ways by which a turn is started, watched and stopped over plain HTTP, for `test_all_pairs.py`."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.clients import ChatClient

USER = "pairs"
HEADERS = {"x-dev-user": USER}


@dataclass
class Started:
    """A turn, and what whoever started it hears of its answer until it ends."""

    turn_id: str
    heard: Awaitable[str]


type Start = Callable[["Side", list[str]], Awaitable[list[Started]]]
"""Of a turn for each question, side by side."""
type Watch = Callable[["Side", str], Awaitable[str]]
"""What a turn says, from its beginning."""
type Stop = Callable[["Side", str], Awaitable[object]]
type Said = Callable[[Any], Iterable[str]]
"""What a frame says of the answer's text."""


@dataclass
class Side:
    """One instance."""

    http: aiohttp.ClientSession
    url: str

    @property
    def client(self) -> ChatClient:
        return ChatClient(self.http, self.url, USER)

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


async def joined(events: AsyncGenerator[Any], said: Said) -> str:
    return "".join([piece async for each in events for piece in said(each)])


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


def starts(path: str, body: Callable[[str], Any], said: Said) -> Start:
    async def start(side: Side, text: str) -> Started:
        events = side.stream("POST", path, json=body(text))
        turn_id = await anext(events)
        assert turn_id
        return Started(turn_id, asyncio.create_task(joined(events, said)))

    return each_alone(start)


def each_alone(start: Callable[[Side, str], Awaitable[Started]]) -> Start:
    """Begins one, however many others there are."""
    return lambda side, texts: asyncio.gather(*(start(side, text) for text in texts))


def watches(path: str, said: Said) -> Watch:
    async def watch(side: Side, turn_id: str) -> str:
        events = side.stream("GET", path.format(turn_id))
        await anext(events)
        return await joined(events, said)

    return watch


def stops(path: str, body: Any = None) -> Stop:
    return lambda side, turn_id: side.call("POST", path.format(turn_id), json=body)


STARTS: Mapping[str, Start] = {
    "delta": starts("/api/chat/stream", lambda text: {"messages": question(text)}, delta),
    "completions": starts(
        "/api/openai/v1/chat/completions",
        lambda text: {"model": "default", "messages": question(text), "stream": True},
        completions,
    ),
    "responses": starts(
        "/api/openai/v1/responses",
        lambda text: {"model": "default", "input": text, "stream": True},
        responses,
    ),
    "ai-sdk": starts(
        "/api/chat",
        lambda text: {
            "id": f"chat-{abs(hash(text))}",
            "trigger": "submit-message",
            "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}],
        },
        ai_sdk,
    ),
    "ag-ui": starts(
        "/api/ag-ui",
        lambda text: {
            "threadId": f"thread-{abs(hash(text))}",
            "runId": f"run-{abs(hash(text))}",
            "messages": [{"id": "m1", "role": "user", "content": text}],
        },
        ag_ui,
    ),
    "ai-chat": starts("/api/ai-chat/stream", lambda text: {"messages": question(text)}, ai_chat),
}

WATCHES: Mapping[str, Watch] = {
    "delta": watches("/api/v1/chat/turns/{}/events", delta),
    "chat": watches("/api/v1/chat/turns/{}/events?dialect=chat", chat),
    "completions": watches("/api/v1/chat/turns/{}/events?dialect=completions", completions),
    "ai-chat": watches("/api/v1/chat/turns/{}/events?dialect=ai-chat", ai_chat),
    "responses": watches("/api/openai/v1/responses/resp_{}?stream=true", responses),
    "ai-sdk": watches("/api/chat/{}/stream?startIndex=0", ai_sdk),
    "ag-ui": watches("/api/ag-ui?offset=-1&runId={}", ag_ui),
    "durable streams": watches("/api/streams/turns/{}?dialect=delta&live=sse&offset=-1", durable),
}

STOPS: Mapping[str, Stop] = {
    "parley": stops("/api/v1/chat/turns/{}/cancel"),
    "responses": stops("/api/openai/v1/responses/resp_{}/cancel"),
    "ai-sdk": stops("/api/chat/{}/stop", {}),
}
