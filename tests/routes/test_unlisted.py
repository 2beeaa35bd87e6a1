"""Conversations that their callers keep: who asked finds the turn by its id, and nobody finds it otherwise."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chat.providers.scripted import Line
from tests.support.apps import TestApp, make_app
from tests.support.http_instance import Answer, Instance
from tests.support.turns import lines
from tests.support.virtual_time import VirtualClock, virtual

ASK = "/api/openai/v1/chat/completions"
BODY = {
    "messages": [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
}


async def made(*scripts: list[Line]) -> tuple[TestApp, Instance]:
    app = make_app(*(scripts or (["Hi"],)), clock=VirtualClock())
    return app, Instance(app.app)


def ids(reply: Answer) -> tuple[str, str]:
    return reply.headers["x-session-id"], reply.headers["x-turn-id"]


@virtual
async def test_it_is_in_no_list_and_its_owner_finds_it_by_its_id() -> None:
    app, here = await made()
    session_id, turn_id = ids(await here.call("POST", ASK, BODY))
    assert (await here.call("GET", "/api/v1/chat/sessions")).json["total_count"] == 0
    assert (await here.call("GET", f"/api/v1/chat/turns/{turn_id}")).json["status"] == "finished"
    messages = (await here.call("GET", f"/api/v1/chat/sessions/{session_id}/messages")).json["messages"]
    assert [each["content"] for each in messages] == ["Three", "Hi"]
    [shown] = app.provider.requests
    assert [each.content for each in shown.messages[1:]] == ["One", "Two", "Three"]


@virtual
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/chat/sessions/{session}"),
        ("GET", "/api/v1/chat/turns/{turn}"),
        ("GET", "/api/v1/chat/turns/{turn}/events"),
        ("POST", "/api/v1/chat/turns/{turn}/cancel"),
    ],
)
async def test_to_others_it_is_not_there(method: str, path: str) -> None:
    _, here = await made()
    session_id, turn_id = ids(await here.call("POST", ASK, BODY))
    reply = await here.call(method, path.format(session=session_id, turn=turn_id), user="eve")
    assert reply.status == 404


@virtual
async def test_nobody_is_invited_to_it() -> None:
    _, here = await made()
    session_id, _ = ids(await here.call("POST", ASK, BODY))
    reply = await here.call("PUT", f"/api/v1/chat/sessions/{session_id}/members/bob", {"role": "viewer"})
    assert reply.problem == (409, "CONFLICT")


@virtual
async def test_its_turn_is_followed_from_anywhere_and_stopped() -> None:
    _, here = await made(lines(50, 0.1))
    opened = await here.open("POST", ASK, {**BODY, "stream": True})
    turn = f"/api/v1/chat/turns/{opened.headers['x-turn-id']}"
    await asyncio.sleep(1)
    assert (await here.call("POST", f"{turn}/cancel")).json["status"] == "cancelled"
    whole = await here.call("GET", f"{turn}/events?dialect=completions")
    assert whole.payloads.endswith(b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    rest = await here.call("GET", f"{turn}/events?dialect=completions&after=5")
    assert whole.payloads.endswith(rest.payloads)
    assert 0 < len(rest.payloads) < len(whole.payloads)


@virtual
async def test_a_further_question_in_it_is_answered_and_waits_like_any_other() -> None:
    _, here = await made(lines(5, 0.1), ["Again"])
    opened = await here.open("POST", ASK, {**BODY, "stream": True})
    path = f"/api/v1/chat/sessions/{opened.headers['x-session-id']}/turns"
    assert (await here.call("POST", path, {"content": "Now"})).problem == (409, "TURN_IN_PROGRESS")
    waited = await here.call("POST", path, {"content": "Then", "on_busy": "queue"})
    assert b"Again" in waited.payloads
    assert (await here.call("GET", "/api/v1/chat/sessions")).json["total_count"] == 0


@virtual
async def test_it_goes_with_its_events() -> None:
    app, here = await made()
    session_id, turn_id = ids(await here.call("POST", ASK, BODY))
    later = app.app.clock.now() + timedelta(days=2)
    assert await app.store.purge_events(ended_before=later) == 1
    for path in (f"sessions/{session_id}", f"turns/{turn_id}", f"turns/{turn_id}/events"):
        assert (await here.call("GET", f"/api/v1/chat/{path}")).status == 404


@virtual
async def test_a_repeat_under_its_key_is_the_same_turn_and_another_list_under_it_is_refused() -> None:
    app, here = await made()
    first, second = [await here.post(ASK, BODY) for _ in range(2)]
    assert (first.json, ids(first)) == (second.json, ids(second))
    assert len(app.provider.requests) == 1
    other: dict[str, Any] = {"messages": [*BODY["messages"], {"role": "user", "content": "Four"}]}
    refused = await here.post(ASK, other)
    assert (refused.status, refused.json["error"]["code"]) == (400, "idempotency_key_reused")


# What stands at the door: the status and the code of OpenAI's shape.
GATES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{", {}, 400, "invalid_json"),
    (b"[]", {}, 400, "invalid_json"),
    (b'{"messages":[]}', {}, 400, "invalid_input"),
    (b"x" * (1024 * 1024 + 1), {}, 413, "too_large"),
    (b"{}", {"content_encoding": "gzip"}, 415, "encoded_body"),
    (b"{}", {"idempotency_key": "x" * 256}, 400, "invalid_input"),
    (b'{"messages":[{"role":"user","content":"Hi"}]}', {"x_session_id": "x" * 256}, 400, "invalid_input"),
    (b'{"messages":[{"role":"user","content":"Hi"}]}', {"x_session_id": "nowhere"}, 404, "session_not_found"),
]


@virtual
@pytest.mark.parametrize(("body", "headers", "status", "code"), GATES)
async def test_what_is_refused_has_the_shape_of_openai(
    body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    _, here = await made()
    reply = await here.call("POST", ASK, body, **headers)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert reply.headers["x-should-retry"] == "false"
