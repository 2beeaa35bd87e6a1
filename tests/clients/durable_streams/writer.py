"""A writer for the conformance tests of Durable Streams, which make the streams that they read: behind the same URL as
the production route, it makes turns whose events are what is appended.

It takes what those tests need for reading: PUT, POST and DELETE of JSON, and of text as a JSON text.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from fastapi import Request, Response
from starlette.applications import Starlette
from starlette.routing import Route as StarletteRoute

from chat.app import ChatApp
from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.dialects.framing import sse
from chat.events import JSONObject, NumberedEvent, StageFinished, StageItem, StageStarted, TurnEvent
from chat.requests import TurnRequest
from chat.routes.fallback import answer_rest
from chat.routes.functions import functions
from chat.routes.protocols.durable_streams import ROUTES
from chat.turns.base import TurnContext
from chat.turns.feed import LiveTurn

PATH = "/api/streams/turns/{turn_id}"
CLOSED = {"stream-closed": "true"}


class Messages:
    """Shows the items of stages as they are, be they objects or not."""

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        if isinstance(numbered.event, StageItem):
            yield numbered.event.item  # type: ignore[misc]


def _encoder(_turn: Turn) -> Messages:
    return Messages()


MESSAGES = Dialect("messages", _encoder, framing=sse())


@dataclass
class Written:
    """A turn that is made of what is appended."""

    items: asyncio.Queue[list[Any] | None] = field(default_factory=asyncio.Queue[list[Any] | None])
    content_type: str = "application/json"
    live: LiveTurn | None = None
    closed: bool = False

    @property
    def turn(self) -> LiveTurn:
        assert self.live is not None
        return self.live


class Source:
    """Makes the turns."""

    def __init__(self) -> None:
        self.waiting: list[Written] = []

    async def events(self, _context: TurnContext) -> AsyncGenerator[TurnEvent]:
        written = self.waiting.pop()
        yield StageStarted("written")
        while (items := await written.items.get()) is not None:
            for each in items:
                yield StageItem("written", each)
            written.items.task_done()
        yield StageFinished("written")


class Writer:
    """The server."""

    def __init__(self, app: ChatApp, source: Source) -> None:
        self._app, self._source = app, source
        self._written: dict[str, Written] = {}
        self._read = next(function for path, _, function in functions(ROUTES) if "/" + path == PATH)

    def server(self) -> uvicorn.Server:
        methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"]
        app = Starlette(routes=[StarletteRoute("/{name:path}", self._answer, methods=methods)])
        return uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            request.scope["raw_path"] = PATH.encode()
            return await answer_rest(request, ROUTES)
        if request.method in ("GET", "HEAD"):
            return await self._reading(request)
        name, body = request.path_params["name"], await request.body()
        if request.method == "DELETE":
            return await self._delete(name)
        if request.method == "PUT":
            return await self._create(name, request, body)
        return await self._append(name, request, body)

    async def _reading(self, request: Request) -> Response:
        """By the production route."""
        written = self._written.get(request.path_params["name"])
        turn_id = written.turn.turn.id if written else "0" * 26 + "-00000002"
        query = b"dialect=messages&" + request.scope["query_string"]
        scope = {**request.scope, "path_params": {"turn_id": turn_id}, "query_string": query}
        return await self._read(Request(scope, request.receive))

    async def _create(self, name: str, request: Request, body: bytes) -> Response:
        kind = request.headers.get("content-type", "application/octet-stream").lower()
        if name in self._written:
            known = self._written[name]
            return self._told(known, 200 if known.content_type == kind else 409)
        written = self._written[name] = Written(content_type=kind)
        self._source.waiting.append(written)
        asked = await self._app.ask(TurnRequest("dev", content="x", dialect="messages"), usual="reject")
        assert isinstance(asked, LiveTurn)
        written.live = asked
        await self._write(written, request, body)
        return self._told(written, 201)

    async def _append(self, name: str, request: Request, body: bytes) -> Response:
        if name not in self._written:
            return Response(status_code=404)
        written, closes = self._written[name], request.headers.get("stream-closed") == "true"
        if written.closed:
            return self._told(written, 204 if closes and not body else 409)
        if not body and not closes:
            return Response(status_code=400)
        if body and request.headers.get("content-type", "").lower() != written.content_type:
            return self._told(written, 409)
        try:
            await self._write(written, request, body)
        except ValueError:
            return Response(status_code=400)
        return self._told(written, 204)

    async def _write(self, written: Written, request: Request, body: bytes) -> None:
        """ValueError."""
        value = orjson.loads(body) if body and "json" in written.content_type else body.decode()
        if value == [] and request.method == "POST":
            raise ValueError
        items = value if isinstance(value, list) else [value]
        if body and items:
            written.items.put_nowait(items)
            await written.items.join()
        if request.headers.get("stream-closed") == "true":
            written.closed = True
            written.items.put_nowait(None)
            async for _ in written.turn.feed.follow():
                pass

    async def _delete(self, name: str) -> Response:
        written = self._written.pop(name, None)
        if written is None:
            return Response(status_code=404)
        await self._app.runner.delete_session("dev", written.turn.turn.session_id)
        return Response(status_code=204)

    def _told(self, written: Written, status: int) -> Response:
        log = self._app.logs.of(written.turn, MESSAGES)
        number, count = divmod(log.tail, 10_000)
        headers = {"stream-next-offset": f"{number:08d}.{count:04d}", "content-type": written.content_type}
        return Response(status_code=status, headers=headers | (CLOSED if written.closed else {}))
