"""Every route that makes something, asked the same again with its Idempotency-Key, over the whole stack."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from tests.routes.builders import answering
from tests.routes.conftest import Tables
from tests.support.clients import ChatClient, eventually
from tests.support.http_instance import table_of_routes

SESSION = "/api/v1/chat/sessions/{session_id}"


@dataclass(frozen=True)
class World:
    """What is there to ask about."""

    session_id: str
    turn_id: str  # of a plan
    message_id: str

    def path(self, template: str) -> str:
        return template.format(session_id=self.session_id, turn_id=self.turn_id, message_id=self.message_id)


BODIES: dict[str, Any] = {
    "/api/chat/stream": {"messages": [{"role": "user", "content": answering("Hello")}]},
    "/api/v1/chat/sessions": {"title": "Mine", "settings": {"a": 1}},
    SESSION + "/messages": {"content": "A note", "metadata": {"a": 1}},
    SESSION + "/turns": {"content": answering("Hello"), "dialect": "chat"},
    "/api/v1/chat/turns/{turn_id}/rerun": {"from_stage": "plan"},
    "/api/v1/chat/messages/{message_id}/regenerate": None,
    "/chat": {"message": "a day in Rome"},
    "/api/openai/v1/responses": {"input": answering("Hello")},
    "/api/openai/v1/chat/completions": {"messages": [{"role": "user", "content": answering("Hello")}]},
    "/api/ai-chat": {"messages": [{"role": "user", "content": answering("Hello")}]},
    "/api/ai-chat/stream": {"messages": [{"role": "user", "content": answering("Hello")}]},
    "/api/chat": {
        "id": "chat-1",
        "trigger": "submit-message",
        "messages": [
            {"id": "1", "role": "user", "parts": [{"type": "text", "text": answering("Hello")}]},
        ],
    },
    "/api/ag-ui": {
        "threadId": "t",
        "runId": "r",
        "messages": [{"id": "1", "role": "user", "content": answering("Hello")}],
    },
}


@pytest.fixture
async def world(client: ChatClient) -> World:
    session_id = await client.new_session()
    path = f"/api/v1/chat/sessions/{session_id}/turns?pipeline=trip"
    async with client.open("POST", path, json={"content": "plan a day in Rome"}) as stream:
        await stream.read()
        return World(session_id, stream.turn_id, stream.turn_id)


def test_all_routes_that_make_something_are_tried() -> None:
    shown_once = {"/api/v1/chat/keys"}
    assert BODIES.keys() | shown_once == {
        path for path, rows in table_of_routes().items() if any(row.again for row in rows.values())
    }


async def told(client: ChatClient, path: str, body: Any, key: str) -> tuple[int, str | None, bytes]:
    """Status, turn and body, by a client that comes back when it is told to."""
    found: list[tuple[int, str | None, bytes]] = []

    async def answered() -> bool:
        headers = {"idempotency-key": key}
        async with client.open("POST", path, headers=headers, json=body) as stream:
            whole = await stream.response.read()
            found.append(
                (
                    stream.status,
                    stream.headers.get("x-turn-id"),
                    whole.replace(b": keep-alive\n\n", b"").lstrip(b"\n"),
                )
            )
            return stream.status != 409

    await eventually(answered, seconds=10, what="answer")
    return found[-1]


@pytest.mark.parametrize("template", BODIES)
async def test_the_same_request_again_gets_the_same_and_makes_nothing(
    client: ChatClient, tables: Tables, world: World, template: str
) -> None:
    path, body = world.path(template), BODIES[template]
    before = tables.rows()
    first = await told(client, path, body, template)
    made = tables.rows()
    assert first[0] in (200, 201) and made - before
    assert await told(client, path, body, template) == first
    assert tables.rows() == made
    assert (await told(client, path, body, template + "2"))[1:] != first[1:]


def code_of(refusal: Any) -> str:
    """Of a problem, which names the header, or as the protocols of others tell it."""
    if "error_code" not in refusal:
        return refusal["error"]["code"].upper()
    assert refusal["details"]["field"] == "idempotency-key"
    return refusal["error_code"]


@pytest.mark.parametrize("template", BODIES)
async def test_another_request_under_its_key_is_refused(
    client: ChatClient, tables: Tables, world: World, template: str
) -> None:
    path, body = world.path(template), BODIES[template]
    key = f"{template} other"
    await told(client, path, body, key)
    before = tables.rows()
    for other in ({**(body or {}), "more": 1}, {**(body or {}), "title": "Other"}):
        headers = {"idempotency-key": key}
        async with client.open("POST", path, json=other, headers=headers) as reply:
            text = await reply.response.text()
        assert reply.status == (400 if "/openai/" in path else 422)
        if path == "/api/chat":  # a sentence, which its clients show
            assert "Idempotency-Key" in text
        else:
            assert code_of(json.loads(text)) == "IDEMPOTENCY_KEY_REUSED"
    assert tables.rows() == before


async def test_a_key_is_shown_once_and_named_to_its_repeat(client: ChatClient, tables: Tables) -> None:
    headers = {"idempotency-key": "a key"}
    first = await client.call("POST", "/api/v1/chat/keys", json={"name": "x"}, headers=headers)
    assert first.status == 201 and first.body["key"]
    before = tables.rows()
    again = await client.call("POST", "/api/v1/chat/keys", json={"name": "x"}, headers=headers)
    assert (again.status, again.body["error_code"]) == (409, "SHOWN_ONCE")
    assert again.body["details"]["key_id"] == first.body["id"]
    assert first.body["key"] not in str(again) and tables.rows() == before


async def test_a_turn_that_failed_is_the_answer_of_its_key(client: ChatClient) -> None:
    body = {"messages": [{"role": "user", "content": "#status=429 #times=1"}]}
    first, again = [await told(client, "/api/chat/stream", body, "failing") for _ in range(2)]
    assert first[:2] == again[:2] and first[0] == 429


@pytest.mark.parametrize("template", ["/api/chat/stream", "/api/v1/chat/sessions", SESSION + "/turns"])
async def test_what_is_refused_leaves_no_row_of_its_key(
    client: ChatClient, tables: Tables, world: World, template: str
) -> None:
    path = world.path(template)
    stranger = client.as_user(f"stranger of {template}")
    before = tables.rows()["chatlimits"]
    reply = await stranger.call("POST", path, json={"title": 0}, headers={"idempotency-key": "k"})
    assert reply.status in (404, 422)
    assert tables.rows()["chatlimits"] == before
