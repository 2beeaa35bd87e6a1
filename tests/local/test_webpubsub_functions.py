"""The functions host and the Web PubSub stand-in together: events to functions, and their actions back."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from typing import Any

import aiohttp
import pytest

from local.pubsub_service.options import Handler, Options
from local.pubsub_service.server import serve
from tests.local.host import Host, running_host
from tests.support.processes import Command

KEY = "0123456789abcdef0123456789abcdef"
PROTOCOLS = ["json.webpubsub.azure.v1"]


@pytest.fixture(scope="module")
def address() -> Generator[tuple[str, Host]]:
    """The stand-in as a process, since both sides need the other's address, and the host."""
    service = Command("local.pubsub_service", ["--port", "0", "--key", KEY])
    try:
        url = service.wait_ready()
        with running_host(
            environment={"WebPubSubConnectionString": Options(key=KEY).connection_string(url)}
        ) as host:
            yield url, host
        service.stop()
    finally:
        service.kill()


@pytest.fixture
async def socket(address: tuple[str, Host]) -> AsyncGenerator[aiohttp.ClientWebSocketResponse]:
    url, host = address
    from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

    string = Options(key=KEY).connection_string(url)
    async with (
        WebPubSubServiceClient.from_connection_string(string, "chat") as service,
        aiohttp.ClientSession() as http,
    ):
        handlers = [{"url": f"{host.url}/runtime/webhooks/webpubsub"}]
        async with http.put(f"{url}/_pubsub/hubs/chat/handlers", data=json.dumps(handlers)) as reply:
            assert reply.status == 204
        async with http.post(f"{url}/_pubsub/settings", data=json.dumps({"retry_pauses": [0.05]})) as reply:
            assert reply.status == 200
        token: Any = await service.get_client_access_token(user_id="bob")
        async with http.ws_connect(token["url"], protocols=PROTOCOLS) as opened:
            hello = await opened.receive_json(timeout=5)
            assert hello["userId"] == "ann"  # as the function for `connect` says
            opened.connection_id = hello["connectionId"]  # type: ignore[attr-defined]
            yield opened


async def said(socket: aiohttp.ClientWebSocketResponse, name: str, data: Any) -> list[dict[str, Any]]:
    """What comes back for an event, up to its ack."""
    frame = {"type": "event", "event": name, "ackId": 1, "dataType": "text", "data": data}
    frame["ackId"] = id(frame) % 2**53
    await socket.send_json(frame)
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] != "ack":
        frames.append(await socket.receive_json(timeout=10))
    return frames


async def test_a_reply_comes_before_its_ack(socket: aiohttp.ClientWebSocketResponse) -> None:
    reply, ack = await said(socket, "message", "hello")
    assert (reply["from"], reply["data"], ack["success"]) == ("server", "HELLO", True)


async def test_a_function_that_fails_is_a_refused_event(socket: aiohttp.ClientWebSocketResponse) -> None:
    [ack] = await said(socket, "message", "raise")
    assert (ack["success"], ack["error"]["name"]) == (False, "InternalServerError")


async def test_a_returned_text_is_lost(socket: aiohttp.ClientWebSocketResponse) -> None:
    [ack] = await said(socket, "words", "x")
    assert ack["success"]


async def test_an_argument_of_another_name_is_null(socket: aiohttp.ClientWebSocketResponse) -> None:
    reply, _ = await said(socket, "wrong", "x")
    assert reply["data"] in ("None", "null")


async def test_one_action_is_carried_out(socket: aiohttp.ClientWebSocketResponse) -> None:
    action = {"actionName": "SendToGroup", "group": "room", "data": "h\u00e9llo", "dataType": "text"}
    frames = await said(socket, "act", json.dumps(action))
    assert [(each["type"], each.get("data")) for each in frames] == [
        ("message", "h\u00e9llo"),
        ("message", "done"),
        ("ack", None),
    ]


async def test_several_actions_are_carried_out_in_order(socket: aiohttp.ClientWebSocketResponse) -> None:
    connection = socket.connection_id  # type: ignore[attr-defined]
    actions = [
        {"actionName": "addConnectionToGroup", "connectionId": connection, "group": "more"},
        {"actionName": "sendToGroup", "group": "more", "data": '{"n":1}', "dataType": "json"},
        {"actionName": "removeConnectionFromGroup", "connectionId": connection, "group": "more"},
        {"actionName": "addUserToGroup", "userId": "ann", "group": "mine"},
        {"actionName": "sendToAll", "data": {"type": "Buffer", "data": [1, 255]}, "dataType": "binary"},
        {"actionName": "sendToUser", "userId": "ann", "data": "u", "excluded": []},
        {"actionName": "sendToConnection", "connectionId": connection, "data": "c"},
        {"actionName": "removeUserFromGroup", "userId": "ann", "group": "mine"},
        {"actionName": "removeUserFromAllGroups", "userId": "ann"},
        {
            "actionName": "grantPermission",
            "connectionId": connection,
            "permission": "sendToGroup",
            "targetName": "g",
        },
        {
            "actionName": "revokePermission",
            "connectionId": connection,
            "permission": "sendToGroup",
            "targetName": "g",
        },
        {"actionName": "closeGroupConnections", "group": "nobody", "reason": "none"},
        {"actionName": "closeAllConnections", "excluded": [connection]},
    ]
    frames = await said(socket, "act", json.dumps(actions))
    assert [each.get("data") for each in frames] == [{"n": 1}, "Af8=", "u", "c", "done", None]


@pytest.mark.parametrize(
    "actions", ["no json", '{"actionName":"fly"}', '{"actionName":"sendToAll","data":7}', "[1]"]
)
async def test_an_action_that_cannot_be_fails_the_event(
    socket: aiohttp.ClientWebSocketResponse, actions: str
) -> None:
    [ack] = await said(socket, "act", actions)
    assert not ack["success"]


async def test_an_action_can_close_the_client(socket: aiohttp.ClientWebSocketResponse) -> None:
    action = {"actionName": "closeClientConnection", "connectionId": socket.connection_id, "reason": "bye"}  # type: ignore[attr-defined]
    await socket.send_json({"type": "event", "event": "act", "dataType": "text", "data": json.dumps(action)})
    async with asyncio.timeout(5):
        assert (await socket.receive_json())["message"] == "bye"
        await socket.receive()
    assert socket.closed


async def test_a_handler_is_called_at_one_instance_when_the_other_is_down() -> None:
    from aiohttp import web

    called: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "OPTIONS":
            return web.Response(headers={"WebHook-Allowed-Origin": "*"})
        called.append(request.headers["ce-eventName"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    urls = f"http://127.0.0.1:9/ http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        async with serve(Options(key=KEY, handlers={"chat": [Handler(urls)]})) as url:
            from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

            string = Options(key=KEY).connection_string(url)
            async with (
                WebPubSubServiceClient.from_connection_string(string, "chat") as service,
                aiohttp.ClientSession() as http,
            ):
                token: Any = await service.get_client_access_token()
                async with http.ws_connect(token["url"]) as opened:
                    for _ in range(4):
                        await opened.send_str("x")
                    async with asyncio.timeout(5):
                        while called.count("message") < 4:  # noqa: ASYNC110
                            await asyncio.sleep(0.01)
    finally:
        await runner.cleanup()
