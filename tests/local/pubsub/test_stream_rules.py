"""The rules of streams frame by frame, and how readers see the ends of streams."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.local.pubsub.clients import CLIENTS, PLAIN, JsClient, connected, next_of
from tests.local.pubsub.conftest import SEND, Service

START = {"type": "sendToGroup", "group": "g", "stream": {"streamId": "s"}}


class Wire:
    """A JSON client that shows every frame."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def says(self, **frame: Any) -> None:
        await self.socket.send_json(frame)

    async def hears(self) -> dict[str, Any]:
        return await self.socket.receive_json(timeout=5)

    async def write(self, number: int, text: str) -> None:
        await self.says(type="streamData", streamId="s", streamSequenceId=number, dataType="text", data=text)


async def wire(service: Service, **more: Any) -> Wire:
    socket = await service.http.ws_connect(await service.client_url(**more), protocols=[PLAIN])
    opened = Wire(socket)
    assert (await opened.hears())["event"] == "connected"
    return opened


@pytest.fixture
async def writer(service: Service) -> AsyncGenerator[Wire]:
    opened = await wire(service, roles=[SEND])
    yield opened
    await opened.socket.close()


@pytest.fixture
async def reader(service: Service) -> AsyncGenerator[Wire]:
    opened = await wire(service, user="bob", groups=["g"])
    yield opened
    await opened.socket.close()


def ack(expected: int) -> Mapping[str, Any]:
    return {"type": "streamAck", "streamId": "s", "expectedSequenceId": expected}


async def test_every_piece_is_acknowledged_and_delivered_once(writer: Wire, reader: Wire) -> None:
    await writer.says(**START)
    assert await writer.hears() == ack(1)
    for number, text, expected in ((1, "one", 2), (1, "one again", 2), (2, "two", 3)):
        await writer.write(number, text)
        assert await writer.hears() == ack(expected)
    pieces = [await reader.hears() for _ in range(2)]
    assert [(piece["data"], piece["stream"]["streamSequenceId"]) for piece in pieces] == [
        ("one", 1),
        ("two", 2),
    ]
    assert pieces[0]["fromUserId"] == "ann"


async def test_a_piece_that_comes_too_early_is_refused(writer: Wire, reader: Wire) -> None:
    await writer.says(**START)
    await writer.hears()
    await writer.write(2, "too early")
    nack = await writer.hears()
    assert (nack["type"], nack["name"], nack["expectedSequenceId"]) == ("streamNack", "InvalidSequenceId", 1)
    await writer.write(1, "in time")
    assert await writer.hears() == ack(2)
    assert (await reader.hears())["data"] == "in time"


async def test_the_end_of_a_stream_has_data_and_the_next_number(writer: Wire, reader: Wire) -> None:
    """Without data the JavaScript client drops it, and Python's goes deaf."""
    await writer.says(**START)
    await writer.write(1, "one")
    await writer.says(type="streamEnd", streamId="s")
    assert [(await writer.hears())["type"] for _ in range(3)] == ["streamAck", "streamAck", "streamClosed"]
    await reader.hears()
    end = await reader.hears()
    assert (end["dataType"], end["data"]) == ("text", "")
    assert end["stream"] == {"streamId": "s", "streamSequenceId": 2, "endOfStream": True}


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ({"type": "streamData", "streamId": "none", "streamSequenceId": 1, "data": 1}, "StreamNotFound"),
        ({"type": "streamEnd", "streamId": "none"}, "StreamNotFound"),
        (START | {"group": " "}, "BadRequest"),
        (START | {"stream": {"streamId": "s", "idleTimeoutMs": "soon"}}, "BadRequest"),
        (START | {"stream": {"streamId": "s", "idleTimeoutMs": -1}}, "BadRequest"),
    ],
)
async def test_what_cannot_be_closes_the_stream_and_not_the_client(
    writer: Wire, frame: dict[str, Any], name: str
) -> None:
    await writer.says(**frame)
    closed = await writer.hears()
    assert (closed["type"], closed["error"]["name"]) == ("streamClosed", name)
    await writer.says(type="ping")
    assert await writer.hears() == {"type": "pong"}


