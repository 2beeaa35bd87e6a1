"""Sockets that open without negotiation, through the gateway, and with events by the trigger and by the HTTP route."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.local.pubsub.clients import connected as vendor_client
from tests.local.pubsub.clients import next_of
from tests.support.clients import ChatClient, connected, eventually
from tests.support.sockets import RELIABLE, Socket, negotiate, room
from tests.support.stack import Stack

SECRET = "hunter2"
OWN_PAGE = "http://localhost:3000"  # of Host.CORS in the example of the settings


@pytest.fixture(scope="module", params=["trigger", "http"])
def either_way(request: pytest.FixtureRequest) -> Generator[Stack]:
    """The stack whose events come in this way, and which says all it does."""
    with Stack.start(env={"CHAT_WEBPUBSUB_EVENTS": request.param}, flags=["--verbose"]) as running:
        yield running


def by_http(stack: Stack) -> bool:
    """Whether its events come in by the app's own route."""
    return not any(
        row[1].startswith("socket_connect") for row in stack.command.lines if row[:1] == ["function"]
    )


def address(stack: Stack, path: str = "/ws") -> str:
    return stack.url.replace("http", "ws") + path


@asynccontextmanager
async def opened(stack: Stack, path: str = "/ws", *, protocol: str = "") -> AsyncGenerator[Socket]:
    socket = Socket(address(stack, path), protocol)
    await socket.open()
    yield socket
    await socket.aclose()


async def status_of(url: str, **options: Any) -> int:
    """How a handshake is answered: 101 when it opens."""
    try:
        async with connect(url, **options):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def sessions(client: ChatClient) -> list[Any]:
    return (await client.call("GET", "/api/v1/chat/sessions")).body["sessions"]


async def test_a_socket_says_who_it_is_and_has_a_session_once_it_speaks(either_way: Stack) -> None:
    async with connected(either_way.url) as client, opened(either_way, "/ws?user_id=Zo%C3%AB") as socket:
        zoe = client.as_user("UTF-8''Zo%C3%AB")
        await socket.send("[1]")
        assert await socket.next() == "Echo: [1]"
        assert await sessions(zoe) == []
        await socket.say(type="chat", payload={"text": "Hello, AI!"})
        start = await socket.of("chat_start")
        await socket.of("chat_chunk", payload={"text": "", "done": True})
        [session] = await sessions(zoe)
        assert (start["session_id"], session["user_id"]) == (session["id"], "Zoë")
        [question, _] = await zoe.messages(session["id"])
        assert question["author"] == "Zoë"


async def test_a_socket_comes_back_to_its_session(either_way: Stack) -> None:
    async with opened(either_way, "/ws/chat?user_id=back") as socket:
        await socket.say(message="plan a 3 day trip to Tokyo")
        first = await socket.next()
        await socket.of("done")
    assert [each.get("session_id", "") for each in socket.frames[1:]] == [""] * (len(socket.frames) - 1)
    async with opened(either_way, f"/ws?user_id=back&session_id={first['session_id']}") as socket:
        await socket.say(type="chat", payload={"text": "Hello, AI!"})
        assert (await socket.of("chat_start"))["session_id"] == first["session_id"]


async def test_everybody_in_a_room_sees_who_came_without_negotiation(either_way: Stack) -> None:
    async with connected(either_way.url) as client:
        session_id = await client.new_session()
        async with opened(either_way, room(session_id)) as direct:
            await direct.of("connection_established", session_id=session_id)
            negotiated = Socket((await negotiate(client, room(session_id)))["url"])
            await negotiated.open()
            await negotiated.of("connection_established")
            await direct.say(type="send_message", content="Hello, AI!")
            for socket in (direct, negotiated):
                await socket.of("message_update", action="completed")
            await negotiated.aclose()


async def test_a_client_of_the_service_s_own_needs_no_more_than_the_address(either_way: Stack) -> None:
    async with vendor_client("js", address(either_way), RELIABLE) as sdk:
        await sdk.event("chat", {"text": "Hello, AI!"}, "json")
        assert (await next_of(sdk, "group"))["data"]["type"] == "chat_start"


async def test_who_must_not_come_in_is_refused_at_the_door(either_way: Stack) -> None:
    unknown, wrong = (404, 422) if by_http(either_way) else (400, 400)
    async with connected(either_way.url) as client:
        session_id = await client.new_session()
        url = (await negotiate(client))["url"]
    hub, _, token = re.sub("&ticket=.*", "", url).partition("?")
    expected = {
        f"/ws?session_id={session_id}&user_id=eve": unknown,
        room(session_id) + "?user_id=eve": unknown,
        room("0" * 26): unknown,
        room("nonsense"): unknown,
        "/ws?user_id=" + "u" * 256: wrong,
        "/ws?dialect=nonsense": wrong,
        f"/ws?ticket={session_id}.nonsense": 401,
        f"/ws?{token}": 401,
        "/ws?access_token=nonsense": 401,
        room(session_id): 101,
        "/WS": 101,  # as the host matches the routes of functions
    }
    assert {path: await status_of(address(either_way, path)) for path in expected} == expected
    assert await status_of(f"{hub}?{token}&dialect=chat") == 401  # a token without its ticket


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/ws?dialect=nonsense", "Not one of chat, plan, session"),
        ("/ws?user_id=" + "u" * 256, "A user id has 1 to 255 characters"),
        (f"/ws?{SECRET}&ticket=x", "Negotiate again"),
    ],
)
async def test_a_refusal_says_why(either_way: Stack, path: str, why: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address(either_way, path)):
            pass
    said = (refused.value.response.body or b"").decode()
    assert why in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        (OWN_PAGE, 101),
        ("http://localhost:3001", 401),
        ("http://localhost", 401),
        ("http://127.0.0.1:9", 401),
        ("https://evil.example", 401),
        ("null", 401),
    ],
)
async def test_a_web_page_must_be_one_that_may(either_way: Stack, origin: Any, status: int) -> None:
    assert await status_of(address(either_way), origin=origin) == status


