"""Clients whose connection breaks: what each protocol makes of it, what is kept, and when it is given up."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient
from yarl import URL

from tests.local.pubsub.clients import CLIENTS, PLAIN, RELIABLE, Refused, connected, next_of
from tests.local.pubsub.conftest import JOIN, Event, Service, Upstream, running_service
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy

every_client = pytest.mark.parametrize("kind", CLIENTS)
# The blocking client's threads may find their socket gone; it recovers all the same.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


async def url_through(proxy: FaultyProxy, service: Service) -> str:
    """A client URL that leads through the proxy."""
    string = service.options.connection_string(f"http://127.0.0.1:{proxy.port}")
    async with WebPubSubServiceClient.from_connection_string(string, "chat") as sdk:
        token: Any = await sdk.get_client_access_token(user_id="ann", groups=["g"])
    return token["url"]


@every_client
async def test_a_plain_client_that_is_cut_off_is_a_new_one_and_joins_its_groups_again(
    service: Service, kind: str
) -> None:
    async with connected(kind, await service.client_url("ann"), PLAIN) as client:
        before = await next_of(client, "connected")
        await client.join("g")
        await service.drop(before["id"])
        await next_of(client, "disconnected")
        assert (await next_of(client, "connected"))["id"] != before["id"]
        [event] = await service.upstream.wait_for("disconnected")
        assert event.headers["ce-connectionid"] == before["id"]
        assert event.json["reason"]
        await service.until(lambda rows: [row["groups"] for row in rows] == [["g"]])


@every_client
async def test_a_group_that_cannot_be_joined_again_is_told(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url(roles=[]), RELIABLE) as client:
        before = (await next_of(client, "connected"))["id"]
        await service.sdk.grant_permission("joinLeaveGroup", before, target_name="g")
        await client.join("g")
        await service.drop(before)
        await service.do(f"connections/{before}/forget")
        assert (await next_of(client, "rejoin-failed"))["group"] == "g"


@every_client
async def test_what_a_connection_holds_survives_a_cut(service: Service, kind: str) -> None:
    async def keep(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=204, headers={"ce-connectionState": "kept"})

    service.upstream.answers["connect"] = keep
    async with connected(kind, await service.client_url(roles=[JOIN]), RELIABLE) as client:
        connection = (await next_of(client, "connected"))["id"]
        await service.sdk.grant_permission("sendToGroup", connection, target_name="g")
        await client.join("g")
        await client.send("g", "before", ack_id=70)
        assert (await next_of(client, "group"))["data"] == "before"
        await service.drop(connection)
        await service.sdk.send_to_connection(connection, "back", content_type="text/plain")
        await next_of(client, "server")
        await client.send("g", "a repeat", ack_id=70)
        await client.send("g", "after")
        assert (await next_of(client, "group"))["data"] == "after"
        await client.event("any", "x")
        [event] = service.upstream.of("any")
        assert event.headers["ce-connectionstate"] == "kept"
        assert int(event.headers["ce-id"]) == 2


@every_client
async def test_who_is_cut_off_again_and_again_misses_nothing(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url(groups=["g"]), RELIABLE) as client:
        connection = (await next_of(client, "connected"))["id"]
        heard: list[int] = []
        for cut in range(2):
            await service.until(lambda rows: rows[0]["alive"])
            await service.sdk.send_to_group("g", 2 * cut)
            await service.drop(connection)
            await service.sdk.send_to_group("g", 2 * cut + 1)
            heard += [(await next_of(client, "group"))["data"] for _ in range(2)]
        assert sorted(heard) == list(range(4))


@every_client
async def test_clients_come_back_once_they_can(service: Service, kind: str) -> None:
    async with (
        faulty_proxy(URL(service.url).port or 0) as proxy,
        connected(kind, await url_through(proxy, service), RELIABLE) as client,
    ):
        before = await next_of(client, "connected")
        proxy.refuse()
        await service.until(lambda rows: not rows[0]["alive"])
        await service.sdk.send_to_group("g", "meanwhile", content_type="text/plain")
        proxy.accept()
        assert (await next_of(client, "group"))["data"] == "meanwhile"
        assert [row["connectionId"] for row in await service.connections()] == [before["id"]]
        assert not service.upstream.of("disconnected")


async def test_a_client_that_has_gone_for_good_is_not_remembered_for_long() -> None:
    async with running_service(recovery=0.05) as service:
        socket = await service.http.ws_connect(await service.client_url(), protocols=[RELIABLE])
        connection = (await socket.receive_json(timeout=5))["connectionId"]
        await service.drop(connection)
        await service.until(lambda rows: rows == [])
        [event] = await service.upstream.wait_for("disconnected")
        assert event.headers["ce-connectionid"] == connection


@pytest.mark.parametrize(("limit", "size"), [({"max_queued": 20}, 1), ({"max_queued_bytes": 20_000}, 1000)])
async def test_a_client_with_too_much_waiting_for_it_is_given_up_even_while_it_reads(
    limit: dict[str, Any], size: int
) -> None:
    """Clients acknowledge only once a second."""
    async with (
        running_service(**limit) as service,
        connected("js", await service.client_url(groups=["g"]), RELIABLE) as client,
    ):
        before = (await next_of(client, "connected"))["id"]
        for _ in range(60):
            await service.sdk.send_to_group("g", "x" * size)
        await next_of(client, "disconnected")
        assert (await next_of(client, "connected"))["id"] != before
        [event, *_] = await service.upstream.wait_for("disconnected")
        assert event.headers["ce-connectionid"] == before


async def test_pongs_keep_a_javascript_client_with_a_service_that_has_nothing_to_say(
    service: Service,
) -> None:
    options = {"keepAliveIntervalInMs": 50, "keepAliveTimeoutInMs": 300}
    async with connected("js", await service.client_url(), RELIABLE, **options) as client:
        first = await next_of(client, "connected")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):  # twice what it would wait for a sign of life
                await next_of(client, "disconnected")
        assert [row["connectionId"] for row in await service.connections()] == [first["id"]]


async def test_a_javascript_client_leaves_a_service_that_is_silent(service: Service) -> None:
    options = {"keepAliveIntervalInMs": 50, "keepAliveTimeoutInMs": 300}
    async with (
        faulty_proxy(URL(service.url).port or 0) as proxy,
        connected("js", await url_through(proxy, service), RELIABLE, **options) as client,
    ):
        first = await next_of(client, "connected")
        proxy.freeze()
        with pytest.raises(Refused, match="not connected"):
            async with asyncio.timeout(5):
                while True:
                    await client.send("g", "x", ack=False)
                    await asyncio.sleep(0.02)
        proxy.thaw()
        assert (await next_of(client, "connected"))["id"] != first["id"]
