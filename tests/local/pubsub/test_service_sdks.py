"""The service SDKs once more: names with any letters, Python's blocking client, the rest of JavaScript's calls."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import jwt
import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient

from tests.local.pubsub.clients import Node, bytes_of, connected, next_of
from tests.local.pubsub.conftest import KEY, SEND, Service

TEXT = {"contentType": "text/plain"}


@pytest.fixture
async def js(service: Service) -> AsyncGenerator[Node]:
    node = await Node.open()
    await node.run("service", connection=service.options.connection_string(service.url), hub="chat")
    yield node
    await node.aclose()


async def test_the_blocking_sdk_makes_urls_and_sends(service: Service) -> None:
    string = service.options.connection_string(service.url)
    with WebPubSubServiceClient.from_connection_string(string, "chat") as sdk:
        token: Any = sdk.get_client_access_token(user_id="ann", groups=["g"], minutes_to_expire=5)
        async with connected("aio", token["url"]) as client:
            connection = (await next_of(client, "connected"))["id"]
            await asyncio.to_thread(sdk.send_to_group, "g", {"n": 1})
            assert (await next_of(client, "group"))["data"] == {"n": 1}
            assert await asyncio.to_thread(sdk.user_exists, "ann")
            listed = await asyncio.to_thread(lambda: list(sdk.list_connections(group="g")))
            assert [each.connection_id for each in listed] == [connection]


@pytest.mark.parametrize("user", ["o'brien", "\u00fcml\u00e4ut", "a b/c?d#e", "null"])
async def test_names_of_users_may_have_any_letters(service: Service, js: Node, user: str) -> None:
    async with connected("js", await service.client_url(user)) as client:
        assert (await next_of(client, "connected"))["user"] == user
        assert await service.sdk.user_exists(user)
        assert await js.run("call", name="userExists", args=[user])
        filter_ = await js.run("odata", user=user)
        await js.run("call", name="sendToAll", args=["to you", TEXT | {"filter": filter_}])
        assert (await next_of(client, "server"))["data"] == "to you"


@pytest.mark.parametrize("group", ["o'brien", "\u00fcml\u00e4ut", "a b/c?d#e", "100%25", "x" * 1024])
async def test_names_of_groups_may_have_any_letters(service: Service, js: Node, group: str) -> None:
    url = await service.client_url(roles=[f"webpubsub.joinLeaveGroup.{group}"])
    async with connected("aio", url) as client:
        await client.join(group)
        assert await service.sdk.group_exists(group)
        await js.run("group-call", group=group, name="sendToAll", args=["to all", TEXT])
        assert (await next_of(client, "group"))["group"] == group


async def test_bytes_reach_clients_as_bytes(service: Service, js: Node) -> None:
    async with connected("aio", await service.client_url()) as client:
        message = {"base64": "AP8="}
        options = {"contentType": "application/octet-stream"}
        await js.run("call", name="sendToAll", args=[message, options])
        facts = await next_of(client, "server")
        assert (facts["type"], bytes_of(facts["data"])) == ("binary", b"\x00\xff")


async def test_some_connections_may_be_excluded_from_a_send(service: Service, js: Node) -> None:
    async with (
        connected("aio", await service.client_url("ann", groups=["g"])) as ann,
        connected("aio", await service.client_url("bob", groups=["g"])) as bob,
    ):
        left_out = (await next_of(ann, "connected"))["id"]
        options = TEXT | {"excludedConnections": [left_out]}
        await js.run("call", name="sendToAll", args=["some", options])
        await js.run("group-call", group="g", name="sendToAll", args=["some", options])
        await js.run("group-call", group="g", name="sendToAll", args=["all", TEXT])
        assert (await next_of(bob, "server"))["data"] == "some"
        assert [(await next_of(bob, "group"))["data"] for _ in range(2)] == ["some", "all"]
        assert (await next_of(ann, "group"))["data"] == "all"
        assert ann.heard.empty()


@pytest.mark.parametrize("whom", ["all", "user", "group"])
async def test_many_clients_are_closed_with_a_reason(service: Service, js: Node, whom: str) -> None:
    async with (
        connected("js", await service.client_url("ann", groups=["g"])) as meant,
        connected("js", await service.client_url("bob", groups=["h"])) as other,
    ):
        stays = (await next_of(other, "connected"))["id"]
        options = {"reason": "enough"}
        if whom == "group":
            await js.run("group-call", group="g", name="closeAllConnections", args=[options])
        elif whom == "user":
            await js.run("call", name="closeUserConnections", args=["ann", options])
        else:
            await js.run("call", name="closeAllConnections", args=[options])
        assert (await next_of(meant, "disconnected"))["reason"] == "enough"
        assert await service.sdk.connection_exists(stays) is (whom != "all")


async def test_a_connection_is_taken_out_of_all_its_groups(service: Service, js: Node) -> None:
    async with connected("aio", await service.client_url(groups=["g", "h"])) as client:
        connection = (await next_of(client, "connected"))["id"]
        await js.run("call", name="removeConnectionFromAllGroups", args=[connection])
        assert (await service.connections())[0]["groups"] == []


async def test_a_token_names_its_user_its_roles_its_groups_and_its_end(service: Service, js: Node) -> None:
    asked = {"userId": "ann", "roles": [SEND], "groups": ["g"], "expirationTimeInMinutes": 5}
    token = await js.run("call", name="getClientAccessToken", args=[asked])
    ends = jwt.decode(token["token"], options={"verify_signature": False})["exp"]
    assert 0 < ends - time.time() <= 5 * 60
    async with connected("js", token["url"]) as client:
        assert (await next_of(client, "connected"))["user"] == "ann"
        await client.send("g", "hello")
        assert (await next_of(client, "group"))["data"] == "hello"


async def test_permissions_for_all_groups_are_granted_and_revoked(service: Service, js: Node) -> None:
    async with connected("aio", await service.client_url(roles=[])) as client:
        connection = (await next_of(client, "connected"))["id"]

        async def call(name: str) -> Any:
            return await js.run("call", name=name, args=[connection, "joinLeaveGroup"])

        assert not await call("hasPermission")
        await call("grantPermission")
        assert await call("hasPermission")
        await client.join("any")
        await call("revokePermission")
        assert not await call("hasPermission")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"groups":"g"}', b'{"groups":[1]}'])
async def test_a_request_for_many_groups_must_name_them(service: Service, body: bytes) -> None:
    path = f"{service.url}/api/hubs/chat/:addToGroups"
    bearer = jwt.encode({"aud": path, "exp": time.time() + 60}, KEY, "HS256")
    async with service.http.post(path, data=body, headers={"authorization": f"Bearer {bearer}"}) as reply:
        assert reply.status == 400


@pytest.mark.parametrize(
    ("query", "status"),
    [("messageTtlSeconds=300", 202), ("messageTtlSeconds=301", 400), ("filter=x%20eq", 400)],
)
async def test_a_send_is_checked_before_it_is_accepted(service: Service, query: str, status: int) -> None:
    path = f"{service.url}/api/hubs/chat/:send"
    bearer = jwt.encode({"aud": path, "exp": time.time() + 60}, KEY, "HS256")
    headers = {"authorization": f"Bearer {bearer}", "content-type": "text/plain"}
    async with service.http.post(f"{path}?{query}", data=b"x", headers=headers) as reply:
        assert reply.status == status
