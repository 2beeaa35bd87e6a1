"""Sessions over HTTP, as docs/protocol.md section 7 shows them."""

import asyncio
import re
from typing import Any

import pytest

from tests.routes.conftest import Tables
from tests.support.clients import ChatClient, Reply

SESSIONS = "/api/v1/chat/sessions"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
EVERY_PLANE = "\t\n\"'\\ é 漢字 \u2028 \ufeff 😀👩‍👩‍👧 \U0001f9ff \U00020000 \U000e0001 \U0010fffd"


async def create(client: ChatClient, **body: Any) -> Reply:
    return await client.call("POST", SESSIONS, json=body)


async def listed(client: ChatClient, query: str = "") -> Any:
    reply = await client.call("GET", SESSIONS + query)
    assert reply.status == 200, reply
    return reply.body


async def test_a_new_session_is_201_with_every_key(client: ChatClient) -> None:
    reply = await create(client)
    found = reply.body
    assert reply.status == 201
    assert ULID.fullmatch(found["id"])
    assert ISO.fullmatch(found["created_at"])
    assert found["updated_at"] == found["created_at"]
    assert found | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "title": None,
        "user_id": "dev",
        "llm_provider": "AZURE",
        "llm_model": "",
        "created_at": "",
        "updated_at": "",
        "is_active": True,
        "message_count": 0,
        "settings": {},
        "summary": "",
        "running_turn": None,
        "members": [{"user_id": "dev", "role": "owner"}],
    }


async def test_a_session_has_what_it_was_made_with(client: ChatClient) -> None:
    body = {"title": EVERY_PLANE, "llm_model": "gpt-5", "llm_provider": "AZURE", "settings": {"a": [1, None]}}
    made = (await create(client, **body)).body
    assert made | body == made


async def test_a_session_is_read_as_it_was_made(client: ChatClient) -> None:
    made = (await create(client, title=EVERY_PLANE, settings={"deep": {"😀": 1.5}})).body
    reply = await client.call("GET", f"{SESSIONS}/{made['id']}")
    assert (reply.status, reply.body) == (200, made)


async def test_null_is_as_if_left_out(client: ChatClient) -> None:
    nothing = {"title": None, "llm_provider": None, "llm_model": None, "settings": None}
    reply = await create(client, **nothing)
    plain = (await create(client)).body
    assert (reply.status, {name: reply.body[name] for name in nothing}) == (
        201,
        {name: plain[name] for name in nothing},
    )
    path = f"{SESSIONS}/{reply.body['id']}"
    await client.call("PUT", path, json={"title": "Kept"})
    changed = await client.call("PUT", path, json={**nothing, "is_active": None})
    assert (changed.status, changed.body["title"], changed.body["is_active"]) == (200, "Kept", True)


async def test_a_session_has_no_title_until_its_first_message(client: ChatClient) -> None:
    session_id = await client.new_session()
    assert (await client.call("GET", f"{SESSIONS}/{session_id}")).body["title"] is None
    body = {"content": "What is new?", "role": None, "metadata": None, "parent_message_id": None}
    posted = await client.call("POST", f"{SESSIONS}/{session_id}/messages", json=body)
    assert (posted.status, posted.body["role"], posted.body["metadata"]) == (201, "user", {})
    assert (await client.call("GET", f"{SESSIONS}/{session_id}")).body["title"] == "What is new?"


async def test_a_turn_counts_its_messages_and_moves_updated_at(client: ChatClient) -> None:
    made = (await create(client)).body
    await client.hear("#chunks=1", made["id"])
    found = (await client.call("GET", f"{SESSIONS}/{made['id']}")).body
    assert found["message_count"] == 2
    assert found["updated_at"] > made["updated_at"]
    assert found["created_at"] == made["created_at"]


async def test_a_session_names_its_turn_for_as_long_as_it_runs(client: ChatClient) -> None:
    async with client.say("#chunks=8 #rate=20") as stream:
        path = f"{SESSIONS}/{stream.session_id}"
        await stream.take(1)
        assert (await client.call("GET", path)).body["running_turn"] == stream.turn_id
        await client.until_ended(stream.turn_id)
        assert (await client.call("GET", path)).body["running_turn"] is None


async def test_the_list_is_newest_first_and_ones_own(client: ChatClient) -> None:
    lister, other = client.as_user("lister"), client.as_user("other")
    made = [await lister.new_session(title=str(number)) for number in range(5)]
    await other.new_session()
    found = await listed(lister)
    assert [each["id"] for each in found["sessions"]] == made[::-1]
    assert found | {"sessions": []} == {
        "sessions": [],
        "page": 1,
        "page_size": 50,
        "has_more": False,
        "next_cursor": None,
        "total_count": 5,
    }


async def test_a_session_in_the_list_is_the_session(client: ChatClient) -> None:
    owner = client.as_user("one")
    heard = await owner.hear("#chunks=1")
    found = (await owner.call("GET", f"{SESSIONS}/{heard.session_id}")).body
    assert (await listed(owner))["sessions"] == [found]


async def test_who_has_no_session_gets_an_empty_list(client: ChatClient) -> None:
    assert (await listed(client.as_user("nobody yet")))["sessions"] == []


