"""A model service on a free port that does what a test tells it to: HTTP as it is, sockets that really break."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HOLD = object()
"""In a script: say nothing more, and keep the connection."""
CUT = object()
"""In a script: break the connection, without the chunk that ends a body."""

type Line = bytes | float | object


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str  # with its query
    headers: Mapping[str, str]
    body: dict[str, Any]
    client: object  # the address and port it came from: the same port, the same connection


@dataclass
class ModelService:
    """Plays `script` to every request: bytes are sent, numbers are seconds to wait."""

    url: str = ""
    script: Iterable[Line] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})
    asked: list[Asked] = field(default_factory=list[Asked])
    began: asyncio.Event = field(default_factory=asyncio.Event)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        client = request.transport.get_extra_info("peername")
        self.asked.append(Asked(request.path_qs, request.headers, await request.json(), client))
        self.began.set()
        reply = web.StreamResponse(status=self.status, headers=self.headers)
        try:
            await self._play(request, reply)
        except (asyncio.CancelledError, ConnectionResetError):
            self.disconnected.set()
            raise
        return reply

    async def _play(self, request: web.Request, reply: web.StreamResponse) -> None:
        assert request.transport is not None
        for line in self.script:
            if line is HOLD:
                await asyncio.Event().wait()
            if line is CUT:
                request.transport.close()
                return
            if not reply.prepared:
                await reply.prepare(request)
            if isinstance(line, bytes):
                await reply.write(line)
            elif isinstance(line, float):
                await asyncio.sleep(line)
        if not reply.prepared:
            await reply.prepare(request)
        await reply.write_eof()


@asynccontextmanager
async def running_model_service() -> AsyncGenerator[ModelService]:
    service = ModelService()
    app = web.Application()
    app.router.add_post("/{path:.*}", service.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


def frame(value: object) -> bytes:
    """One event with this JSON."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(
    delta: object = None, *, reason: str | None = None, model: str = "gpt-9", **more: object
) -> dict[str, Any]:
    """A chunk of a reply, as the service of Azure writes them."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": reason, "logprobs": None}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": model,
        "choices": [choice],
        "usage": None,
    } | more


def text(content: str) -> bytes:
    return frame(chunk({"content": content}))


STOP = frame(chunk(reason="stop"))
DONE = b"data: [DONE]\n\n"
