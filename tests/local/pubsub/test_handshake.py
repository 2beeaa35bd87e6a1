"""Who gets in, what the handler of `connect` may say about it, and what handlers are told later."""

import base64
import time
from typing import Any

import aiohttp
import jwt
import orjson
import pytest
from aiohttp import web

from tests.local.pubsub.clients import CLIENTS, connected, next_of
from tests.local.pubsub.conftest import KEY, Event, Service, Upstream, running_service

every_client = pytest.mark.parametrize("kind", CLIENTS)


def token(service: Service, *, key: str = KEY, **claims: Any) -> str:
    """A client token as the SDK makes it, with other claims."""
    usual = {"aud": f"{service.url}/client/hubs/chat", "exp": int(time.time()) + 60, "sub": "ann"}
    given = {name: value for name, value in (usual | claims).items() if value is not None}
    return jwt.encode(given, key, "HS256")


async def status_of(service: Service, path: str, **headers: str) -> int:
    """How the service answers a handshake: 101 when it opens."""
    try:
        async with service.http.ws_connect(service.url + path, headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 101),
        ({"aud": None}, 401),
        ({"aud": "http://127.0.0.1/client/hubs/chat"}, 401),
        ({"exp": None}, 401),
        ({"exp": 1000}, 401),
        ({"key": "another-key-another-key-another-key"}, 401),
        ({"webpubsub.group": ["g", " "]}, 400),
        ({"webpubsub.group": "g", "role": "webpubsub.sendToGroup"}, 101),
    ],
)
async def test_a_token_must_be_ours_in_time_and_for_this_hub(
    service: Service, claims: dict[str, Any], status: int
) -> None:
    assert await status_of(service, f"/client/hubs/chat?access_token={token(service, **claims)}") == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/client/hubs/chat?access_token={token}", 101),
        ("/client/?hub=chat&access_token={token}", 101),
        ("/client/hubs/CHAT?access_token={token}", 101),  # case does not matter
        ("/client/hubs/other?access_token={token}", 401),
        ("/client/hubs/1chat?access_token={token}", 400),
        ("/client/hubs/chat", 401),
        ("/client/hubs/chat?access_token=x.y.z", 401),
        ("/client/hubs/chat?webpubsub_mode=other&access_token={token}", 400),
    ],
)
async def test_hubs_are_named_in_the_path_or_the_query(service: Service, path: str, status: int) -> None:
    assert await status_of(service, path.format(token=token(service))) == status


async def test_a_token_may_come_as_a_header(service: Service) -> None:
    assert await status_of(service, "/client/hubs/chat", authorization=f"Bearer {token(service)}") == 101


@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [
        ("/client/hubs/chat", "", 101),
        ("/client/hubs/CHAT", "", 101),
        ("/client/hubs/other", "", 401),
        ("/client/hubs/chat?access_token=x.y.z", "", 401),
        ("/client/hubs/chat", "Bearer x.y.z", 401),
    ],
)
async def test_a_hub_may_let_clients_in_without_a_token(path: str, authorization: str, status: int) -> None:
    async with running_service(anonymous=["chat"]) as service:
        headers = {"authorization": authorization} if authorization else {}
        assert await status_of(service, path, **headers) == status


async def test_the_handler_of_connect_says_who_a_client_without_a_token_is() -> None:
    async def accept(_upstream: Upstream, _event: Event) -> web.Response:
        return web.json_response({"userId": "ann"})

    async with running_service(anonymous=["chat"]) as service:
        service.upstream.answers["connect"] = accept
        async with service.http.ws_connect(f"{service.url}/client/hubs/chat?dialect=x") as socket:
            await socket.send_str("hello")
            [event] = await service.upstream.wait_for("message")
            assert event.headers["ce-userid"] == "ann"
            [event] = service.upstream.of("connect")
            assert "ce-userid" not in event.headers
            assert (event.json["query"], event.json["claims"]) == ({"dialect": ["x"]}, {})


async def test_a_plain_request_is_no_handshake(service: Service) -> None:
    async with service.http.get(f"{service.url}/client/hubs/chat?access_token={token(service)}") as reply:
        assert reply.status == 400


@every_client
async def test_the_handler_of_connect_decides_who_it_is_and_what_it_may(service: Service, kind: str) -> None:
    async def accept(_upstream: Upstream, _event: Event) -> web.Response:
        return web.json_response(
            {"userId": "renamed", "groups": ["given"], "roles": ["webpubsub.sendToGroup"]}
        )

    service.upstream.answers["connect"] = accept
    async with connected(kind, await service.client_url("ann", roles=[], groups=["of-the-token"])) as client:
        assert (await next_of(client, "connected"))["user"] == "renamed"
        assert (await service.connections())[0]["groups"] == ["given"]
        await client.send("given", "hello")
        assert (await next_of(client, "group"))["from"] == "renamed"


async def test_the_handler_of_connect_is_told_everything(service: Service) -> None:
    claims = {"tenant": "t1", "levels": [1, 2]}
    path = f"/client/hubs/chat?access_token={token(service, **claims)}&ticket=x&ticket=y"
    protocols = ("custom.v1", "json.webpubsub.azure.v1")
    async with service.http.ws_connect(
        service.url + path, protocols=protocols, headers={"x-own": "1"}
    ) as socket:
        assert socket.protocol == "json.webpubsub.azure.v1"
        [event] = service.upstream.of("connect")
        assert event.signed
        assert event.headers["ce-type"] == "azure.webpubsub.sys.connect"
        assert event.headers["ce-id"] == "0"
        assert event.headers["webhook-request-origin"] == "127.0.0.1"
        assert event.json["claims"] == {"tenant": ["t1"], "levels": ["1", "2"]}
        assert event.json["query"] == {"ticket": ["x", "y"]}
        assert event.json["subprotocols"] == list(protocols)
        assert {name.lower(): value for name, value in event.json["headers"].items()}["x-own"] == ["1"]
        assert "authorization" not in {name.lower() for name in event.json["headers"]}


