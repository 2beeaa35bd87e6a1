"""Microsoft's service SDKs (Python and JavaScript) at the REST API of the stand-in."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import pytest
from azure.core.exceptions import HttpResponseError

from tests.local.pubsub.clients import CLIENTS, Node, Refused, connected, next_of
from tests.local.pubsub.conftest import KEY, Service

SENDS = {
    "all": lambda sdk, _, *a, **k: sdk.send_to_all(*a, **k),
    "group": lambda sdk, _, *a, **k: sdk.send_to_group("g/1 ü", *a, **k),
    "user": lambda sdk, _, *a, **k: sdk.send_to_user("ann", *a, **k),
    "connection": lambda sdk, connection, *a, **k: sdk.send_to_connection(connection, *a, **k),
}


@pytest.fixture
async def js(service: Service) -> AsyncGenerator[Node]:
    node = await Node.open()
    connection = f"Endpoint={service.url};AccessKey={KEY};Version=1.0;"
    await node.run("service", connection=connection, hub="chat")
    yield node
    await node.aclose()


@pytest.mark.parametrize("target", SENDS)
@pytest.mark.parametrize(
    ("content_type", "message", "data_type", "data"),
    [
        # Of a text with other letters the Python SDK 1.3 sends too few bytes: it counts characters.
        ("text/plain", "hello", "text", "hello"),
        ("application/json", {"a": 1}, "json", {"a": 1}),
        (
            None,
            "a text is JSON unless one says otherwise",
            "json",
            "a text is JSON unless one says otherwise",
        ),
    ],
)
async def test_a_server_sends_to_all_a_group_a_user_or_a_connection(
    service: Service, target: str, content_type: str | None, message: Any, data_type: str, data: Any
) -> None:
    async with connected("aio", await service.client_url("ann", groups=["g/1 ü"])) as client:
        connection = (await next_of(client, "connected"))["id"]
        options = {"content_type": content_type} if content_type else {}
        await SENDS[target](service.sdk, connection, message, **options)
        facts = await next_of(client, "group" if target == "group" else "server")
        assert (facts["type"], facts["data"]) == (data_type, data)
        assert facts.get("from") is None


async def test_bytes_are_sent_as_they_are(service: Service) -> None:
    async with service.http.ws_connect(await service.client_url(groups=["g"])) as socket:
        import io

        await service.sdk.send_to_group("g", io.BytesIO(b"\x00\xff"), content_type="application/octet-stream")
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.BINARY, b"\x00\xff")


@pytest.mark.parametrize(
    ("filter_", "heard"),
    [
        ("userId eq 'ann'", ["ann"]),
        ("userId ne 'ann'", ["bob"]),
        ("'one' in groups", ["ann"]),
        ("not ('one' in groups)", ["bob"]),
        ("userId eq 'ann' or 'two' in groups", ["ann", "bob"]),
        ("userId in ('bob', 'carl')", ["bob"]),
        ("startswith(userId, 'a') and length(userId) eq 3", ["ann"]),
        ("userId eq null", []),
    ],
)
async def test_a_filter_says_who_is_meant(service: Service, filter_: str, heard: list[str]) -> None:
    async with (
        connected("aio", await service.client_url("ann", groups=["one"])) as ann,
        connected("aio", await service.client_url("bob", groups=["two"])) as bob,
    ):
        await service.sdk.send_to_all("filtered", filter=filter_, content_type="text/plain")
        await service.sdk.send_to_all("last", content_type="text/plain")
        got = {"ann": (await next_of(ann, "server"))["data"], "bob": (await next_of(bob, "server"))["data"]}
        assert [user for user, data in got.items() if data == "filtered"] == heard


async def test_some_connections_may_be_excluded(service: Service) -> None:
    async with (
        connected("aio", await service.client_url("ann", groups=["g"])) as ann,
        connected("aio", await service.client_url("bob", groups=["g"])) as bob,
    ):
        left_out = (await next_of(ann, "connected"))["id"]
        await service.sdk.send_to_group("g", "some", excluded=[left_out], content_type="text/plain")
        await service.sdk.send_to_group("g", "all", content_type="text/plain")
        assert (await next_of(ann, "group"))["data"] == "all"
        assert (await next_of(bob, "group"))["data"] == "some"


@pytest.mark.parametrize(("filter_", "status"), [("userId eq", 400), ("colour eq 'red'", 400)])
async def test_a_filter_that_cannot_be_read_is_refused(service: Service, filter_: str, status: int) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await service.sdk.send_to_all("x", filter=filter_)
    assert caught.value.status_code == status


async def test_groups_and_who_is_in_them(service: Service) -> None:
    sdk = service.sdk
    async with connected("aio", await service.client_url("ann")) as client:
        connection = (await next_of(client, "connected"))["id"]
        assert await sdk.connection_exists(connection)
        assert await sdk.user_exists("ann")
        assert not await sdk.connection_exists("none")
        assert not await sdk.user_exists("bob")
        assert not await sdk.group_exists("g")
        await sdk.add_connection_to_group("g", connection)
        assert await sdk.group_exists("g")
        assert [each.connection_id async for each in sdk.list_connections(group="g")] == [connection]
        await sdk.remove_connection_from_group("g", connection)
        await sdk.add_user_to_group("h", "ann")
        await sdk.add_user_to_group("i", "ann")
        assert not await sdk.group_exists("g")
        await sdk.remove_user_from_group("h", "ann")
        assert (await service.connections())[0]["groups"] == ["i"]
        await sdk.remove_user_from_all_groups("ann")
        assert (await service.connections())[0]["groups"] == []
        await sdk.add_connection_to_group("g", connection)
        await sdk.remove_connection_from_all_groups(connection)
        assert not await sdk.group_exists("g")
        with pytest.raises(HttpResponseError):
            await sdk.add_connection_to_group("g", "none")


async def test_permissions_are_granted_and_revoked(service: Service) -> None:
    sdk = service.sdk
    async with connected("aio", await service.client_url(roles=[])) as client:
        connection = (await next_of(client, "connected"))["id"]
        await sdk.grant_permission("joinLeaveGroup", connection, target_name="g")
        assert await sdk.has_permission("joinLeaveGroup", connection, target_name="g")
        assert not await sdk.has_permission("joinLeaveGroup", connection, target_name="h")
        assert not await sdk.has_permission("sendToGroup", connection)
        await client.join("g")
        await sdk.revoke_permission("joinLeaveGroup", connection, target_name="g")
        with pytest.raises(Exception, match=r"Forbidden"):
            await client.join("g")


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_closed_client_is_told_why_and_may_come_again(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url("ann")) as client:
        before = await next_of(client, "connected")
        await service.sdk.close_connection(before["id"], reason="enough")
        assert (await next_of(client, "disconnected"))["reason"] == "enough"
        assert (await next_of(client, "connected"))["id"] != before["id"]
        [event] = await service.upstream.wait_for("disconnected")
        assert event.json == {"reason": "enough"}


@pytest.mark.parametrize("whom", ["all", "group", "user"])
async def test_many_clients_are_closed_at_once(service: Service, whom: str) -> None:
    urls = [await service.client_url("ann", groups=["g"]) for _ in range(3)]
    sockets = [await service.http.ws_connect(url) for url in urls]
    stays = (await service.connections())[0]["connectionId"]
    close = {
        "all": lambda **k: service.sdk.close_all_connections(**k),
        "group": lambda **k: service.sdk.close_group_connections("g", **k),
        "user": lambda **k: service.sdk.close_user_connections("ann", **k),
    }[whom]
    await close(excluded=[stays])
    assert [row["connectionId"] for row in await service.connections()] == [stays]
    for socket in sockets[1:]:
        assert (await socket.receive(timeout=5)).data == 1000
    await sockets[0].close()


async def test_a_long_list_of_members_comes_in_pages(service: Service, js: Node) -> None:
    url = await service.client_url(groups=["g"])
    sockets = await asyncio.gather(*(service.http.ws_connect(url) for _ in range(23)))
    known = {row["connectionId"] for row in await service.connections()}
    found = [each.connection_id async for each in service.sdk.list_connections(group="g", maxpagesize=5)]
    assert len(found) == 23
    assert set(found) == known
    assert len([each async for each in service.sdk.list_connections(group="g", top=7)]) == 7
    listed = await js.run("list", group="g", options={"maxPageSize": 4})
    assert {each["connectionId"] for each in listed} == known
    await asyncio.gather(*(socket.close() for socket in sockets))


async def test_javascript_servers_make_every_call(service: Service, js: Node) -> None:
    async def call(name: str, *args: Any) -> Any:
        return await js.run("call", name=name, args=args)

    async with connected("aio", await service.client_url("ann", roles=[])) as client:
        connection = (await next_of(client, "connected"))["id"]
        text = {"contentType": "text/plain"}
        await call("sendToAll", "one", text)
        await call("sendToUser", "ann", {"n": 2})
        await call("sendToConnection", connection, "three", text)
        assert [(await next_of(client, "server"))["data"] for _ in range(3)] == ["one", {"n": 2}, "three"]
        assert await call("connectionExists", connection)
        assert await call("userExists", "ann")
        assert not await call("groupExists", "g")
        await call("addConnectionsToGroups", ["g", "h"], "userId eq 'ann'")
        assert (await service.connections())[0]["groups"] == ["g", "h"]
        await call("removeConnectionsFromGroups", ["h"], "userId eq 'ann'")
        await js.run("group-call", group="g", name="sendToAll", args=["four", text])
        assert (await next_of(client, "group"))["data"] == "four"
        await js.run("group-call", group="k", name="addUser", args=["ann"])
        await js.run("group-call", group="k", name="removeUser", args=["ann"])
        await js.run("group-call", group="k", name="addConnection", args=[connection])
        await js.run("group-call", group="k", name="removeConnection", args=[connection])
        await call("grantPermission", connection, "sendToGroup", {"targetName": "g"})
        assert await call("hasPermission", connection, "sendToGroup", {"targetName": "g"})
        await call("revokePermission", connection, "sendToGroup", {"targetName": "g"})
        assert not await call("hasPermission", connection, "sendToGroup", {"targetName": "g"})
        await call("removeUserFromAllGroups", "ann")
        assert (await service.connections())[0]["groups"] == []
        token = await call("getClientAccessToken", {"userId": "bob"})
        async with service.http.ws_connect(token["url"]):
            assert await call("userExists", "bob")
        await call("closeConnection", connection, {"reason": "done"})
        await next_of(client, "disconnected")


async def test_a_token_can_be_asked_for(service: Service) -> None:
    """As an SDK with an identity does, which has no key to sign with."""
    import jwt

    path = "/api/hubs/chat/:generateToken"
    bearer = jwt.encode({"aud": service.url + path, "exp": 2_000_000_000}, KEY, "HS256")
    query = "?api-version=2024-12-01&userId=ann&role=webpubsub.sendToGroup&group=g&minutesToExpire=5"
    headers = {"authorization": f"Bearer {bearer}"}
    async with service.http.post(service.url + path + query, headers=headers) as reply:
        token = (await reply.json())["token"]
    async with service.http.ws_connect(f"{service.url}/client/hubs/chat?access_token={token}"):
        [row] = await service.connections()
        assert (row["userId"], row["groups"]) == ("ann", ["g"])


async def test_a_server_with_a_wrong_key_is_refused(service: Service) -> None:
    from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

    wrong = f"Endpoint={service.url};AccessKey=another-key-another-key-another-key;Version=1.0;"
    async with WebPubSubServiceClient.from_connection_string(wrong, "chat") as stranger:
        with pytest.raises(HttpResponseError) as caught:
            await stranger.send_to_all("x")
    assert caught.value.status_code == 401
    async with service.http.post(f"{service.url}/api/hubs/chat/:send", data=b"x") as reply:
        assert reply.status == 401


async def test_what_cannot_be_sent_is_refused(service: Service) -> None:
    import jwt

    path = "/api/hubs/chat/:send"
    bearer = jwt.encode({"aud": service.url + path, "exp": 2_000_000_000}, KEY, "HS256")
    for body, media, status in (
        (b"<x/>", "text/xml", 415),
        (b"{", "application/json", 400),
        (b"x" * 1_048_577, "text/plain", 413),
    ):
        headers = {"authorization": f"Bearer {bearer}", "content-type": media}
        async with service.http.post(service.url + path, data=body, headers=headers) as reply:
            assert reply.status == status


async def test_the_service_says_that_it_is_there(service: Service) -> None:
    async with service.http.head(f"{service.url}/api/health") as reply:
        assert reply.status == 200


async def test_a_refused_call_names_its_error(js: Node) -> None:
    with pytest.raises(Refused, match="NotExisted"):
        await js.run("group-call", group="g", name="addConnection", args=["none"])
