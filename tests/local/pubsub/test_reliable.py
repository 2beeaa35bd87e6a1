"""Reliable clients that are cut off: what is replayed, and when it is too late."""

import asyncio

import pytest

from tests.local.pubsub.clients import CLIENTS, RELIABLE, connected, next_of
from tests.local.pubsub.conftest import Service, running_service

every_client = pytest.mark.parametrize("kind", CLIENTS)
# The blocking client's threads may find their socket gone; it recovers all the same.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def recovering(url: str, connection_id: str, token: str) -> str:
    return f"{url}&awps_connection_id={connection_id}&awps_reconnection_token={token}"


@every_client
async def test_who_is_cut_off_misses_nothing_and_hears_nothing_twice(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url("ann", groups=["g"]), RELIABLE) as client:
        before = await next_of(client, "connected")
        for number in range(3):
            await service.sdk.send_to_group("g", {"n": number})
        heard = [(await next_of(client, "group"))["data"]["n"] for _ in range(3)]
        await service.drop(before["id"])
        await service.until(lambda rows: not rows[0]["alive"])
        for number in range(3, 200):
            await service.sdk.send_to_group("g", {"n": number})
        heard += [(await next_of(client, "group"))["data"]["n"] for _ in range(197)]
        # The blocking client calls back in threads of their own, in any order.
        assert (sorted(heard) if kind == "sync" else heard) == list(range(200))
        [row] = await service.connections()
        assert row["connectionId"] == before["id"]
        assert row["groups"] == ["g"]
        assert len(service.upstream.of("connected")) == 1
        assert not service.upstream.of("disconnected")


@every_client
async def test_who_comes_back_too_late_is_a_new_client_and_joins_its_groups_again(kind: str) -> None:
    async with (
        running_service(recovery=0.1) as service,
        connected(kind, await service.client_url("ann"), RELIABLE) as client,
    ):
        before = await next_of(client, "connected")
        await client.join("g")
        await service.drop(before["id"])
        await service.do(f"connections/{before['id']}/forget")
        await next_of(client, "disconnected")
        after = await next_of(client, "connected")
        assert after["id"] != before["id"]
        await service.until(lambda rows: bool(rows) and rows[0]["groups"] == ["g"])
        assert len(await service.upstream.wait_for("disconnected")) == 1


@every_client
async def test_messages_are_acknowledged(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url(groups=["g"]), RELIABLE) as client:
        for number in range(20):
            await service.sdk.send_to_group("g", {"n": number})
        for _ in range(20):
            await next_of(client, "group")
        await service.until(lambda rows: rows[0]["queued"] == 0)


async def test_five_hundred_messages_come_in_order_and_are_numbered(service: Service) -> None:
    async with connected("js", await service.client_url(groups=["g"]), RELIABLE) as client:
        sends = (service.sdk.send_to_group("g", {"n": number}) for number in range(500))
        for send in sends:
            await send
        heard = [await next_of(client, "group") for _ in range(500)]
        assert [each["data"]["n"] for each in heard] == list(range(500))
        assert [each["sequence"] for each in heard] == list(range(1, 501))


async def test_a_client_that_is_away_for_too_many_messages_is_given_up() -> None:
    async with running_service(max_queued=20) as service:
        url = await service.client_url("ann", groups=["g"])
        async with connected("aio", url, RELIABLE) as client:
            before = await next_of(client, "connected")
            await service.drop(before["id"])
            await service.until(lambda rows: not rows[0]["alive"])
            for number in range(30):
                await service.sdk.send_to_group("g", {"n": number})
            await next_of(client, "disconnected")
            assert (await next_of(client, "connected"))["id"] != before["id"]


async def test_a_recovery_that_cannot_be_is_refused_after_the_upgrade(service: Service) -> None:
    url = f"{service.url}/client/hubs/chat?awps_connection_id=none&awps_reconnection_token=none"
    async with service.http.ws_connect(url, protocols=["json.reliable.webpubsub.azure.v1"]) as socket:
        await asyncio.wait_for(socket.receive(), 5)
        assert socket.close_code == 1008


async def test_a_reconnection_token_is_for_one_connection(service: Service) -> None:
    protocols = ["json.reliable.webpubsub.azure.v1"]
    url = await service.client_url()
    async with (
        service.http.ws_connect(url, protocols=protocols) as one,
        service.http.ws_connect(url, protocols=protocols) as other,
    ):
        first, second = await one.receive_json(timeout=5), await other.receive_json(timeout=5)
        stolen = recovering(url, first["connectionId"], second["reconnectionToken"])
        async with service.http.ws_connect(stolen, protocols=protocols) as socket:
            await socket.receive(timeout=5)
            assert socket.close_code == 1008
        rows = await service.connections()
        assert all(row["alive"] for row in rows)


async def test_a_client_that_comes_back_takes_the_place_of_its_old_socket(service: Service) -> None:
    protocols = ["json.reliable.webpubsub.azure.v1"]
    url = await service.client_url(groups=["g"])
    async with service.http.ws_connect(url, protocols=protocols) as old:
        first = await old.receive_json(timeout=5)
        await service.sdk.send_to_group("g", "kept")
        again = recovering(url, first["connectionId"], first["reconnectionToken"])
        async with service.http.ws_connect(again, protocols=protocols) as new:
            hello, replayed = await new.receive_json(timeout=5), await new.receive_json(timeout=5)
            assert hello["connectionId"] == first["connectionId"]
            assert (replayed["data"], replayed["sequenceId"]) == ("kept", 1)
            assert len(await service.connections()) == 1
