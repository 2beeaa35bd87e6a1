"""What tests may ask of the stand-in beside the service's own API, and the stand-in as a process."""

import time
from collections.abc import Generator

import pytest
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

from tests.local.pubsub.clients import RELIABLE, connected, next_of
from tests.local.pubsub.conftest import KEY, Service, running_service
from tests.support.processes import Command


async def test_every_connection_is_shown(service: Service) -> None:
    async with connected("aio", await service.client_url("ann", groups=["g"]), RELIABLE) as client:
        connection = (await next_of(client, "connected"))["id"]
        assert await service.connections() == [
            {
                "connectionId": connection,
                "userId": "ann",
                "hub": "chat",
                "protocol": RELIABLE,
                "groups": ["g"],
                "queued": 0,
                "alive": True,
            }
        ]


async def test_sends_are_written_down_until_a_reset(service: Service) -> None:
    await service.sdk.send_to_group("g", "12345", content_type="text/plain")
    await service.sdk.send_to_user("ann", "1", content_type="text/plain")
    async with service.http.get(f"{service.url}/_pubsub/sends") as reply:
        sends = await reply.json()
    assert [(each["hub"], each["target"], each["name"], each["bytes"]) for each in sends] == [
        ("chat", "group", "g", 5),
        ("chat", "user", "ann", 1),
    ]
    await service.do("reset")
    async with service.http.get(f"{service.url}/_pubsub/sends") as reply:
        assert await reply.json() == []


async def test_settings_change_and_come_back_with_a_reset(service: Service) -> None:
    await service.do("settings", {"send_delay": 9, "recovery": 1, "unheard": 1})
    assert (service.options.send_delay, service.options.recovery) == (9, 1)
    await service.do("reset")
    assert (service.options.send_delay, service.options.recovery) == (0, 30)


async def test_a_slow_service_takes_its_time_for_each_send(service: Service) -> None:
    async with connected("aio", await service.client_url()) as client:
        await service.do("settings", {"send_delay": 0.1})
        started = time.monotonic()
        await service.sdk.send_to_all("late", content_type="text/plain")
        assert time.monotonic() - started >= 0.1
        assert (await next_of(client, "server"))["data"] == "late"


@pytest.mark.parametrize("deed", ["drop", "forget"])
async def test_a_connection_that_is_not_there_is_told(service: Service, deed: str) -> None:
    async with service.http.post(f"{service.url}/_pubsub/connections/none/{deed}") as reply:
        assert reply.status == 404


async def test_hubs_do_not_mix(service: Service) -> None:
    string = service.options.connection_string(service.url)
    async with (
        WebPubSubServiceClient.from_connection_string(string, "other") as other,
        connected("aio", await service.client_url("ann", groups=["g"])) as client,
    ):
        assert not await other.user_exists("ann")
        await other.send_to_group("g", "to others", content_type="text/plain")
        await service.sdk.send_to_group("g", "to us", content_type="text/plain")
        assert (await next_of(client, "group"))["data"] == "to us"


@pytest.fixture(scope="module")
def command() -> Generator[Command]:
    running = Command(
        "local.pubsub_service",
        ["--port", "0", "--handler", "chat=http://127.0.0.1:9/{event}"],
        {"PARLEY_PUBSUB_KEY": KEY},
    )
    try:
        running.wait_ready()
        yield running
        running.stop()
    finally:
        running.kill()


async def test_the_process_says_how_to_connect(command: Command) -> None:
    [string] = [words[1] for words in command.lines if words[0] == "connection"]
    assert string == f"Endpoint={command.wait_ready()};AccessKey={KEY};Version=1.0;"
    async with WebPubSubServiceClient.from_connection_string(string, "other") as sdk:
        token = await sdk.get_client_access_token(user_id="ann")
        async with connected("aio", token["url"]) as client:
            assert (await next_of(client, "connected"))["user"] == "ann"


async def test_a_service_may_be_told_to_forget_sooner() -> None:
    async with running_service() as service:
        await service.do("settings", {"recovery": 0.05})
        async with service.http.ws_connect(await service.client_url(), protocols=[RELIABLE]) as socket:
            await service.drop((await socket.receive_json(timeout=5))["connectionId"])
            await service.until(lambda rows: rows == [])
