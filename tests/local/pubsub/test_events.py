"""Events on the wire and behind it: the order of reply and ack, handlers that fail or are slow, acks that are late."""

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, web

from local.pubsub_service.options import Handler
from tests.local.pubsub.clients import CLIENTS, PLAIN, RELIABLE, Refused, connected, next_of
from tests.local.pubsub.conftest import Answer, Event, Service, Upstream, running_service

every_client = pytest.mark.parametrize("kind", CLIENTS)


def answering(**reply: Any) -> Answer:
    async def answer(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(**reply)

    return answer


async def opened(service: Service, **more: Any) -> ClientWebSocketResponse:
    """A JSON client that shows every frame, past its `connected`."""
    socket = await service.http.ws_connect(await service.client_url(**more), protocols=[PLAIN])
    assert (await socket.receive_json(timeout=5))["event"] == "connected"
    return socket


async def test_a_reply_comes_before_the_ack_of_its_event(service: Service) -> None:
    service.upstream.answers["ask"] = answering(text="answer")
    socket = await opened(service)
    await socket.send_json({"type": "event", "event": "ask", "ackId": 1, "dataType": "text", "data": "x"})
    assert await socket.receive_json(timeout=5) == {
        "type": "message",
        "from": "server",
        "dataType": "text",
        "data": "answer",
    }
    assert await socket.receive_json(timeout=5) == {"type": "ack", "ackId": 1, "success": True}
    await socket.close()


@every_client
async def test_bytes_of_an_event_and_of_its_reply_stay_as_they_are(service: Service, kind: str) -> None:
    service.upstream.answers["ask"] = answering(body=b"\xff\x00", content_type="application/octet-stream")
    async with connected(kind, await service.client_url()) as client:
        await client.event("ask", b"\x00\xfe", "binary")
        assert (await next_of(client, "server"))["type"] == "binary"
    [event] = service.upstream.of("ask")
    assert (event.body, event.headers["content-type"]) == (b"\x00\xfe", "application/octet-stream")


@every_client
async def test_an_event_whose_handler_is_too_slow_is_refused(kind: str) -> None:
    async with running_service(handler_timeout=0.2) as service:
        release = asyncio.Event()

        async def hang(_upstream: Upstream, _event: Event) -> web.Response:
            await release.wait()
            return web.Response()

        service.upstream.answers["slow"] = hang
        async with connected(kind, await service.client_url(), message_retry_total=0) as client:
            with pytest.raises(Refused, match="InternalServerError"):
                await client.event("slow", "x")
            assert len(service.upstream.of("slow")) == 1  # a timeout is not tried again
        release.set()


async def test_a_reply_of_a_type_that_no_message_has_fails_the_event(service: Service) -> None:
    service.upstream.answers["ask"] = answering(body=b"<p>", content_type="text/html")
    async with connected("aio", await service.client_url()) as client:
        with pytest.raises(Refused, match="InternalServerError"):
            await client.event("ask", "x")


async def test_what_handlers_add_to_a_reply_is_its_metadata(service: Service) -> None:
    service.upstream.answers["ask"] = answering(text="x", headers={"x-webpubsub-metadata-trace": "t1"})
    socket = await opened(service)
    await socket.send_json({"type": "event", "event": "ask", "dataType": "text", "data": "x"})
    assert (await socket.receive_json(timeout=5))["metadata"] == {"trace": "t1"}
    await socket.close()


async def test_a_failed_event_may_cost_the_connection(service: Service) -> None:
    """As the documentation has it; Microsoft's emulator only refuses the event."""
    await service.do("settings", {"failed_events": "drop"})
    service.upstream.answers["bad"] = answering(status=400)
    socket = await opened(service)
    await socket.send_json({"type": "event", "event": "bad", "ackId": 1, "dataType": "text", "data": "x"})
    message = await socket.receive(timeout=5)
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1011)


async def test_a_failed_event_without_an_ack_id_is_silent(service: Service) -> None:
    service.upstream.answers["bad"] = answering(status=400)
    socket = await opened(service)
    await socket.send_json({"type": "event", "event": "bad", "dataType": "text", "data": "x"})
    await socket.send_json({"type": "event", "event": "good", "ackId": 2, "dataType": "text", "data": "x"})
    assert await socket.receive_json(timeout=5) == {"type": "ack", "ackId": 2, "success": True}
    await socket.close()


