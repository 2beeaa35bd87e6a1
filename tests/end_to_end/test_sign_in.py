"""`make run ARGS="--auth jwt"`: an issuer beside the stack, and what its tokens open, over two instances."""

import asyncio
import re
from collections.abc import AsyncGenerator, Generator
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import Socket
from tests.support.stack import Stack

SESSIONS = "/api/v1/chat/sessions"
CHANGES = 2  # of the issuer's keys


@pytest.fixture(scope="module")
def signed() -> Generator[Stack]:
    """The stack that signs people in, and says all it does."""
    with Stack.start(2, env=ONE_ATTEMPT, flags=["--auth", "jwt", "--verbose"]) as running:
        yield running


class Desk:
    """The issuer of the stack, and its app."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self.stack, self._http = stack, http

    async def token(self, **query: str) -> str:
        async with self._http.post(f"{self.stack.issuer_url}/token", params=query) as reply:
            assert reply.status == 200, await reply.text()
            return (await reply.json())["access_token"]

    async def rotate(self) -> None:
        async with self._http.post(f"{self.stack.issuer_url}/_oidc/rotate") as reply:
            assert reply.status == 200

    async def call(
        self, method: str, path: str, token: str = "", *, at: int = 0, body: Any = None, **headers: str
    ) -> tuple[int, Any]:
        given = {"authorization": f"Bearer {token}"} if token else {}
        url = self.stack.urls[at] + path
        async with self._http.request(method, url, json=body, headers=given | headers) as reply:
            return reply.status, await reply.json()


@pytest.fixture
async def at(signed: Stack) -> AsyncGenerator[Desk]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Desk(signed, http)


async def test_the_table_of_urls_shows_how_to_get_a_token(signed: Stack, at: Desk) -> None:
    [line] = [line for line in signed.command.output.splitlines() if line.startswith("token")]
    assert line.split(maxsplit=1)[1] == f"curl -X POST '{signed.issuer_url}/token?user=ann&roles=admin'"
    assert await at.token(user="ann", roles="admin")


async def test_who_has_a_token_is_known_on_every_instance_and_others_are_not(at: Desk) -> None:
    ann, bob = await at.token(user="ann"), await at.token(user="bob")
    status, session = await at.call("POST", SESSIONS, ann, body={})
    assert (status, session["user_id"]) == (201, "ann")
    path = f"{SESSIONS}/{session['id']}"
    assert (await at.call("GET", path, ann, at=1))[0] == 200
    assert (await at.call("GET", path, bob, at=1))[0] == 404
    wrong = [
        "",
        "x",
        ann[:-5],
        await at.token(user="ann", lifetime="-60"),
        await at.token(user="ann", audience="api://other"),
        await at.token(user="ann", claims='{"iss": "https://evil.example"}'),
    ]
    assert [(await at.call("GET", path, token))[0] for token in wrong] == [401] * len(wrong)
    assert (await at.call("GET", path, **{"x-dev-user": "ann", "x-user-id": "ann"}))[0] == 401


async def test_a_socket_opens_in_one_call_with_a_token(signed: Stack, at: Desk) -> None:
    token = await at.token(user="zoe")
    address = signed.url.replace("http", "ws") + "/ws"
    socket = Socket(f"{address}?token={token}")
    await socket.open()
    await socket.say(type="chat", payload={"text": "#chunks=2 Hello"})
    await socket.of("chat_chunk", payload={"text": "", "done": True})
    await socket.aclose()
    _, listed = await at.call("GET", SESSIONS, token, at=1)
    assert [each["user_id"] for each in listed["sessions"]] == ["zoe"]
    async with connect(address, additional_headers={"authorization": f"Bearer {token}"}):
        pass
    for path in ("", "?user_id=zoe", f"?token={token[:-5]}", f"?token={token}&token=x"):
        with pytest.raises(InvalidStatus) as caught:
            await connect(address + path)
        assert caught.value.response.status_code == 401


async def test_while_the_issuer_changes_its_keys_nobody_is_refused(at: Desk) -> None:
    done, refused = asyncio.Event(), list[Any]()

    async def keep_asking(user: str) -> int:
        asked = 0
        while not done.is_set():
            token = await at.token(user=user)
            for instance in (0, 1):
                status, body = await at.call("GET", SESSIONS, token, at=instance)
                refused.extend([body] if status != 200 else [])
                asked += 1
        return asked

    asking = [asyncio.create_task(keep_asking(f"user-{number}")) for number in range(4)]
    for _ in range(CHANGES):
        await asyncio.sleep(0.5)
        await at.rotate()
        latest = await at.token(user="latest")
        for instance in (0, 1):
            assert (await at.call("GET", SESSIONS, latest, at=instance))[0] == 200
    done.set()
    assert min(await asyncio.gather(*asking)) >= CHANGES
    assert refused == []


async def test_which_ways_are_on_is_told_to_admins_alone(at: Desk) -> None:
    ann, root = await at.token(user="ann"), await at.token(user="root", roles="admin")
    shown = [
        (await at.call("GET", "/api/v1/chat/health", token))[1]["dependencies"]["auth"]
        for token in ("", "x", ann, root)
    ]
    assert shown == [{"status": "healthy"}] * 3 + [{"status": "healthy", "ways": ["jwt"]}]


async def test_no_token_is_ever_logged(signed: Stack, at: Desk) -> None:
    token = await at.token(user="ann")
    await at.call("GET", f"{SESSIONS}?token={token}", token)
    await at.call("GET", SESSIONS, token[:-5])
    said = signed.errors + signed.command.output
    assert not re.search(r"eyJ[\w-]{20}", said)


@pytest.mark.parametrize(
    "query", ["", "?user=", "?user=a&lifetime=x", "?user=a&claims=7", "?user=a&claims={"]
)
async def test_what_the_issuer_cannot_make_it_refuses(at: Desk, query: str) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{at.stack.issuer_url}/token{query}") as reply,
    ):
        assert (reply.status, (await reply.json())["error"]) == (400, "invalid_request")
