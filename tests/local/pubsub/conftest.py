"""The stand-in in this process, with an event handler that does what a test says."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

from local.pubsub_service.options import Handler, Options
from local.pubsub_service.server import serve

KEY = "0123456789abcdef0123456789abcdef"
JOIN, SEND = "webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"

type Answer = Callable[["Upstream", "Event"], Awaitable[web.Response]]


@dataclass(frozen=True)
class Event:
    """An event as a handler got it."""

    name: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def signed(self) -> bool:
        expected = hmac.digest(KEY.encode(), self.headers["ce-connectionid"].encode(), hashlib.sha256).hex()
        return self.headers["ce-signature"] == f"sha256={expected}"


@dataclass
class Upstream:
    """An event handler: a real server. `answers` are by event name; any other event is answered with 204."""

    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    consents: bool = True
    asked: int = 0  # how often the service asked for consent
    events: list[Event] = field(default_factory=list[Event])
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            self.asked += 1
            allowed = {"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]}
            return web.Response(headers=allowed if self.consents else {})
        headers = {name.lower(): value for name, value in request.headers.items()}
        event = Event(headers["ce-eventname"], headers, await request.read())
        self.events.append(event)
        answer = self.answers.get(event.name)
        return await answer(self, event) if answer else web.Response(status=204)

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    async def wait_for(self, name: str, count: int = 1) -> list[Event]:
        async with asyncio.timeout(10):
            while len(self.of(name)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return self.of(name)


@dataclass
class Service:
    """The running stand-in."""

    url: str
    options: Options
    upstream: Upstream
    sdk: WebPubSubServiceClient
    http: aiohttp.ClientSession

    async def client_url(
        self,
        user: str = "ann",
        *,
        roles: Sequence[str] = (JOIN, SEND),
        groups: Sequence[str] = (),
        **more: Any,
    ) -> str:
        """As Microsoft's SDK makes it."""
        token: Any = await self.sdk.get_client_access_token(
            user_id=user, roles=list(roles), groups=list(groups), **more
        )
        return token["url"]

    async def connections(self) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.url}/_pubsub/connections") as reply:
            return await reply.json()

    async def do(self, path: str, body: Any = None) -> None:
        async with self.http.post(f"{self.url}/_pubsub/{path}", data=orjson.dumps(body)) as reply:
            assert reply.status < 300, await reply.text()

    async def drop(self, connection_id: str) -> None:
        """Cut a client off, as a network does."""
        await self.do(f"connections/{connection_id}/drop")

    async def until(self, alive: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Its connections, once they are as they should be."""
        async with asyncio.timeout(10):
            while not alive(found := await self.connections()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def running_service(**options: Any) -> AsyncGenerator[Service]:
    upstream = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", upstream.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events/{{event}}"
    given = Options(
        **{"key": KEY, "handlers": {"chat": [Handler(upstream.url)]}, "retry_pauses": (0.05,)} | options
    )
    try:
        async with serve(given) as url, aiohttp.ClientSession() as http:
            string = given.connection_string(url)
            async with WebPubSubServiceClient.from_connection_string(string, "chat") as sdk:
                yield Service(url, given, upstream, sdk, http)
    finally:
        await runner.cleanup()


@pytest.fixture
async def service() -> AsyncGenerator[Service]:
    async with running_service() as running:
        yield running
