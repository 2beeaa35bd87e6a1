"""Microsoft's three clients at the stand-in: connecting, groups, acks, events."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.local.pubsub.clients import (
    CLIENTS,
    PLAIN,
    RELIABLE,
    JsClient,
    Refused,
    bytes_of,
    connected,
    next_of,
)
from tests.local.pubsub.conftest import JOIN, SEND, Event, Service, Upstream

every_client = pytest.mark.parametrize("kind", CLIENTS)
both_protocols = pytest.mark.parametrize("protocol", [PLAIN, RELIABLE])


@every_client
@both_protocols
async def test_a_client_connects_with_a_url_that_the_service_sdk_made(
    service: Service, kind: str, protocol: str
) -> None:
    async with connected(kind, await service.client_url("ann"), protocol) as client:
        facts = await next_of(client, "connected")
        [row] = await service.connections()
        assert facts == {"id": row["connectionId"], "user": "ann"}
        assert row["protocol"] == protocol


@every_client
async def test_groups_need_their_roles(service: Service, kind: str) -> None:
    url = await service.client_url(roles=[f"{JOIN}.mine", f"{SEND}.mine"])
    async with connected(kind, url) as client:
        await client.join("mine")
        with pytest.raises(Refused, match="Forbidden"):
            await client.join("theirs")
        with pytest.raises(Refused, match="Forbidden"):
            await client.send("theirs", "hello")
        assert (await service.connections())[0]["groups"] == ["mine"]
        await client.leave("mine")
        assert (await service.connections())[0]["groups"] == []


@every_client
async def test_a_role_may_name_a_pattern_of_groups(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url(roles=[f"{JOIN}s.room.*"])) as client:
        await client.join("room.a")
        for other in ("room.a.b", "rooms", "room"):
            with pytest.raises(Refused, match="Forbidden"):
                await client.join(other)


@every_client
@both_protocols
@pytest.mark.parametrize(
    ("data_type", "data"), [("text", "héllo 🎉"), ("json", {"a": [1, None, "x"]}), ("binary", b"\x00\xff")]
)
async def test_a_message_to_a_group_reaches_every_member(
    service: Service, kind: str, protocol: str, data_type: str, data: Any
) -> None:
    async with (
        connected(kind, await service.client_url("ann"), protocol) as ann,
        connected("aio", await service.client_url("bob"), protocol) as bob,
    ):
        await ann.join("g")
        await bob.join("g")
        await ann.send("g", data, data_type)
        for client in (ann, bob):
            facts = await next_of(client, "group")
            assert (facts["group"], facts["from"], facts["type"]) == ("g", "ann", data_type)
            assert (bytes_of(facts["data"]) if data_type == "binary" else facts["data"]) == data


@every_client
async def test_a_sender_who_wants_no_echo_gets_none(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url()) as client:
        await client.join("g")
        await client.send("g", "quiet", no_echo=True)
        await client.send("g", "loud")
        assert (await next_of(client, "group"))["data"] == "loud"


@every_client
async def test_the_same_ack_id_twice_is_done_once(service: Service, kind: str) -> None:
    """The answer to the second is `Duplicate`, which clients take for success."""
    async with connected(kind, await service.client_url()) as client:
        await client.join("g")
        for _ in range(2):
            await client.send("g", "once", ack_id=77)
        await client.send("g", "last")
        heard = [(await next_of(client, "group"))["data"] for _ in range(2)]
        assert sorted(heard) == ["last", "once"]  # the blocking client calls back in any order


async def test_javascript_clients_tell_a_repeat(service: Service) -> None:
    async with connected("js", await service.client_url()) as client:
        assert isinstance(client, JsClient)
        send = {"group": "g", "data": "x", "type": "text", "options": {"ackId": 77}}
        assert [await client.node.run("send", **send) for _ in range(2)] == [False, True]


@every_client
async def test_a_message_may_be_sent_without_an_ack(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url(groups=["g"])) as client:
        await client.send("g", "sent", ack=False)
        assert (await next_of(client, "group"))["data"] == "sent"


@every_client
async def test_nobody_in_particular_may_connect_and_speak(service: Service, kind: str) -> None:
    token: Any = await service.sdk.get_client_access_token(roles=[SEND], groups=["g"])
    async with connected(kind, token["url"]) as client:
        assert (await next_of(client, "connected"))["user"] is None
        await client.send("g", "hello")
        assert (await next_of(client, "group"))["from"] is None


async def test_an_ack_id_whose_operation_failed_may_be_tried_again(service: Service) -> None:
    async with connected("js", await service.client_url(roles=[])) as client:
        assert isinstance(client, JsClient)
        with pytest.raises(Refused, match="Forbidden"):
            await client.node.run("join", group="g", ackId=5)
        [row] = await service.connections()
        await service.sdk.grant_permission("joinLeaveGroup", row["connectionId"])
        assert await client.node.run("join", group="g", ackId=5) is False


@every_client
@pytest.mark.parametrize(("media", "data_type"), [("text/plain", "text"), ("application/json", "json")])
async def test_the_reply_of_a_handler_comes_to_the_one_who_sent_the_event(
    service: Service, kind: str, media: str, data_type: str
) -> None:
    async def answer(_: Upstream, event: Event) -> web.Response:
        return web.Response(body=event.body, content_type=media)

    service.upstream.answers["ask"] = answer
    async with connected(kind, await service.client_url("ann")) as client:
        await client.event("ask", {"n": 1}, "json")
        facts = await next_of(client, "server")
        assert facts["type"] == data_type
        assert facts["data"] == ({"n": 1} if data_type == "json" else '{"n":1}')
        [event] = service.upstream.of("ask")
        assert event.headers["ce-type"] == "azure.webpubsub.user.ask"
        assert event.headers["content-type"] == "application/json"
        assert event.headers["ce-userid"] == "ann"
        assert event.headers["ce-subprotocol"] == PLAIN
        assert event.signed


@every_client
async def test_an_event_that_is_answered_with_nothing_is_done(service: Service, kind: str) -> None:
    async with connected(kind, await service.client_url()) as client:
        await client.event("note", "x")
        assert len(service.upstream.of("note")) == 1


@every_client
@pytest.mark.parametrize("status", [400, 500])
async def test_an_event_whose_handler_fails_is_refused_and_the_client_stays(
    service: Service, kind: str, status: int
) -> None:
    async def fail(_upstream: Upstream, _event: Event) -> web.Response:
        return web.Response(status=status)

    service.upstream.answers["bad"] = fail
    async with connected(kind, await service.client_url()) as client:
        with pytest.raises(Refused, match="InternalServerError"):
            await client.event("bad", "x")
        await client.event("good", "x")
        tries = 2 if status >= 500 else 1  # what a handler may do better next time is tried again
        assert len(service.upstream.of("bad")) % tries == 0


async def test_events_of_a_client_come_one_after_the_other_and_all_else_meanwhile(service: Service) -> None:
    release = asyncio.Event()

    async def wait(_upstream: Upstream, _event: Event) -> web.Response:
        await release.wait()
        return web.Response(status=204)

    service.upstream.answers["slow"] = wait
    async with connected("aio", await service.client_url()) as client:
        slow = asyncio.create_task(client.event("slow", "x"))
        await service.upstream.wait_for("slow")
        quick = asyncio.create_task(client.event("quick", "x"))
        await client.join("g")
        await client.send("g", "meanwhile")
        assert (await next_of(client, "group"))["data"] == "meanwhile"
        assert not service.upstream.of("quick")
        release.set()
        await asyncio.gather(slow, quick)
        assert [event.name for event in service.upstream.events[-2:]] == ["slow", "quick"]


async def test_an_event_without_a_handler_is_refused(service: Service) -> None:
    url = await service.client_url()
    async with service.http.put(f"{service.url}/_pubsub/hubs/chat/handlers", data=b"[]") as reply:
        assert reply.status == 204
    async with connected("aio", url) as client:
        with pytest.raises(Refused, match="InternalServerError"):
            await client.event("any", "x")
