"""Members and posted messages over HTTP: who may what, and what is wrong with a request."""

from typing import Any

import pytest

from tests.support.clients import ChatClient
from tests.support.members import let_in

BASE = "/api/v1/chat/sessions"


@pytest.fixture
async def session_id(client: ChatClient) -> str:
    return await client.new_session(title="Shared")


async def test_the_owner_lets_in_and_takes_out(client: ChatClient, session_id: str) -> None:
    path = f"{BASE}/{session_id}/members"
    await let_in(client, session_id, "bob")
    reply = await client.call("GET", path)
    assert reply.body["members"][1] == {
        "user_id": "bob",
        "role": "editor",
        "status": "member",
        "online": False,
        "last_seen": None,
    }
    bob = client.as_user("bob")
    assert (await bob.call("GET", path)).body == reply.body
    assert session_id in [each["id"] for each in (await bob.call("GET", BASE)).body["sessions"]]
    shown = (await bob.call("GET", f"{BASE}/{session_id}")).body
    assert shown["members"] == [{"user_id": "dev", "role": "owner"}, {"user_id": "bob", "role": "editor"}]
    reply = await client.call("DELETE", f"{path}/bob")
    assert reply.body == {"message": "Member removed", "session_id": session_id, "user_id": "bob"}
    assert (await bob.call("GET", path)).status == 404
    assert (await client.call("DELETE", f"{path}/bob")).status == 404


async def test_a_member_may_leave(client: ChatClient, session_id: str) -> None:
    path = f"{BASE}/{session_id}/members/bob"
    await let_in(client, session_id, "bob", "viewer")
    assert (await client.as_user("bob").call("DELETE", path)).status == 200
    assert (await client.as_user("bob").call("GET", f"{BASE}/{session_id}")).status == 404


# What each role may do: the owner, an editor, a viewer, a stranger.
ALLOWED: dict[str, tuple[str, str, Any, tuple[int, int, int, int]]] = {
    "read": ("GET", "", None, (200, 200, 200, 404)),
    "read messages": ("GET", "/messages", None, (200, 200, 200, 404)),
    "see members": ("GET", "/members", None, (200, 200, 200, 404)),
    "post": ("POST", "/messages", {"content": "x"}, (201, 201, 403, 404)),
    "rename": ("PUT", "", {"title": "x"}, (200, 200, 403, 404)),
    "share": ("PUT", "/members/eve", {"role": "viewer"}, (200, 403, 403, 404)),
    "take out": ("DELETE", "/members/other", None, (200, 403, 403, 404)),
    "take back": ("DELETE", "/members/{guest}", None, (200, 403, 403, 404)),
    "hand over": ("PUT", "/owner", {"user_id": "other"}, (200, 403, 403, 404)),
    "connect": ("GET", "/websocket", None, (200, 200, 200, 404)),
    "delete": ("DELETE", "", None, (200, 403, 403, 404)),
}


@pytest.mark.parametrize("deed", ALLOWED)
@pytest.mark.parametrize("number", range(5), ids=["owner", "editor", "viewer", "stranger", "guest"])
async def test_a_role_says_what_one_may(client: ChatClient, session_id: str, deed: str, number: int) -> None:
    for user, role in (("editor", "editor"), ("viewer", "viewer"), ("other", "viewer")):
        await let_in(client, session_id, user, role)
    guest = f"guest of {session_id}"  # who is invited, and has not answered
    await client.call("PUT", f"{BASE}/{session_id}/members/{guest}", json={"role": "viewer"})
    method, path, body, statuses = ALLOWED[deed]
    caller = client.as_user(("dev", "editor", "viewer", "stranger", guest)[number])
    reply = await caller.call(method, f"{BASE}/{session_id}{path.format(guest=guest)}", json=body)
    assert reply.status == statuses[min(number, 3)], reply.body  # who is only invited is a stranger
    if reply.status == 403:
        assert reply.body["error_code"] == "FORBIDDEN"


async def test_a_viewer_asks_nothing_and_stops_nothing(client: ChatClient, session_id: str) -> None:
    await let_in(client, session_id, "vera", "viewer")
    vera = client.as_user("vera")
    reply = await vera.call("POST", f"{BASE}/{session_id}/turns", json={"content": "x"})
    assert reply.status == 403
    async with client.ask(session_id, "#chunks=1000 #rate=50") as stream:
        await stream.take(3)
        assert (await vera.cancel(stream.turn_id)).status == 403
        for on_busy in ("reject", "queue", "interrupt"):  # not 409: whether it is busy is not the point
            body = {"content": "x", "on_busy": on_busy}
            assert (await vera.call("POST", f"{BASE}/{session_id}/turns", json=body)).status == 403
        async with vera.follow(stream.turn_id) as watched:
            await watched.take(3)
        assert (await client.cancel(stream.turn_id)).status == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/members/bob", {"role": "owner"}, "role"),
        ("/members/bob", {}, "role"),
        ("/members/dev", {"role": "viewer"}, "user_id"),
        ("/members/" + "x" * 256, {"role": "viewer"}, "user_id"),
    ],
)
async def test_a_wrong_member_is_named(
    client: ChatClient, session_id: str, path: str, body: Any, field: str
) -> None:
    reply = await client.call("PUT", f"{BASE}/{session_id}{path}", json=body)
    assert (reply.status, reply.body["details"]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "content"),
        ({"content": " "}, "content"),
        ({"content": "x", "role": "tool"}, "role"),
        ({"content": "x", "metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"content": "x", "metadata": {"continues": "x"}}, "metadata.continues"),
        ({"content": "x", "role": "assistant", "metadata": {"tool_calls": []}}, "metadata.tool_calls"),
    ],
)
async def test_a_wrong_message_is_named(client: ChatClient, session_id: str, body: Any, field: str) -> None:
    reply = await client.call("POST", f"{BASE}/{session_id}/messages", json=body)
    assert (reply.status, reply.body["details"]["field"]) == (422, field)


async def test_a_posted_message_is_stored_and_asks_nothing(client: ChatClient, session_id: str) -> None:
    body = {"content": "Note", "role": "system", "metadata": {"a": 1}, "parent_message_id": "p"}
    reply = await client.call("POST", f"{BASE}/{session_id}/messages", json=body)
    assert reply.status == 201
    assert body.items() <= reply.body.items()
    assert reply.body["author"] == "dev"
    assert await client.messages(session_id) == [reply.body]
    assert (await client.call("GET", f"{BASE}/{session_id}")).body["running_turn"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [("?dialect=delta", "dialect"), ("?dialect=x", "dialect"), ("?protocol=mqtt", "protocol")],
)
async def test_a_way_to_a_socket_that_is_none_is_named(client: ChatClient, query: str, field: str) -> None:
    reply = await client.call("GET", f"/ws{query}")
    assert (reply.status, reply.body["details"]["field"]) == (422, field)


async def test_the_way_to_a_socket_says_all_that_a_client_needs(client: ChatClient) -> None:
    reply = await client.call("GET", "/ws/chat?protocol=json.reliable.webpubsub.azure.v1")
    assert reply.body["url"].startswith("ws://127.0.0.1")
    assert (reply.body["dialect"], reply.body["protocol"]) == ("plan", "json.reliable.webpubsub.azure.v1")
    assert (await client.call("GET", f"{BASE}/{reply.body['session_id']}")).status == 200
    again = await client.call("GET", f"/ws?session_id={reply.body['session_id']}&dialect=session")
    assert (again.body["dialect"], again.body["session_id"]) == ("session", reply.body["session_id"])
