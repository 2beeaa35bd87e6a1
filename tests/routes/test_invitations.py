"""Invitations and the owner of a session over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.clients import ChatClient
from tests.support.members import let_in

SESSIONS, INVITATIONS = "/api/v1/chat/sessions", "/api/v1/chat/invitations"
ADMIN = {"x-dev-roles": "admin"}


@pytest.fixture
async def session_id(client: ChatClient) -> str:
    session_id = await client.new_session(title="Shared")
    await client.call("POST", f"{SESSIONS}/{session_id}/messages", json={"content": "a secret"})
    return session_id


async def members_of(client: ChatClient, session_id: str) -> list[tuple[str, str, str]]:
    reply = await client.call("GET", f"{SESSIONS}/{session_id}/members")
    return [(each["user_id"], each["role"], each["status"]) for each in reply.body["members"]]


async def invited_to(client: ChatClient) -> list[Any]:
    return (await client.call("GET", INVITATIONS)).body["invitations"]


async def test_who_is_invited_reads_nothing_and_is_told_who_invites(
    client: ChatClient, session_id: str
) -> None:
    reply = await client.call("PUT", f"{SESSIONS}/{session_id}/members/ivy", json={"role": "editor"})
    invited = {"user_id": "ivy", "role": "editor", "status": "invited", "online": False, "last_seen": None}
    assert (reply.status, reply.body["members"][1]) == (200, invited)
    ivy = client.as_user("ivy")
    [found] = await invited_to(ivy)
    ends = datetime.fromisoformat(found["expires_at"]) - datetime.fromisoformat(found["invited_at"])
    assert ends == timedelta(days=30)
    said = ("session_id", "title", "invited_by", "role", "invited_at", "expires_at")
    assert list(found) == list(said)
    assert [found[name] for name in said[:4]] == [session_id, "Shared", "dev", "editor"]
    for path in ("", "/messages", "/members", "/websocket"):
        assert (await ivy.call("GET", f"{SESSIONS}/{session_id}{path}")).status == 404
    assert (await ivy.call("GET", f"/ws?session_id={session_id}")).status == 404
    body = {"content": "x"}
    assert (await ivy.call("POST", f"{SESSIONS}/{session_id}/turns", json=body)).status == 404
    assert (await ivy.call("DELETE", f"{SESSIONS}/{session_id}/members/ivy")).status == 404
    assert (await ivy.call("GET", SESSIONS)).body["total_count"] == 0
    shown = (await client.call("GET", f"{SESSIONS}/{session_id}")).body
    assert shown["members"] == [{"user_id": "dev", "role": "owner"}]


async def test_who_accepts_gets_the_session(client: ChatClient, session_id: str) -> None:
    await client.call("PUT", f"{SESSIONS}/{session_id}/members/may", json={"role": "viewer"})
    may = client.as_user("may")
    for _ in range(2):
        reply = await may.call("POST", f"{INVITATIONS}/{session_id}/accept")
        assert reply.status == 200
        assert reply.body == (await may.call("GET", f"{SESSIONS}/{session_id}")).body
    assert await invited_to(may) == []
    assert [each["id"] for each in (await may.call("GET", SESSIONS)).body["sessions"]] == [session_id]
    assert await members_of(client, session_id) == [
        ("dev", "owner", "member"),
        ("may", "viewer", "member"),
    ]


async def test_who_declines_is_in_the_list_of_members_no_more(client: ChatClient, session_id: str) -> None:
    await client.call("PUT", f"{SESSIONS}/{session_id}/members/nan", json={"role": "viewer"})
    nan = client.as_user("nan")
    reply = await nan.call("POST", f"{INVITATIONS}/{session_id}/decline")
    assert (reply.status, reply.body) == (200, {"message": "Invitation declined", "session_id": session_id})
    assert await invited_to(nan) == []
    assert await members_of(client, session_id) == [("dev", "owner", "member")]
    for answer in ("accept", "decline"):
        reply = await nan.call("POST", f"{INVITATIONS}/{session_id}/{answer}")
        assert (reply.status, reply.body["error_code"]) == (404, "INVITATION_NOT_FOUND")


async def test_an_invitation_is_taken_back_and_made_anew(client: ChatClient, session_id: str) -> None:
    path, pam = f"{SESSIONS}/{session_id}/members/pam", client.as_user("pam")
    await client.call("PUT", path, json={"role": "viewer"})
    await client.call("PUT", path, json={"role": "editor"})
    assert [each["role"] for each in await invited_to(pam)] == ["editor"]
    reply = await client.call("DELETE", path)
    assert reply.body["message"] == "Invitation taken back"
    assert (await client.call("DELETE", path)).status == 404
    assert (await pam.call("POST", f"{INVITATIONS}/{session_id}/accept")).status == 404
    await let_in(client, session_id, "pam", "viewer")
    reply = await client.call("PUT", path, json={"role": "editor"})  # a member's role changes at once
    assert (reply.body["members"][1]["role"], reply.body["members"][1]["status"]) == ("editor", "member")


async def test_a_member_sees_who_is_invited_and_cannot_change_it(client: ChatClient, session_id: str) -> None:
    await let_in(client, session_id, "bob", "editor")
    await client.call("PUT", f"{SESSIONS}/{session_id}/members/kim", json={"role": "viewer"})
    bob = client.as_user("bob")
    assert (await members_of(bob, session_id))[2] == ("kim", "viewer", "invited")
    assert (await bob.call("DELETE", f"{SESSIONS}/{session_id}/members/kim")).status == 403
    assert (
        await bob.call("PUT", f"{SESSIONS}/{session_id}/members/kim", json={"role": "editor"})
    ).status == 403


async def test_invitations_are_listed_as_sessions_are(client: ChatClient) -> None:
    ids = [await client.as_user(f"host{number}").new_session() for number in range(3)]
    for number, each in enumerate(ids):
        path = f"{SESSIONS}/{each}/members/quin"
        await client.as_user(f"host{number}").call("PUT", path, json={"role": "viewer"})
    quin = client.as_user("quin")
    page = (await quin.call("GET", f"{INVITATIONS}?page_size=2")).body
    assert [each["session_id"] for each in page["invitations"]] == [ids[2], ids[1]]
    assert page["invitations"][0]["title"] is None
    assert (page["page"], page["page_size"], page["has_more"], page["total_count"]) == (1, 2, True, 3)
    for query in (f"page_size=2&cursor={page['next_cursor']}", "page_size=2&page=2"):
        rest = (await quin.call("GET", f"{INVITATIONS}?{query}")).body
        assert [each["session_id"] for each in rest["invitations"]] == [ids[0]]
        assert (rest["has_more"], rest["next_cursor"], rest["total_count"]) == (False, None, 3)
    reply = await quin.call("GET", f"{INVITATIONS}?cursor=x")
    assert (reply.status, reply.body["details"]["field"]) == (422, "cursor")


async def test_too_many_invitations_are_refused(client: ChatClient) -> None:
    host = client.as_user("flood")
    for number in range(11):
        path = f"{SESSIONS}/{await host.new_session()}/members/victim"
        reply = await host.call("PUT", path, json={"role": "viewer"})
        assert reply.status == (200 if number < 10 else 409)
    assert reply.body["error_code"] == "TOO_MANY_INVITATIONS"
    assert len(await invited_to(client.as_user("victim"))) == 10


async def test_invitations_go_with_their_session(client: ChatClient, session_id: str) -> None:
    await client.call("PUT", f"{SESSIONS}/{session_id}/members/rob", json={"role": "viewer"})
    await client.call("DELETE", f"{SESSIONS}/{session_id}")
    assert await invited_to(client.as_user("rob")) == []
    reply = await client.as_user("rob").call("POST", f"{INVITATIONS}/{session_id}/accept")
    assert (reply.status, reply.body["error_code"]) == (404, "INVITATION_NOT_FOUND")


async def test_a_session_is_handed_over(client: ChatClient, session_id: str) -> None:
    await let_in(client, session_id, "bob", "viewer")
    path, bob = f"{SESSIONS}/{session_id}/owner", client.as_user("bob")
    assert (await bob.call("PUT", path, json={"user_id": "bob"})).status == 403
    reply = await client.call("PUT", path, json={"user_id": " bob "})  # as user ids are read everywhere
    assert reply.status == 200
    assert await members_of(bob, session_id) == [("bob", "owner", "member"), ("dev", "editor", "member")]
    shown = (await bob.call("GET", f"{SESSIONS}/{session_id}")).body
    assert (shown["user_id"], shown["members"][0]) == ("bob", {"user_id": "bob", "role": "owner"})
    assert session_id in {each["id"] for each in (await client.call("GET", SESSIONS)).body["sessions"]}
    assert (await client.call("PUT", path, json={"user_id": "dev"})).status == 403
    assert (await client.call("DELETE", f"{SESSIONS}/{session_id}")).status == 403
    assert (await bob.call("DELETE", f"{SESSIONS}/{session_id}/members/dev")).status == 200
    assert (await client.call("GET", f"{SESSIONS}/{session_id}")).status == 404
    assert (await bob.call("DELETE", f"{SESSIONS}/{session_id}")).status == 200


async def test_the_owner_cannot_leave_without_handing_over(client: ChatClient, session_id: str) -> None:
    await let_in(client, session_id, "bob", "editor")
    reply = await client.call("DELETE", f"{SESSIONS}/{session_id}/members/dev")
    assert (reply.status, reply.body["details"]["field"]) == (422, "user_id")
    assert "hand the session over" in reply.body["details"]["message"]
    bob = client.as_user("bob")
    assert (await bob.call("DELETE", f"{SESSIONS}/{session_id}/members/dev")).status == 403
    await client.call("PUT", f"{SESSIONS}/{session_id}/owner", json={"user_id": "bob"})
    assert (await client.call("DELETE", f"{SESSIONS}/{session_id}/members/dev")).status == 200
    assert await members_of(bob, session_id) == [("bob", "owner", "member")]


@pytest.mark.parametrize(
    "body", [{}, {"user_id": ""}, {"user_id": "eve"}, {"user_id": "x" * 256}, {"user_id": 1}]
)
async def test_a_wrong_owner_is_named(client: ChatClient, session_id: str, body: Any) -> None:
    await client.call("PUT", f"{SESSIONS}/{session_id}/members/eve", json={"role": "viewer"})  # invited only
    reply = await client.call("PUT", f"{SESSIONS}/{session_id}/owner", json=body)
    assert (reply.status, reply.body["details"]["field"]) == (422, "user_id")


async def test_the_members_of_an_owner_who_is_gone_go_on_and_an_admin_hands_over(
    client: ChatClient,
) -> None:
    """The organisation has let the owner go: nobody can sign in as them any more."""
    gone = client.as_user("gone")
    session_id = await gone.new_session(title="Left behind")
    await let_in(gone, session_id, "bob", "editor")
    await gone.call("PUT", f"{SESSIONS}/{session_id}/members/late", json={"role": "viewer"})
    bob, late, root = (client.as_user(user) for user in ("bob", "late", "root"))
    async with bob.ask(session_id, "#chunks=3") as stream:
        assert (await stream.read())[-1].payload["payload"] == {"text": "", "done": True}
    assert (await late.call("POST", f"{INVITATIONS}/{session_id}/accept")).status == 200
    path = f"{SESSIONS}/{session_id}/owner"
    assert (await bob.call("PUT", path, json={"user_id": "bob"})).status == 403
    assert (await root.call("PUT", path, json={"user_id": "bob"})).status == 404  # no admin yet
    reply = await root.call("PUT", path, json={"user_id": "root"}, headers=ADMIN)
    assert reply.status == 422  # not to oneself: an admin is no member
    for _ in range(2):
        reply = await root.call("PUT", path, json={"user_id": "bob"}, headers=ADMIN)
        assert (reply.status, reply.body["members"][0]["user_id"]) == (200, "bob")
    assert (await root.call("GET", f"{SESSIONS}/{session_id}")).status == 404
    audit = (await root.call("GET", "/api/v1/chat/audit?page_size=3", headers=ADMIN)).body
    assert {(each["actor"], each["action"], each["path"]) for each in audit["entries"]} == {
        ("root", "put_owner", path)
    }
    assert [each["to"] for each in audit["entries"]] == ["bob", "bob", "root"]
    assert (await bob.call("DELETE", f"{SESSIONS}/{session_id}/members/gone")).status == 200
    assert await members_of(late, session_id) == [("bob", "owner", "member"), ("late", "viewer", "member")]
    assert len(await late.messages(session_id)) == 2
