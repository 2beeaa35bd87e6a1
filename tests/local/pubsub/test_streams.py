"""Streams to a group, as Microsoft's JavaScript client 1.1 writes and reads them."""

import asyncio

import pytest

from tests.local.pubsub.clients import RELIABLE, JsClient, connected, next_of
from tests.local.pubsub.conftest import JOIN, SEND, Service


async def test_a_stream_reaches_the_members_of_a_group_piece_by_piece(service: Service) -> None:
    async with (
        connected("js", await service.client_url("ann")) as writer,
        connected("js", await service.client_url("bob", groups=["g"])) as reader,
    ):
        assert isinstance(writer, JsClient)
        assert isinstance(reader, JsClient)
        await reader.node.run("stream-listen")
        stream = await writer.node.run("stream-open", group="g")
        for number in range(50):
            await writer.node.run("stream-write", id=stream, data=f"piece {number}")
        await writer.node.run("stream-end", id=stream)
        pieces = [await next_of(reader, "piece") for _ in range(50)]
        assert [each["data"] for each in pieces] == [f"piece {number}" for number in range(50)]
        assert [each["place"]["streamSequenceId"] for each in pieces] == list(range(1, 51))
        await next_of(reader, "stream-end")


async def test_a_stream_that_its_writer_breaks_off_ends_with_the_reason(service: Service) -> None:
    async with (
        connected("js", await service.client_url("ann")) as writer,
        connected("js", await service.client_url("bob", groups=["g"])) as reader,
    ):
        assert isinstance(writer, JsClient)
        assert isinstance(reader, JsClient)
        await reader.node.run("stream-listen")
        stream = await writer.node.run("stream-open", group="g")
        await writer.node.run("stream-write", id=stream, data="one")
        await writer.node.run("stream-abort", id=stream, message="out of words")
        await next_of(reader, "piece")
        assert "out of words" in (await next_of(reader, "stream-error"))["text"]


async def test_a_stream_needs_the_right_to_send(service: Service) -> None:
    async with connected("js", await service.client_url(roles=[JOIN])) as writer:
        assert isinstance(writer, JsClient)
        with pytest.raises(Exception, match="Forbidden"):
            await writer.node.run("stream-open", group="g")


async def test_a_stream_survives_a_cut(service: Service) -> None:
    async with (
        connected("js", await service.client_url("ann", roles=[SEND]), RELIABLE) as writer,
        connected("js", await service.client_url("bob", groups=["g"])) as reader,
    ):
        assert isinstance(writer, JsClient)
        assert isinstance(reader, JsClient)
        await reader.node.run("stream-listen")
        stream = await writer.node.run("stream-open", group="g")
        await writer.node.run("stream-write", id=stream, data="before")
        await next_of(reader, "piece")
        await service.drop((await next_of(writer, "connected"))["id"])
        await service.until(lambda rows: all(row["alive"] for row in rows))
        await asyncio.sleep(0.05)
        await writer.node.run("stream-write", id=stream, data="after")
        await writer.node.run("stream-end", id=stream)
        assert (await next_of(reader, "piece"))["data"] == "after"
        await next_of(reader, "stream-end")
