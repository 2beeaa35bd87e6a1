"""Clients without a subprotocol, and those that do not keep to the rules: a bare WebSocket library."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.local.pubsub.conftest import SEND, Event, Service, Upstream, running_service

JSON = [Subprotocol("json.webpubsub.azure.v1")]


async def closed_with(socket: ClientConnection) -> int:
    """The code with which the service closes it."""
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await socket.recv()
    return socket.close_code or 0


async def test_every_frame_of_a_simple_client_is_an_event(service: Service) -> None:
    async def echo(_upstream: Upstream, event: Event) -> web.Response:
        return web.Response(body=event.body, content_type=event.headers["content-type"])

    service.upstream.answers["message"] = echo
    async with connect(await service.client_url()) as socket:
        await socket.send("text")
        assert await socket.recv() == "text"
        await socket.send(b"\x01")
        assert await socket.recv() == b"\x01"
    assert [event.headers["content-type"] for event in service.upstream.of("message")] == [
        "text/plain",
        "application/octet-stream",
    ]


async def test_a_simple_client_gets_payloads_and_nothing_else(service: Service) -> None:
    async with connect(await service.client_url(groups=["g"])) as socket:
        await service.sdk.send_to_group("g", {"a": 1})
        await service.sdk.send_to_user("ann", "plain", content_type="text/plain")
        assert [orjson.loads(await socket.recv()), await socket.recv()] == [{"a": 1}, "plain"]


@pytest.mark.parametrize("roles", [[SEND], [f"{SEND}.g"]])
async def test_a_simple_client_may_speak_to_a_group(service: Service, roles: list[str]) -> None:
    url = await service.client_url(roles=roles, groups=["g"])
    async with connect(f"{url}&webpubsub_mode=sendToGroup&group=g") as socket:
        await socket.send("to all")
        assert await socket.recv() == "to all"
    assert not service.upstream.of("message")


async def test_a_simple_client_that_may_not_speak_to_a_group_is_not_heard(service: Service) -> None:
    url = await service.client_url(roles=[f"{SEND}.other"], groups=["g"])
    async with connect(f"{url}&webpubsub_mode=sendToGroup&group=g") as socket:
        await socket.send("unheard")
        assert await (await socket.ping()) >= 0  # the service is past the frame
        await service.sdk.send_to_group("g", "heard", content_type="text/plain")
        assert await socket.recv() == "heard"


async def test_a_failed_event_closes_a_simple_client(service: Service) -> None:
    async def fail(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=400)

    service.upstream.answers["message"] = fail
    async with connect(await service.client_url()) as socket:
        await socket.send("x")
        assert await closed_with(socket) == 1011


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("no json", 1007),
        ("[]", 1007),
        ('{"type":"unheard"}', 1007),
        ('{"type":"joinGroup","group":"g","ackId":-1}', 1007),
        ('{"type":"sequenceAck","sequenceId":1}', 1007),
        (b"bytes", 1003),
    ],
)
async def test_a_broken_frame_closes_the_client_that_sent_it(
    service: Service, frame: str | bytes, code: int
) -> None:
    url = await service.client_url()
    async with connect(url, subprotocols=JSON) as socket, connect(url, subprotocols=JSON) as other:
        await socket.send(frame)
        assert await closed_with(socket) == code
        await other.recv()
        await other.send('{"type":"ping"}')
        assert orjson.loads(await other.recv()) == {"type": "pong"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": "joinGroup", "group": ""}, "BadRequest"),
        ({"type": "joinGroup", "group": "x" * 1025}, "BadRequest"),
        ({"type": "sendToGroup", "group": "g", "dataType": "text", "data": 1}, "BadRequest"),
        ({"type": "sendToGroup", "group": "g", "dataType": "binary", "data": "%"}, "BadRequest"),
        ({"type": "sendToGroup", "group": "g"}, "BadRequest"),
        ({"type": "event", "event": "1bad", "data": 1}, "BadRequest"),
        ({"type": "sendToGroup", "group": "g", "data": 1, "metadata": {"a": "ü"}}, "BadRequest"),
    ],
)
async def test_a_wrong_request_is_refused_by_its_ack(
    service: Service, fields: dict[str, Any], error: str
) -> None:
    async with connect(await service.client_url(), subprotocols=JSON) as socket:
        await socket.recv()
        await socket.send(orjson.dumps(fields | {"ackId": 1}).decode())
        ack = orjson.loads(await socket.recv())
        assert (ack["success"], ack["error"]["name"], bool(ack["error"]["message"])) == (False, error, True)


async def test_metadata_travels_with_a_message_and_with_an_event(service: Service) -> None:
    async with connect(await service.client_url(groups=["g"]), subprotocols=JSON) as socket:
        await socket.recv()
        sent = {"type": "sendToGroup", "group": "g", "data": 1, "metadata": {"trace": "t1"}}
        await socket.send(orjson.dumps(sent).decode())
        assert orjson.loads(await socket.recv())["metadata"] == {"trace": "t1"}
        await socket.send('{"type":"event","event":"e","metadata":{"trace":"t2"},"ackId":1}')
        await socket.recv()
    [event] = service.upstream.of("e")
    assert event.headers["x-webpubsub-metadata-trace"] == "t2"
    assert event.body == b""


async def test_a_frame_that_is_too_large_closes_only_its_sender(service: Service) -> None:
    url = await service.client_url()
    async with connect(url) as big, connect(url) as other:
        await big.send("x" * (1024 * 1024 + 1))
        assert await closed_with(big) == 1009
        await other.send("fine")
        await service.upstream.wait_for("message")


async def test_a_flood_of_events_closes_only_its_sender(service: Service) -> None:
    release = asyncio.Event()

    async def wait(_upstream: Upstream, event: Event) -> web.Response:
        if event.headers["ce-userid"] == "ann":
            await release.wait()
        return web.Response(status=204)

    service.upstream.answers["message"] = wait
    async with connect(await service.client_url("ann")) as flooder:
        async with connect(await service.client_url("bob")) as other:
            for _ in range(1100):
                await flooder.send("x")
            assert await closed_with(flooder) == 1008
            await other.send("fine")
            async with asyncio.timeout(5):
                while "bob" not in _senders(service):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        release.set()


def _senders(service: Service) -> set[str]:
    return {each.headers["ce-userid"] for each in service.upstream.of("message")}


async def test_a_client_that_never_reads_is_left(service: Service) -> None:
    async with running_service(max_queued=5) as small:
        # Compressed, hundreds of such messages would fit into the socket's buffers.
        url = await small.client_url(groups=["g"])
        socket = await connect(url, max_queue=1, compression=None)
        try:
            async with asyncio.timeout(20):
                while await small.connections():
                    await small.sdk.send_to_group("g", "x" * 500_000)
        finally:
            socket.transport.abort()


async def test_a_service_that_stops_closes_its_clients() -> None:
    async with running_service() as service:
        socket = await connect(await service.client_url())
    assert await closed_with(socket) == 1000
