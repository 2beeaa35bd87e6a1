"""What an admin reads of other people's: where that may be, and that each time is noted before it is read."""

import pytest
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.errors import StoreUnavailable
from chat.routes.replies import answer
from chat.routes.route_table import Route
from tests.support.apps import make_app
from tests.support.clients import ChatClient

BASE = "/api/v1/chat"


@pytest.fixture
async def session_id(client: ChatClient) -> str:
    return await client.as_user("for-others").new_session(title="Hers")


async def test_an_admin_reads_what_is_anothers_and_each_time_is_noted(
    client: ChatClient, session_id: str
) -> None:
    owner, admin = client.as_user("for-others"), client.as_admin()
    async with owner.ask(session_id, "hello") as stream:
        await stream.read()
        turn_id = stream.turn_id
    reads = {
        "list_sessions": f"{BASE}/sessions",
        "get_session": f"{BASE}/sessions/{session_id}",
        "list_messages": f"{BASE}/sessions/{session_id}/messages",
        "list_members": f"{BASE}/sessions/{session_id}/members",
        "get_turn": f"{BASE}/turns/{turn_id}",
    }
    for path in reads.values():
        theirs = await owner.call("GET", path)
        assert theirs.status == 200
        assert (await admin.call("GET", f"{path}?user_id=for-others")).body == theirs.body
    lines = (await admin.call("GET", f"{BASE}/audit?page_size={len(reads)}")).body["entries"]
    assert [(line["action"], line["path"]) for line in lines[::-1]] == list(reads.items())
    assert {(line["actor"], line["user_id"]) for line in lines} == {("root", "for-others")}


async def test_without_a_name_an_admin_sees_their_own_alone(client: ChatClient, session_id: str) -> None:
    admin = client.as_admin()
    assert (await admin.call("GET", f"{BASE}/sessions/{session_id}")).status == 404
    assert (await admin.call("GET", f"{BASE}/sessions?user_id=")).body["sessions"] == []


async def test_their_own_name_is_no_reading_of_another(client: ChatClient) -> None:
    someone = client.as_user("someone")
    assert (await someone.call("GET", f"{BASE}/sessions?user_id=someone")).status == 200


async def test_nobody_else_reads_what_is_anothers(client: ChatClient, session_id: str) -> None:
    for path in ("/sessions", f"/sessions/{session_id}", f"/sessions/{session_id}/messages"):
        reply = await client.as_user("eve").call("GET", f"{BASE}{path}?user_id=for-others")
        assert (reply.status, reply.body["error_code"]) == (403, "FORBIDDEN")


async def test_an_admin_writes_nothing_for_others(client: ChatClient, session_id: str) -> None:
    admin = client.as_admin()
    path = f"{BASE}/sessions/{session_id}"
    assert (await admin.call("PUT", f"{path}?user_id=for-others", json={"title": "Mine"})).status == 404
    assert (await admin.call("DELETE", f"{path}?user_id=for-others")).status == 404
    reply = await admin.call("POST", f"{path}/messages?user_id=for-others", json={"content": "x"})
    assert reply.status == 404


async def test_a_name_that_can_be_none_is_refused_by_name(client: ChatClient) -> None:
    reply = await client.as_admin().call("GET", f"{BASE}/sessions?user_id={'u' * 256}")
    assert (reply.status, reply.body["details"]["field"]) == (422, "user_id")


async def test_the_log_is_for_admins(client: ChatClient) -> None:
    reply = await client.call("GET", f"{BASE}/audit")
    assert (reply.status, reply.body["error_code"]) == (403, "FORBIDDEN")


async def test_a_followed_turn_is_noted_too(client: ChatClient, session_id: str) -> None:
    async with client.as_user("for-others").ask(session_id, "hello") as stream:
        said = [frame.data for frame in await stream.read()]
        turn_id = stream.turn_id
    admin = client.as_admin()
    path = f"{BASE}/turns/{turn_id}/events?dialect=chat&user_id=for-others"
    async with admin.open("GET", path) as stream:
        assert [frame.data for frame in await stream.read()] == said
    assert (await admin.call("GET", f"{BASE}/audit")).body["entries"][0]["action"] == "follow_turn"


async def test_what_cannot_be_noted_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = make_app()
    parts.store.fail_next("note_audit", StoreUnavailable())
    monkeypatch.setattr("chat.app._current", parts.app)
    headers = [(b"x-dev-user", b"root"), (b"x-dev-roles", b"admin")]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "query_string": b"user_id=ann",
        "headers": headers,
    }
    reply = await answer(Request(scope), _never, Route("x:read", "", for_others=True))
    assert reply.status_code == 503


async def _never(_app: ChatApp, _principal: Principal, _request: Request) -> Response:
    raise AssertionError("what is another's was read")