@pytest.mark.parametrize("total", [6, 7])
async def test_pages_cut_the_list_without_a_gap(client: ChatClient, total: int) -> None:
    pager = client.as_user(f"pager {total}")
    made = [await pager.new_session() for _ in range(total)][::-1]
    pages = [await listed(pager, f"?page={page}&page_size=3") for page in range(1, 5)]
    assert [[each["id"] for each in page["sessions"]] for page in pages] == [
        made[:3],
        made[3:6],
        made[6:],
        [],
    ]
    assert [page["has_more"] for page in pages] == [True, total > 6, False, False]
    assert [page["page"] for page in pages] == [1, 2, 3, 4]
    assert [page["total_count"] for page in pages] == [total] * 4


async def test_cursors_lead_through_the_list(client: ChatClient) -> None:
    pager = client.as_user("cursor")
    made = [await pager.new_session() for _ in range(5)][::-1]
    found, query = [], "?page_size=2"
    while True:
        page = await listed(pager, query)
        found += [each["id"] for each in page["sessions"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        assert page["total_count"] == 5
        if not page["has_more"]:
            break
        query = f"?page_size=2&cursor={page['next_cursor']}"
    assert found == made


BAD_QUERIES = [
    ("page=0", "page"),
    ("page=-1", "page"),
    ("page=x", "page"),
    ("page_size=0", "page_size"),
    ("page_size=1000000", "page_size"),
    ("cursor=nonsense", "cursor"),
]


@pytest.mark.parametrize(("query", "field"), BAD_QUERIES)
async def test_a_bad_query_is_named(client: ChatClient, query: str, field: str) -> None:
    reply = await client.call("GET", f"{SESSIONS}?{query}")
    assert (reply.status, reply.body["details"]["field"]) == (422, field)


async def test_a_deleted_session_is_gone_with_all_that_it_had(client: ChatClient, tables: Tables) -> None:
    deleter = client.as_user("deleter")
    before = tables.rows()
    heard = await deleter.hear("#chunks=1")
    path = f"{SESSIONS}/{heard.session_id}"
    reply = await deleter.call("DELETE", path)
    assert (reply.status, reply.body) == (200, {"message": "Session deleted", "id": heard.session_id})
    for method, gone in (("GET", path), ("GET", f"{path}/messages"), ("DELETE", path)):
        assert (await deleter.call(method, gone)).status == 404
    assert (await deleter.call("GET", f"/api/v1/chat/turns/{heard.turn_id}")).status == 404
    assert (await listed(deleter))["sessions"] == []
    # What it used; the timer will find done what is due of it.
    assert tables.rows() == before | {"chatusage": before["chatusage"] + 1}


async def test_deleting_a_session_stops_its_turn(client: ChatClient) -> None:
    async with client.say("#endless #rate=20") as stream, asyncio.timeout(5):
        await stream.take(1)
        reply = await client.call("DELETE", f"{SESSIONS}/{stream.session_id}")
        assert reply.status == 200
        assert (await client.turn(stream.turn_id))["error_code"] == "TURN_NOT_FOUND"
        await stream.read()


TITLES = [("x" * 500, 201), ("😀" * 500, 201), ("x" * 501, 422), ("😀" * 501, 422)]


@pytest.mark.parametrize(("title", "status"), TITLES, ids=["500", "500 emoji", "501", "501 emoji"])
async def test_a_title_has_at_most_500_characters(client: ChatClient, title: str, status: int) -> None:
    reply = await create(client, title=title)
    assert reply.status == status
    assert reply.body.get("title") == (title if status == 201 else None)
    assert status == 201 or reply.body["details"]["field"] == "title"


FIELDS = [
    ({"title": 7}, "title"),
    ({"llm_model": "x" * 101}, "llm_model"),
    ({"llm_provider": "azure"}, "llm_provider"),
    ({"llm_provider": "NOBODY"}, "llm_provider"),
    ({"settings": []}, "settings"),
    ({"settings": "x"}, "settings"),
]


@pytest.mark.parametrize(("body", "field"), FIELDS, ids=repr)
async def test_a_bad_field_is_named_and_no_row_written(
    client: ChatClient, tables: Tables, body: dict[str, Any], field: str
) -> None:
    before = tables.rows()
    reply = await create(client, **body)
    assert (reply.status, reply.body["error_code"]) == (422, "INVALID_INPUT")
    assert reply.body["details"]["field"] == field
    assert tables.rows() == before


@pytest.mark.parametrize(
    "user", ["x" * 255, "auth0|a/b\\c#d?e%f+g", "ann@example.com", "O'Hara", "a b", "100%", ".", "~"]
)
async def test_any_user_id_of_255_characters_will_do(client: ChatClient, user: str) -> None:
    owner = client.as_user(user)
    heard = await owner.hear("#chunks=1")
    assert [each["id"] for each in (await listed(owner))["sessions"]] == [heard.session_id]
    found = (await owner.call("GET", f"{SESSIONS}/{heard.session_id}")).body
    assert (found["user_id"], found["members"]) == (user, [{"user_id": user, "role": "owner"}])


async def test_a_longer_user_id_is_refused(client: ChatClient) -> None:
    reply = await client.as_user("x" * 256).call("GET", SESSIONS)
    assert (reply.status, reply.body["details"]["field"]) == (422, "x-dev-user")