async def test_a_page_of_the_host_s_own_may(either_way: Stack) -> None:
    port = either_way.url.rpartition(":")[2]
    for origin in (f"http://localhost:{port}", f"http://127.0.0.1:{port}"):
        assert await status_of(address(either_way), origin=origin) == 101


async def test_authorization_is_kept_from_the_service_and_no_query_is_logged(either_way: Stack) -> None:
    headers = {"Authorization": f"Bearer {SECRET}"}
    assert await status_of(address(either_way, f"/ws?token={SECRET}"), additional_headers=headers) == 101
    assert await status_of(address(either_way, f"/ws?token={SECRET}&dialect=x")) in (400, 422)
    assert SECRET not in either_way.errors + either_way.command.output


@pytest.mark.parametrize("speaks", [True, False])
async def test_four_times_connect_makes_one_session_and_none_if_nobody_speaks(
    either_way: Stack, speaks: bool
) -> None:
    user = f"four-{speaks}"
    async with connected(either_way.url) as client, losing_replies(either_way, 3) as heard:
        async with opened(either_way, f"/ws?user_id={user}") as socket:
            if speaks:
                await socket.say(type="chat", payload={"text": "Hello, AI!"})
                await socket.of("chat_chunk", payload={"text": "", "done": True})
        await eventually(lambda: _said(heard, "disconnected"), seconds=5, what="disconnected")
        assert heard.count("connect") == 4
        assert len(await sessions(client.as_user(user))) == int(speaks)


async def _said(heard: list[str], name: str) -> bool:
    return name in heard


@asynccontextmanager
async def losing_replies(stack: Stack, count: int) -> AsyncGenerator[list[str]]:
    """The events that reach the app, while the service does not hear its first replies to `connect`."""
    heard: list[str] = []
    events = "api/webpubsub/events" if by_http(stack) else "runtime/webhooks/webpubsub"
    target = f"{stack.url}/{events}"
    async with aiohttp.ClientSession() as http:

        async def answer(request: web.Request) -> web.Response:
            async with http.request(
                request.method, target, headers=request.headers, data=await request.read()
            ) as reply:
                heard.append(request.headers.get("ce-eventName", ""))
                lost = heard[-1] == "connect" and heard.count("connect") <= count
                kept = ("ce-connectionstate", "webhook-allowed-origin", "content-type")
                headers = {name: value for name, value in reply.headers.items() if name.lower() in kept}
                return web.Response(
                    status=503 if lost else reply.status, body=await reply.read(), headers=headers
                )

        app = web.Application()
        app.router.add_route("*", "/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with http.post(f"{stack.socket_url}/_pubsub/settings", json={"retry_pauses": [0.02] * 3}):
            await take_events(http, stack, f"http://127.0.0.1:{runner.addresses[0][1]}/")
        yield heard
        await take_events(http, stack, target)
        await runner.cleanup()


async def take_events(http: aiohttp.ClientSession, stack: Stack, url: str) -> None:
    """Have the service send its events there."""
    async with http.put(f"{stack.socket_url}/_pubsub/hubs/chat/handlers", json=[{"url": url}]) as reply:
        assert reply.status == 204


async def test_every_instance_knows_a_session_that_another_one_made(pair: Stack, here: ChatClient) -> None:
    async with opened(pair, "/ws?user_id=spread") as socket:
        for number in range(6):
            await socket.say(type="chat", payload={"text": f"#chunks=2 {number}"})
            await socket.of("chat_chunk", payload={"text": "", "done": True})
        [session] = await sessions(here.as_user("spread"))
        said = await here.as_user("spread").messages(session["id"])
        assert [each["content"] for each in said[::2]] == [f"#chunks=2 {number}" for number in range(6)]


async def test_without_the_setting_nobody_comes_in_without_negotiation(
    start_stack: Callable[..., Stack],
) -> None:
    stack = await asyncio.to_thread(start_stack, env={"CHAT_SOCKET_DIRECT": "false"})
    assert await status_of(address(stack)) == 401
    async with connected(stack.url) as client:
        assert await status_of((await negotiate(client))["url"]) == 101
    functions = await asyncio.to_thread(lambda: stack.add_host().wait_ready())  # with no gateway before them
    assert await status_of(functions.replace("http", "ws") + "/ws") == 200