@pytest.mark.parametrize(
    "piece",
    [
        {"streamSequenceId": "1", "dataType": "text", "data": "x"},
        {"streamSequenceId": 1, "dataType": "text", "data": 7},
        {"streamSequenceId": 1, "dataType": "binary", "data": "%"},
    ],
)
async def test_a_piece_that_cannot_be_read_ends_its_stream(
    writer: Wire, reader: Wire, piece: dict[str, Any]
) -> None:
    await writer.says(**START)
    await writer.hears()
    await writer.says(type="streamData", streamId="s", **piece)
    closed = await writer.hears()
    assert (closed["type"], closed["error"]["name"]) == ("streamClosed", "BadRequest")
    assert (await reader.hears())["stream"]["endOfStream"]


async def test_a_stream_without_a_name_closes_its_client(service: Service, writer: Wire) -> None:
    """There is nothing that an answer could name."""
    await writer.says(type="sendToGroup", group="g", stream={})
    assert (await writer.hears())["event"] == "disconnected"
    message = await writer.socket.receive(timeout=5)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1007)
    await service.until(lambda rows: rows == [])


async def test_a_stream_that_falls_silent_is_closed(writer: Wire, reader: Wire) -> None:
    await writer.says(**START | {"stream": {"streamId": "s", "idleTimeoutMs": 50}})
    await writer.hears()
    assert (await writer.hears())["error"]["name"] == "IdleTimeout"
    end = await reader.hears()
    assert (end["stream"]["endOfStream"], end["stream"]["error"]["name"]) == (True, "IdleTimeout")


async def test_a_stream_ends_with_its_writer(writer: Wire, reader: Wire) -> None:
    await writer.says(**START)
    await writer.hears()
    await writer.socket.close()
    end = await reader.hears()
    assert (end["stream"]["endOfStream"], end["stream"]["error"]["name"]) == (True, "Cancelled")


@pytest.mark.parametrize("no_echo", [True, False])
async def test_a_writer_may_hear_its_own_stream(service: Service, no_echo: bool) -> None:
    both = await wire(service, groups=["g"])
    await both.says(**START | {"noEcho": no_echo})
    await both.hears()
    await both.write(1, "one")
    kinds = [(await both.hears())["type"] for _ in range(1 if no_echo else 2)]
    assert kinds == (["streamAck"] if no_echo else ["message", "streamAck"])
    await both.socket.close()


@pytest.mark.parametrize("kind", CLIENTS)
async def test_clients_that_know_no_streams_get_the_pieces_as_messages(
    service: Service, writer: Wire, kind: str
) -> None:
    async with connected(kind, await service.client_url("bob", groups=["g"])) as client:
        await next_of(client, "connected")
        await writer.says(**START)
        await writer.write(1, "one")
        assert (await next_of(client, "group"))["data"] == "one"
        await writer.says(type="streamEnd", streamId="s")
        await service.sdk.send_to_user("bob", "still there", content_type="text/plain")
        assert (await next_of(client, "server"))["data"] == "still there"


async def test_a_javascript_writer_learns_that_its_stream_was_closed(service: Service) -> None:
    async with connected("js", await service.client_url(roles=[SEND])) as client:
        assert isinstance(client, JsClient)
        await client.node.run("stream-open", group="g", options={"idleTimeoutInMs": 50})
        assert (await next_of(client, "writer-error"))["text"] == "Nothing came for too long."


async def test_a_javascript_reader_learns_that_the_writer_is_gone(service: Service) -> None:
    async with connected("js", await service.client_url("bob", groups=["g"])) as reader:
        assert isinstance(reader, JsClient)
        await reader.node.run("stream-listen")
        async with connected("js", await service.client_url(roles=[SEND])) as writer:
            assert isinstance(writer, JsClient)
            stream = await writer.node.run("stream-open", group="g")
            await writer.node.run("stream-write", id=stream, data="one")
            await next_of(reader, "piece")
        assert (await next_of(reader, "stream-error"))["text"] == "The publisher is gone."
