"""Users whose names are not plain: over HTTP, in paths, on sockets, by either way that events come in."""

from collections.abc import AsyncGenerator, Generator
from urllib.parse import quote

import pytest

from tests.support.clients import ChatClient, connected
from tests.support.members import let_in
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import room, socket_of
from tests.support.stack import Stack

SESSIONS = "/api/v1/chat/sessions"
USERS = ["Zoë", "a/b", "a b", "Ünï/cødé 😀", "100%", "ann@example.com", "it's", "😀" * 255]


@pytest.fixture(scope="module", params=["trigger", "http"])
def either_way(request: pytest.FixtureRequest) -> Generator[Stack]:
    """The stack whose events come in this way; its worker answers without the host, too."""
    env = {"CHAT_WEBPUBSUB_EVENTS": request.param, **ONE_ATTEMPT}
    with Stack.start(env=env, flags=["--direct"]) as running:
        yield running


@pytest.fixture(params=["host", "worker"])
async def owner(request: pytest.FixtureRequest, either_way: Stack) -> AsyncGenerator[ChatClient]:
    url = either_way.url if request.param == "host" else either_way.worker_urls[0]
    async with connected(url) as client:
        yield client


@pytest.mark.parametrize("user", USERS, ids=lambda user: ascii(user[:12]))
async def test_a_user_is_the_same_by_every_door(owner: ChatClient, user: str) -> None:
    session_id = await owner.new_session()
    members = f"{SESSIONS}/{session_id}/members"
    member = f"{members}/{quote(user, safe='')}"
    await let_in(owner, session_id, user)
    assert (await owner.call("GET", members)).body["members"][1]["user_id"] == user
    known = owner.as_user(user)
    assert [each["id"] for each in (await known.call("GET", SESSIONS)).body["sessions"]] == [session_id]
    async with (
        socket_of(owner, room(session_id)) as watching,
        socket_of(known, room(session_id)) as socket,
    ):
        assert (await socket.of("connection_established"))["user_id"] == user
        assert (await watching.of("user_joined"))["user_id"] == user
        await socket.say(type="typing_start")
        assert (await watching.of("typing_indicator"))["user_id"] == user
        await socket.say(type="send_message", content="#chunks=1", request_id="r")
        await socket.of("ack")
        await socket.of("message_update", action="completed")
        assert not [each for each in socket.frames if each["type"] in ("user_joined", "typing_indicator")]
        present = {
            each["user_id"]: each["online"] for each in (await owner.call("GET", members)).body["members"]
        }
        assert present == {"dev": True, user: True}
    assert (await owner.messages(session_id))[0]["author"] == user
    assert (await owner.call("DELETE", member)).body["user_id"] == user
    assert (await known.call("GET", members)).status == 404


@pytest.mark.parametrize(
    ("header", "user"),
    [
        ("Zoe\u0308", "Zoë"),
        ("UTF-8''Zo%C3%AB%20%F0%9F%98%80", "Zoë 😀"),
        ("utf-8'en'a%2Fb", "a/b"),
        ("a%20b", "a%20b"),
    ],
)
async def test_a_header_may_be_written_in_several_ways(owner: ChatClient, header: str, user: str) -> None:
    reply = await owner.as_user(header).call("POST", SESSIONS, json={})
    assert reply.body["user_id"] == user


@pytest.mark.parametrize("segment", ["a%252Fb", "%20", "a%0Ab", "a%00", "x" * 256])
async def test_a_name_that_cannot_be_is_refused_in_a_path(owner: ChatClient, segment: str) -> None:
    path = f"{SESSIONS}/{await owner.new_session()}/members/{segment}"
    reply = await owner.call("PUT", path, json={"role": "viewer"})
    if segment == "a%252Fb":  # the platform's front end cannot tell it from a%2Fb
        assert (reply.status, reply.body["members"][1]["user_id"]) == (200, "a/b")
    else:
        assert (reply.status, reply.body["details"]["field"]) == (422, "user_id")
