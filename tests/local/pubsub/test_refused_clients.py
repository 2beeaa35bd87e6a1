"""How Microsoft's clients show that they were not let in, and that a functions host was."""

import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

import jwt
import pytest
from aiohttp import web

from local.pubsub_service.options import Handler, Options
from tests.local.host import Host, running_host
from tests.local.pubsub.clients import CLIENTS, Refused, connected, next_of
from tests.local.pubsub.conftest import KEY, Event, Service, Upstream, running_service

every_client = pytest.mark.parametrize("kind", CLIENTS)


def url_with(service: Service, *, key: str = KEY, **claims: Any) -> str:
    given = {"aud": f"{service.url}/client/hubs/chat", "exp": int(time.time()) + 60} | claims
    address = service.url.replace("http", "ws")
    return f"{address}/client/hubs/chat?access_token={jwt.encode(given, key, 'HS256')}"


@every_client
@pytest.mark.parametrize(
    "wrong",
    [
        {"key": "another-key-another-key-another-key"},
        {"exp": 1000},
        {"aud": "http://elsewhere/client/hubs/chat"},
    ],
    ids=["forged", "expired", "elsewhere"],
)
async def test_a_token_that_will_not_do_is_an_error_of_opening(
    service: Service, kind: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Refused, match="401"):
        async with connected(kind, url_with(service, **wrong)):
            pass
    assert await service.connections() == []


@every_client
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_by_the_handler_is_an_error_of_opening(
    service: Service, kind: str, status: int
) -> None:
    async def refuse(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=status)

    service.upstream.answers["connect"] = refuse
    with pytest.raises(Refused, match=str(status)):
        async with connected(kind, await service.client_url()):
            pass


@pytest.fixture(scope="module")
def host() -> Generator[Host]:
    """A functions host that knows a service at 127.0.0.1 with our key."""
    string = f"Endpoint=http://127.0.0.1:8080;AccessKey={KEY};Version=1.0;"
    with running_host(environment={"WebPubSubConnectionString": string}) as running:
        yield running


@pytest.fixture
async def beside_host(host: Host, request: pytest.FixtureRequest) -> AsyncGenerator[Service]:
    """A service whose events go to the host."""
    handlers = {"chat": [Handler(f"{host.url}/runtime/webhooks/webpubsub")]}
    async with running_service(handlers=handlers, key=request.param) as running:
        yield running


@every_client
@pytest.mark.parametrize("beside_host", [KEY], indirect=True)
async def test_a_functions_host_accepts_the_signature_of_its_service(beside_host: Service, kind: str) -> None:
    async with connected(kind, await beside_host.client_url("bob")) as client:
        assert (await next_of(client, "connected"))["user"] == "ann"
        await client.event("message", "hello")
        assert (await next_of(client, "server"))["data"] == "HELLO"


@pytest.mark.parametrize("beside_host", ["another-key-another-key-another-key"], indirect=True)
async def test_a_functions_host_refuses_the_signature_of_another(beside_host: Service) -> None:
    with pytest.raises(Refused, match="401"):
        async with connected("js", await beside_host.client_url("bob")):
            pass


async def test_a_functions_host_refuses_an_origin_with_a_port(host: Host, service: Service) -> None:
    """It compares hosts alone, so a service must not say more."""
    for origin, status in (("127.0.0.1", 200), ("127.0.0.1:8080", 400)):
        headers = {"WebHook-Request-Origin": origin}
        path = f"{host.url}/runtime/webhooks/webpubsub"
        async with service.http.options(path, headers=headers) as reply:
            assert reply.status == status


def test_the_connection_string_has_the_form_of_the_emulator() -> None:
    string = Options(key=KEY).connection_string("http://127.0.0.1:8080")
    assert string == f"Endpoint=http://127.0.0.1:8080;AccessKey={KEY};Version=1.0;"