async def test_the_handler_of_connect_picks_a_subprotocol(service: Service) -> None:
    async def pick(_upstream: Upstream, _event: Event) -> web.Response:
        return web.json_response({"subprotocol": "custom.v1"})

    service.upstream.answers["connect"] = pick
    path = f"/client/hubs/chat?access_token={token(service)}"
    protocols = ("json.webpubsub.azure.v1", "custom.v1")
    async with service.http.ws_connect(service.url + path, protocols=protocols) as socket:
        assert socket.protocol == "custom.v1"
        await socket.send_str("bare")
        [event] = await service.upstream.wait_for("message")
        assert (event.body, event.headers["ce-subprotocol"]) == (b"bare", "custom.v1")


@pytest.mark.parametrize(
    ("answer", "status"), [(401, 401), (403, 403), (404, 404), (429, 429), (500, 500), (503, 500)]
)
async def test_a_connection_that_is_refused_never_opens(service: Service, answer: int, status: int) -> None:
    async def refuse(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=answer)

    service.upstream.answers["connect"] = refuse
    assert await status_of(service, f"/client/hubs/chat?access_token={token(service)}") == status
    assert await service.connections() == []
    assert not service.upstream.of("connected")
    assert not service.upstream.of("disconnected")


@pytest.mark.parametrize("body", [b"no json", b"[]"])
async def test_an_answer_to_connect_that_is_no_object_refuses(service: Service, body: bytes) -> None:
    async def answer(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    service.upstream.answers["connect"] = answer
    assert await status_of(service, f"/client/hubs/chat?access_token={token(service)}") == 500


@every_client
async def test_handlers_are_told_of_every_connection_and_its_end(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url("ann")) as client:
        [row] = await service.connections()
        [event] = await service.upstream.wait_for("connected")
        assert (
            event.headers["ce-connectionid"]
            == row["connectionId"]
            == (await next_of(client, "connected"))["id"]
        )
        assert event.json == {}
    [event] = await service.upstream.wait_for("disconnected")
    assert event.headers["ce-connectionid"] == row["connectionId"]
    assert event.json["reason"]
    assert await service.connections() == []


async def test_a_handler_keeps_a_state_and_cookies_with_a_connection(service: Service) -> None:
    async def accept(_upstream: Upstream, _event: Event) -> web.Response:
        reply = web.Response(status=204, headers={"ce-connectionState": "one"})
        reply.set_cookie("seat", "7")
        return reply

    async def change(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=204, headers={"ce-connectionState": "two"})

    service.upstream.answers |= {"connect": accept, "change": change}
    async with connected("aio", await service.client_url()) as client:
        await client.event("change", "x")
        await client.event("after", "x")
    await service.upstream.wait_for("disconnected")
    seen = {
        event.name: (event.headers.get("ce-connectionstate"), event.headers.get("cookie"))
        for event in service.upstream.events
    }
    assert seen["connect"] == (None, None)
    assert seen["change"] == ("one", "seat=7")
    assert seen["after"] == seen["disconnected"] == ("two", "seat=7")


async def test_numbers_of_events_count_for_each_connection(service: Service) -> None:
    async with connected("aio", await service.client_url()) as client:
        await service.upstream.wait_for("connected")
        for name in ("a", "b", "c"):
            await client.event(name, "x")
    numbers = [int(event.headers["ce-id"]) for event in service.upstream.events if event.name in "abc"]
    assert numbers == [2, 3, 4]


async def test_no_event_goes_to_a_handler_that_does_not_consent(service: Service) -> None:
    service.upstream.consents = False
    assert await status_of(service, f"/client/hubs/chat?access_token={token(service)}") == 403
    assert service.upstream.asked == 1
    assert service.upstream.events == []


async def test_consent_is_asked_for_once_a_minute(service: Service) -> None:
    async with connected("aio", await service.client_url()) as client:
        for _ in range(5):
            await client.event("x", "x")
    assert service.upstream.asked == 1


async def test_a_handler_that_is_busy_is_called_again(service: Service) -> None:
    async def sometimes(upstream: Upstream, event: Event) -> web.Response:
        return web.Response(status=503 if len(upstream.of(event.name)) == 1 else 204)

    service.upstream.answers["x"] = sometimes
    async with connected("aio", await service.client_url()) as client:
        await client.event("x", "x")
    first, second = service.upstream.of("x")
    assert first.headers["ce-id"] == second.headers["ce-id"]


async def test_a_state_in_the_form_of_the_functions_extension_survives(service: Service) -> None:
    packed = base64.b64encode(orjson.dumps({"a": base64.b64encode(b"1").decode()})).decode()

    async def accept(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=204, headers={"ce-connectionState": packed})

    service.upstream.answers["connect"] = accept
    async with connected("aio", await service.client_url()) as client:
        await client.event("x", "x")
    assert service.upstream.of("x")[0].headers["ce-connectionstate"] == packed
