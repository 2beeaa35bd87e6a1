"""Calls of a handler that wait for its answer (`invoke`), as Microsoft's JavaScript client 1.1 makes them."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.local.pubsub.clients import JsClient, Refused, bytes_of, connected
from tests.local.pubsub.conftest import Answer, Event, Service, Upstream


async def invoke(service: Service, data: Any = "hi", kind: str = "text") -> dict[str, Any]:
    """The answer to the event `ask`."""
    async with connected("js", await service.client_url()) as client:
        assert isinstance(client, JsClient)
        return await client.node.run("invoke", name="ask", data=data, type=kind)


def answering(**reply: Any) -> Answer:
    async def answer(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(**reply)

    return answer


@pytest.mark.parametrize(
    ("media", "body", "kind", "data"),
    [
        ("application/json", b'{"said":[1]}', "json", {"said": [1]}),
        ("text/plain", "h\u00e9".encode(), "text", "h\u00e9"),
        ("application/octet-stream", b"\x00\xff", "binary", b"\x00\xff"),
    ],
)
async def test_an_invocation_brings_the_handlers_answer(
    service: Service, media: str, body: bytes, kind: str, data: Any
) -> None:
    service.upstream.answers["ask"] = answering(body=body, content_type=media)
    answer = await invoke(service)
    assert answer["type"] == kind
    assert (bytes_of(answer["data"]) if kind == "binary" else answer["data"]) == data


async def test_an_answer_of_nothing_is_an_empty_text(service: Service) -> None:
    assert await invoke(service) == {"type": "text", "data": ""}


@pytest.mark.parametrize("status", [400, 500])
async def test_an_invocation_fails_with_its_handler(service: Service, status: int) -> None:
    service.upstream.answers["ask"] = answering(status=status)
    with pytest.raises(Refused, match="InternalServerError"):
        await invoke(service)


async def test_an_invocation_without_a_handler_fails(service: Service) -> None:
    async with service.http.put(f"{service.url}/_pubsub/hubs/chat/handlers", data=b"[]"):
        pass
    with pytest.raises(Refused, match="InternalServerError"):
        await invoke(service)


async def test_an_invocation_that_is_given_up_leaves_the_client_as_it_was(service: Service) -> None:
    release = asyncio.Event()

    async def hang(_upstream: Upstream, _event: Event) -> web.Response:
        await release.wait()
        return web.Response()

    service.upstream.answers["ask"] = hang
    async with connected("js", await service.client_url()) as client:
        assert isinstance(client, JsClient)
        asked = asyncio.create_task(client.node.run("invoke", name="ask", data="x", type="text"))
        await service.upstream.wait_for("ask")
        await client.node.run("invoke-abort")
        with pytest.raises(Refused, match="abort"):
            await asked
        await client.event("after", "x")
        assert len(service.upstream.of("after")) == 1
    release.set()


async def test_invocations_do_not_wait_for_each_other(service: Service) -> None:
    release = asyncio.Event()

    async def answer(upstream: Upstream, event: Event) -> web.Response:
        if len(upstream.of("ask")) == 1:
            await release.wait()
        return web.Response(text=event.body.decode())

    service.upstream.answers["ask"] = answer
    async with connected("js", await service.client_url()) as client:
        assert isinstance(client, JsClient)
        first = asyncio.create_task(client.node.run("invoke", name="ask", data="first", type="text"))
        await service.upstream.wait_for("ask")
        second = await client.node.run("invoke", name="ask", data="second", type="text")
        release.set()
        assert (second["data"], (await first)["data"]) == ("second", "first")
