"""Talks to the model stand-in without any SDK: requests as bytes and frames as they came."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

KEY = {"api-key": "any key"}
AZURE = "/openai/v1/chat/completions"


def body(text: str, **more: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "stream": True, **more}


class ModelClient:
    """One session to one stand-in."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    def post(self, text: str, *, path: str = AZURE, **more: object) -> Any:
        return self.session.post(self.url + path, json=body(text, **more), headers=KEY)

    async def raw(self, text: str, *, path: str = AZURE, **more: object) -> bytes:
        """The whole body of a stream."""
        async with self.post(text, path=path, **more) as reply:
            return await reply.read()

    async def frames(self, text: str, *, path: str = AZURE, **more: object) -> list[Any]:
        """The JSON of every `data:` frame, the last being the string "[DONE]"."""
        return read_frames(await self.raw(text, path=path, **more))

    async def say(self, text: str, *, path: str = AZURE, **more: object) -> str:
        """The answer's text, from a stream."""
        return text_of(await self.frames(text, path=path, **more))

    async def get(self, path: str) -> Any:
        async with self.session.get(self.url + path, headers=KEY) as reply:
            return await reply.json()


def read_frames(raw: bytes) -> list[Any]:
    blocks = [block.removeprefix("data: ") for block in raw.decode().split("\n\n") if block]
    return [block if block == "[DONE]" else json.loads(block) for block in blocks]


def deltas_of(frames: Sequence[Any]) -> list[dict[str, Any]]:
    """Every delta, the role's and the empty last one too."""
    return [frame["choices"][0]["delta"] for frame in frames if frame != "[DONE]" and frame.get("choices")]


def texts_of(frames: Sequence[Any]) -> list[str]:
    return [delta["content"] for delta in deltas_of(frames) if delta.get("content")]


def text_of(frames: Sequence[Any]) -> str:
    return "".join(texts_of(frames))


def finish_of(frames: Sequence[Any]) -> str | None:
    reasons = [
        frame["choices"][0]["finish_reason"] for frame in frames if frame != "[DONE]" and frame.get("choices")
    ]
    return reasons[-1]


@asynccontextmanager
async def model_client(url: str) -> AsyncGenerator[ModelClient]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield ModelClient(session, url)


async def ask_half_open(url: str, request: bytes) -> bytes:
    """What comes back to a client that shuts its side down as soon as it has asked: both leave in one packet, however
    busy this machine is."""
    where = urlsplit(url)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        writer.write(request)
        writer.write_eof()
        reply = await reader.read()
        writer.close()
    return reply
