"""Web PubSub events at the host's webhook, run through Microsoft's own worker library."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import Any

import aiohttp
import pytest

from tests.local.host import Host, client, running_host

KEY = "c2VjcmV0"
PATH = "/runtime/webhooks/webpubsub"
ORIGIN = "localhost"


@pytest.fixture(scope="module")
def host() -> Generator[Host]:
    connection = f"Endpoint=http://{ORIGIN}:8080;AccessKey={KEY};Version=1.0;"
    with running_host(environment={"WebPubSubConnectionString": connection}) as running:
        yield running


@pytest.fixture
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with client() as session:
        yield session


def signed(connection_id: str, key: str = KEY) -> str:
    return "sha256=" + hmac.digest(key.encode(), connection_id.encode(), hashlib.sha256).hex()


def event(kind: str, name: str, **more: str) -> dict[str, str]:
    """The headers of one event."""
    headers = {
        "WebHook-Request-Origin": ORIGIN,
        "ce-specversion": "1.0",
        "ce-type": f"azure.webpubsub.{kind}.{name}",
        "ce-hub": "chat",
        "ce-eventName": name,
        "ce-connectionId": "c1",
        "ce-userId": "ann",
        "ce-signature": signed("c1"),
        "content-type": "text/plain" if kind == "user" else "application/json",
    }
    return {name: value for name, value in (headers | more).items() if value}


async def post(
    http: aiohttp.ClientSession, host: Host, headers: Mapping[str, str], body: bytes = b"{}"
) -> tuple[int, Mapping[str, str], bytes]:
    async with http.post(host.url + PATH, data=body, headers=headers) as reply:
        return reply.status, reply.headers, await reply.read()


async def test_the_handshake_accepts_the_origin_of_a_known_service(
    http: aiohttp.ClientSession, host: Host
) -> None:
    for origin, status in ((ORIGIN, 200), ("elsewhere", 400), ("", 400)):
        async with http.options(host.url + PATH, headers={"WebHook-Request-Origin": origin}) as reply:
            assert (reply.status, reply.headers.get("WebHook-Allowed-Origin")) == (
                status,
                "*" if status == 200 else None,
            )


async def test_connect_says_who_it_is_and_keeps_a_state(http: aiohttp.ClientSession, host: Host) -> None:
    body = {
        "claims": {},
        "query": {"a": ["1"]},
        "headers": {},
        "subprotocols": ["x"],
        "clientCertificates": [],
    }
    status, headers, said = await post(http, host, event("sys", "connect"), json.dumps(body).encode())
    assert (status, json.loads(said)) == (200, {"userId": "ann", "groups": ["room"]})
    packed = json.loads(base64.b64decode(headers["ce-connectionState"]))
    assert {name: base64.b64decode(value) for name, value in packed.items()} == {"color": b"red"}


async def test_connect_can_be_refused(http: aiohttp.ClientSession, host: Host) -> None:
    body = json.dumps({"query": {"refuse": ["1"]}}).encode()
    status, _, said = await post(http, host, event("sys", "connect"), body)
    assert (status, said) == (401, b"not you")


@pytest.mark.parametrize(
    ("media", "body", "status", "answered_as", "answer"),
    [
        ("text/plain", b"hello", 200, "text/plain", b"HELLO"),
        ("text/plain; charset=utf-8", "h\u00e9".encode(), 200, "text/plain", "H\u00c9".encode()),
        ("application/json", b'"hi"', 200, "application/json", b'"HI"'),
        ("text/plain", b"silence", 200, None, b""),
        ("text/plain", b"buffer", 200, "application/octet-stream", b"\x01\x02\xff"),
        ("text/plain", b"raise", 500, None, None),
        ("text/plain", b"number", 500, None, None),
        ("text/html", b"hello", 400, None, None),
    ],
)
async def test_a_user_event_is_answered_with_what_the_function_returns(
    http: aiohttp.ClientSession,
    host: Host,
    media: str,
    body: bytes,
    status: int,
    answered_as: str | None,
    answer: bytes | None,
) -> None:
    got, headers, said = await post(http, host, event("user", "message", **{"content-type": media}), body)
    assert got == status
    if answer is not None:
        assert said == answer
    if answered_as is not None:
        assert headers["content-type"].partition(";")[0] == answered_as


async def test_binary_reaches_an_argument_called_data_as_bytes(
    http: aiohttp.ClientSession, host: Host
) -> None:
    headers = event("user", "raw", **{"content-type": "application/octet-stream"})
    assert (await post(http, host, headers, b"\xff\x00\x01"))[2] == b"bytes 3"


REFUSED: dict[str, tuple[dict[str, str], int]] = {
    "a wrong signature": ({"ce-signature": signed("c1", "other")}, 401),
    "a signature of another connection": ({"ce-signature": signed("c2")}, 401),
    "no signature": ({"ce-signature": ""}, 401),
    "an unknown origin": ({"WebHook-Request-Origin": "elsewhere"}, 401),
    "no origin": ({"WebHook-Request-Origin": ""}, 400),
    "no connection": ({"ce-connectionId": ""}, 400),
    "another hub": ({"ce-hub": "other"}, 404),
    "another event": ({"ce-eventName": "unheard"}, 404),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_not_for_a_function_is_refused(
    http: aiohttp.ClientSession, host: Host, case: str
) -> None:
    changes, status = REFUSED[case]
    assert (await post(http, host, event("user", "message", **changes), b"x"))[0] == status


async def test_either_of_two_signatures_is_enough(http: aiohttp.ClientSession, host: Host) -> None:
    both = f"{signed('c1', 'other')},{signed('c1').upper()}"
    assert (await post(http, host, event("user", "message", **{"ce-signature": both}), b"x"))[0] == 200


async def test_connected_is_not_waited_for_and_shows_the_context(
    http: aiohttp.ClientSession, host: Host
) -> None:
    state = base64.b64encode(json.dumps({"color": base64.b64encode(b"red").decode()}).encode()).decode()
    changes = {"ce-connectionState": state, "ce-connectionId": "c9", "ce-signature": signed("c9")}
    status, _, said = await post(http, host, event("sys", "connected", **changes))
    assert (status, said) == (200, b"")
    async with asyncio.timeout(5):
        while not (seen := await _seen(http, host, "c9")):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    context = seen[0]["connectionContext"]
    assert (context["eventType"], context["eventName"], context["hub"]) == ("System", "connected", "chat")
    assert (context["userId"], context["states"], context["origin"]) == ("ann", {"color": "red"}, ORIGIN)


async def _seen(http: aiohttp.ClientSession, host: Host, connection_id: str) -> list[Any]:
    async with http.get(f"{host.url}/events") as reply:
        seen = await reply.json()
    return [each for each in seen if each["connectionContext"]["connectionId"] == connection_id]
