"""The gateway before the functions host: which handshakes it takes, and that it carries a socket as it is."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from local.gateway import Gateway, hub_url, rewritten
from tests.local.pubsub.conftest import Event, Service, Upstream, running_service

RELIABLE = "json.reliable.webpubsub.azure.v1"
WAIT = 10.0  # seconds
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("/ws", "dialect=chat"),
        ("/ws/", "dialect=chat"),
        ("/ws?session_id=s", "session_id=s&dialect=chat"),
        ("/ws?dialect=plan", "dialect=plan&dialect=chat"),  # the first one counts
        ("/ws/chat?user_id=Zo%C3%AB", "user_id=Zo%C3%AB&dialect=plan"),
        ("/WS", "dialect=chat"),  # the functions host matches routes without case, too
        ("/Ws/Chat", "dialect=plan"),
        ("/API/v1/Chat/sessions/aB/WebSocket", "session_id=aB&&dialect=session"),
        ("/api/v1/chat/sessions/s-1/websocket", "session_id=s-1&&dialect=session"),
        (
            "/api/v1/chat/sessions/s%2F1/websocket/?session_id=t",
            "session_id=s%2F1&session_id=t&dialect=session",
        ),
        ("/ws/other", None),
        ("/wss", None),
        ("/api/v1/chat/sessions/a/b/websocket", None),
        ("/api/v1/chat/sessions", None),
        ("/", None),
    ],
)
def test_three_paths_are_rewritten(address: str, query: str | None) -> None:
    assert rewritten(address) == query


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, ""),
        ({"WebPubSubConnectionString": "Endpoint=http://x:80;AccessKey=a;"}, "http://x:80/client/hubs/chat"),
        (
            {"WebPubSubConnectionString": "AccessKey=a;endpoint=https://x/", "WebPubSubHub": "h"},
            "https://x/client/hubs/h",
        ),
        ({"WebPubSubConnectionString__serviceUri": "https://x"}, "https://x/client/hubs/chat"),
    ],
)
def test_the_hub_is_that_of_the_settings(environment: dict[str, str], url: str) -> None:
    assert hub_url(environment) == url


@dataclass
class Scene:
    """The service, and a gateway before something that can take no upgrade."""

    service: Service
    url: str

    async def connected(self) -> dict[str, Any]:
        async with asyncio.timeout(WAIT):
            [event] = await self.service.upstream.wait_for("connect")
        return event.json

    def open(self, path: str = "/ws", **options: Any) -> Any:
        return self.service.http.ws_connect(self.url + path, **options)

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """The status and the body of a request that is like a handshake, but for these headers; "" leaves one out."""
        given = HANDSHAKE | headers
        kept = {name: value for name, value in given.items() if value}
        async with self.service.http.request(method, self.url + path, headers=kept) as reply:
            return reply.status, await reply.text()


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    async with (
        running_service(anonymous=["chat"]) as service,
        Gateway(f"{service.url}/client/hubs/chat") as gateway,
    ):

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return await gateway.pass_on(request) if gateway.takes(request) else web.Response(text="function")

        runner = web.ServerRunner(web.Server(answer, handler_cancellation=True))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Scene(service, f"http://127.0.0.1:{runner.addresses[0][1]}")
        await runner.cleanup()


async def test_a_handshake_comes_to_the_hub_with_what_its_path_says(scene: Scene) -> None:
    headers = {"Authorization": "Bearer x", "Origin": "https://page.example", "x-own": "1"}
    async with scene.open("/api/v1/chat/sessions/s1/websocket?user_id=ann", headers=headers) as socket:
        event = await scene.connected()
        assert event["query"] == {"session_id": ["s1"], "user_id": ["ann"], "dialect": ["session"]}
        seen = {name.lower(): values for name, values in event["headers"].items()}
        assert (seen["x-chat-authorization"], seen["origin"], seen["x-own"]) == (
            ["Bearer x"],
            ["https://page.example"],
            ["1"],
        )
        assert seen["host"] == [scene.service.url.removeprefix("http://")]
        assert socket.protocol is None


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/ws", {"Upgrade": "h2c"}), ("/ws/other", {}), ("/", {})],
)
async def test_what_is_no_handshake_for_it_is_for_the_functions(
    scene: Scene, path: str, headers: dict[str, str]
) -> None:
    assert await scene.ask(path, **headers) == (200, "function")
    async with scene.service.http.get(f"{scene.url}/ws") as reply:
        assert await reply.text() == "function"
    assert scene.service.upstream.events == []


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS"])
async def test_another_method_than_get_is_for_the_functions(scene: Scene, method: str) -> None:
    assert await scene.ask("/ws", method) == (200, "" if method == "HEAD" else "function")
    assert scene.service.upstream.events == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-WebSocket-Key", ""),
        ("Sec-WebSocket-Key", "short"),
        ("Sec-WebSocket-Key", "c2hvcnQ="),
        ("Sec-WebSocket-Key", "Zo\u00eb"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", ""),
        ("Sec-WebSocket-Version", "12"),
        ("Connection", "close"),
        ("Connection", "keep-alive"),
    ],
)
async def test_a_handshake_that_is_none_is_told_why(scene: Scene, name: str, value: str) -> None:
    status, text = await scene.ask("/ws", **{name: value})
    assert (status, text.startswith(name)) == (400, True)
    assert scene.service.upstream.events == []


async def test_the_first_of_two_authorizations_counts_and_the_service_sees_none(scene: Scene) -> None:
    headers = [("Authorization", "Bearer x"), ("Authorization", "Bearer y")]
    async with scene.open(headers=headers):
        seen = {name.lower(): values for name, values in (await scene.connected())["headers"].items()}
    assert seen["x-chat-authorization"] == ["Bearer x"]


@pytest.mark.parametrize("status", [401, 404, 429])
async def test_a_refusal_is_passed_on_with_what_it_says(scene: Scene, status: int) -> None:
    async def refuse(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=status, text="You are not a member of this session.")

    scene.service.upstream.answers["connect"] = refuse
    assert await scene.ask("/ws") == (status, "You are not a member of this session.")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await scene.open()
    assert refused.value.status == status


async def test_a_service_that_is_away_is_a_bad_gateway(scene: Scene, unused_tcp_port: int) -> None:
    async with Gateway(f"http://127.0.0.1:{unused_tcp_port}/client/hubs/chat") as gateway:
        runner = web.ServerRunner(web.Server(gateway.pass_on))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await scene.service.http.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/ws")
        assert refused.value.status == 502
        await runner.cleanup()


async def test_frames_of_every_kind_go_both_ways(scene: Scene) -> None:
    async def echo(_upstream: Upstream, event: Event) -> web.Response:
        return web.Response(body=event.body, content_type=event.headers["content-type"].partition(";")[0])

    scene.service.upstream.answers["message"] = echo
    async with scene.open(autoping=False) as socket:
        long = "Zo\u00eb " * 50_000
        await socket.send_str(long)
        assert await socket.receive_str(timeout=WAIT) == long
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_bytes(timeout=WAIT) == b"\x00\xff"
        await socket.ping(b"p")
        pong = await socket.receive(timeout=WAIT)
        assert (pong.type, pong.data) == (WSMsgType.PONG, b"p")


async def test_the_subprotocol_is_the_one_that_the_service_chose(scene: Scene) -> None:
    async with scene.open(protocols=("custom", RELIABLE)) as socket:
        assert socket.protocol == RELIABLE
        assert (await socket.receive_json(timeout=WAIT))["event"] == "connected"


@pytest.mark.parametrize(("code", "reason"), [(1000, b""), (4001, b"enough")])
async def test_what_a_client_says_when_it_closes_comes_to_the_service(
    scene: Scene, code: int, reason: bytes
) -> None:
    async with scene.open() as socket:
        await socket.close(code=code, message=reason)
        assert socket.close_code == code
    [event] = await scene.service.upstream.wait_for("disconnected")
    assert event.json["reason"] == (reason.decode() or "The client closed the connection")
    assert await scene.service.connections() == []


async def test_what_the_service_says_when_it_closes_comes_to_the_client(scene: Scene) -> None:
    async with scene.open() as socket:
        [row] = await scene.service.connections()
        await scene.service.sdk.close_connection(row["connectionId"], reason="enough")
        closing = await socket.receive(timeout=WAIT)
        assert (closing.type, closing.data, closing.extra) == (WSMsgType.CLOSE, 1000, "enough")


async def test_a_client_that_is_lost_is_lost_for_the_service_and_may_come_back(scene: Scene) -> None:
    socket = await scene.open(protocols=(RELIABLE,))
    token = (await socket.receive_json(timeout=WAIT))["reconnectionToken"]
    socket.get_extra_info("socket").shutdown(2)
    [row] = await scene.service.until(lambda rows: not rows[0]["alive"])
    back = f"/ws?awps_connection_id={row['connectionId']}&awps_reconnection_token={token}"
    async with scene.open(back, protocols=(RELIABLE,)) as again:
        assert (await again.receive_json(timeout=WAIT))["connectionId"] == row["connectionId"]
    await socket.close()


async def test_a_service_that_is_lost_is_lost_for_the_client(scene: Scene) -> None:
    async with scene.open() as socket:
        [row] = await scene.service.connections()
        await scene.service.drop(row["connectionId"])
        message = await socket.receive(timeout=WAIT)
        assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        assert socket.close_code == 1006