async def test_an_event_is_handled_once_for_each_ack_id(service: Service) -> None:
    socket = await opened(service)
    event = {"type": "event", "event": "once", "ackId": 9, "dataType": "text", "data": "x"}
    for success in (True, False):
        await socket.send_json(event)
        ack = await socket.receive_json(timeout=5)
        assert (ack["success"], ack.get("error", {}).get("name")) == (
            success,
            None if success else "Duplicate",
        )
    assert len(service.upstream.of("once")) == 1
    await socket.close()


async def test_an_event_repeated_while_its_handler_works_is_handled_once(service: Service) -> None:
    """As a client does whose ack does not come in time."""
    release = asyncio.Event()

    async def wait(_upstream: Upstream, _event: Event) -> web.Response:
        await release.wait()
        return web.Response(status=204)

    service.upstream.answers["slow"] = wait
    socket = await opened(service)
    for _ in range(2):
        await socket.send_json(
            {"type": "event", "event": "slow", "ackId": 3, "dataType": "text", "data": "x"}
        )
    await socket.send_json({"type": "ping"})
    assert await socket.receive_json(timeout=5) == {"type": "pong"}  # both are heard
    await service.upstream.wait_for("slow")
    release.set()
    assert [(await socket.receive_json(timeout=5))["success"] for _ in range(2)] == [True, False]
    assert len(service.upstream.of("slow")) == 1
    await socket.close()


@every_client
async def test_a_late_ack_is_waited_for(service: Service, kind: str) -> None:
    await service.do("settings", {"ack_delay": 0.05})
    async with connected(kind, await service.client_url()) as client:
        await client.join("g")
        await client.send("g", "x")
        assert (await next_of(client, "group"))["data"] == "x"


async def test_an_ack_that_never_came_is_made_good_by_a_repeat(service: Service) -> None:
    retrying = {"messageRetryOptions": {"maxRetries": 10, "retryDelayInMs": 50, "mode": "Fixed"}}
    async with connected("js", await service.client_url(groups=["g"]), RELIABLE, **retrying) as client:
        connection = (await next_of(client, "connected"))["id"]
        await service.do("settings", {"ack_delay": 0.5})
        sent = asyncio.create_task(client.send("g", "once", ack_id=7))
        assert (await next_of(client, "group"))["data"] == "once"
        await service.drop(connection)
        await service.do("settings", {"ack_delay": 0})
        await sent
        await client.send("g", "last")
        assert (await next_of(client, "group"))["data"] == "last"


async def test_a_handler_that_does_not_consent_gets_no_user_event(service: Service) -> None:
    service.upstream.consents = False
    handlers = [{"url": service.upstream.url, "system_events": []}]
    async with service.http.put(f"{service.url}/_pubsub/hubs/chat/handlers", data=orjson.dumps(handlers)):
        pass
    async with connected("aio", await service.client_url()) as client:
        with pytest.raises(Refused, match="InternalServerError"):
            await client.event("any", "x")
    assert service.upstream.events == []


@pytest.mark.parametrize(
    ("pattern", "asked", "taken"),
    [("*", "any", True), ("one,two", "TWO", True), ("one, two", "two", True), ("one", "other", False)],
)
async def test_a_handler_takes_the_events_of_its_pattern(
    service: Service, pattern: str, asked: str, taken: bool
) -> None:
    handlers = [{"url": service.upstream.url, "system_events": [], "user_events": pattern}]
    async with service.http.put(f"{service.url}/_pubsub/hubs/chat/handlers", data=orjson.dumps(handlers)):
        pass
    socket = await opened(service)
    await socket.send_json({"type": "event", "event": asked, "ackId": 1, "dataType": "text", "data": "x"})
    assert (await socket.receive_json(timeout=5))["success"] is taken
    await socket.close()


async def test_a_handler_that_speaks_no_http_is_named_without_its_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 what?\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events?code=s3cret"
    async with server, running_service(handlers={"chat": [Handler(url, ("connected",), "none")]}) as service:
        socket = await opened(service)
        said = ""
        async with asyncio.timeout(10):
            while "was not taken" not in said:
                said += capsys.readouterr().out
                await asyncio.sleep(0.01)
        await socket.close()
    assert "s3cret" not in said
