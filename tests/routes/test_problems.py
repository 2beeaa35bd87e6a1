"""Bad requests and failures: each is the problem of docs/protocol.md section 1, and leaves no row behind.

Every problem is {"error", "error_code", "details": {"message", ...}, "timestamp"}.
"""

import asyncio
import gzip
import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.routes.conftest import Tables
from tests.support.clients import ChatClient, Reply, eventually
from tests.support.stack import Stack

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BODY_LIMIT, MESSAGE_LIMIT = 1024 * 1024, 256 * 1024
UNKNOWN = "01M7XNHA5XT5A9JSFT52QBJFGY"


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def assert_problem(reply: Reply, status: int, code: str, **details: object) -> None:
    """The whole shape, and at least these details."""
    assert reply.body.keys() == {"error", "error_code", "details", "timestamp"}
    assert (reply.status, reply.body["error_code"]) == (status, code)
    assert re.fullmatch(r"[A-Z][A-Za-z]+", reply.body["error"])
    assert ISO.fullmatch(reply.body["timestamp"])
    assert reply.body["details"]["message"]
    assert reply.body["details"].items() >= details.items()


async def post(client: ChatClient, body: Any, path: str = "/api/chat/stream", **options: Any) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.call("POST", path, data=data, **options)


BODIES = [
    (b"", 400, "INVALID_JSON", None),
    (b"{", 400, "INVALID_JSON", None),
    (b"not json", 400, "INVALID_JSON", None),
    (b'{"messages": "\xff"}', 400, "INVALID_JSON", None),
    (b'{"messages": NaN}', 400, "INVALID_JSON", None),
    (b"[" * 2000, 400, "INVALID_JSON", None),
    ([], 400, "INVALID_JSON", None),
    (None, 400, "INVALID_JSON", None),
    ("text", 400, "INVALID_JSON", None),
    (7, 400, "INVALID_JSON", None),
    ({}, 422, "INVALID_INPUT", "messages"),
    ({"messages": None}, 422, "INVALID_INPUT", "messages"),
    ({"messages": []}, 422, "INVALID_INPUT", "messages"),
    ({"messages": "Hello"}, 422, "INVALID_INPUT", "messages"),
    ({"messages": ["Hello"]}, 422, "INVALID_INPUT", "messages.0"),
    ({"messages": [{"content": "Hello"}]}, 422, "INVALID_INPUT", "messages.0.role"),
    ({"messages": [{"role": "user"}]}, 422, "INVALID_INPUT", "messages.0.content"),
    ({"messages": [user("Hello") | {"role": "robot"}]}, 422, "INVALID_INPUT", "messages.0.role"),
    ({"messages": [user("Hi") | {"role": "system"}]}, 422, "INVALID_INPUT", "messages"),
    ({"messages": [user("")]}, 422, "INVALID_INPUT", "messages.0.content"),
    ({"messages": [user(" \n\t\u2003")]}, 422, "INVALID_INPUT", "messages.0.content"),
    ({"messages": [user(None)]}, 422, "INVALID_INPUT", "messages.0.content"),
    ({"messages": [user(7)]}, 422, "INVALID_INPUT", "messages.0.content"),
    ({"messages": [user("Hi"), user("Hello") | {"role": "assistant"}]}, 422, "INVALID_INPUT", "messages"),
    ({"messages": [user("Hi")], "session_id": 7}, 422, "INVALID_INPUT", "session_id"),
    ({"messages": [user("Hi")], "session_id": UNKNOWN}, 404, "SESSION_NOT_FOUND", None),
    ({"messages": [user("Hi")], "session_id": "a/b\\c#d?e"}, 404, "SESSION_NOT_FOUND", None),
    ({"messages": [user("x" * (MESSAGE_LIMIT + 1))]}, 413, "TOO_LARGE", "messages.0.content"),
    ({"messages": [user("é" * (MESSAGE_LIMIT // 2) + "x")]}, 413, "TOO_LARGE", "messages.0.content"),
    (b'{"messages": ' + b" " * BODY_LIMIT, 413, "TOO_LARGE", None),
]


@pytest.mark.parametrize(("body", "status", "code", "field"), BODIES, ids=lambda value: repr(value)[:40])
async def test_a_bad_body_is_a_problem_and_no_row(
    client: ChatClient, tables: Tables, body: Any, status: int, code: str, field: str | None
) -> None:
    before = tables.rows()
    assert_problem(await post(client, body), status, code, **({"field": field} if field else {}))
    assert tables.rows() == before


async def test_a_validation_error_looks_as_the_protocol_says(client: ChatClient) -> None:
    reply = await post(client, {"messages": [user("")]})
    details = {"field": "messages.0.content", "message": "Message content cannot be empty"}
    assert reply.body | {"timestamp": ""} == {
        "error": "ValidationError",
        "error_code": "INVALID_INPUT",
        "details": details,
        "timestamp": "",
    }


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, identity"])
async def test_a_compressed_body_is_415_and_says_how_to_send_it(client: ChatClient, coding: str) -> None:
    body = gzip.compress(json.dumps({"messages": [user("Hi")]}).encode())
    reply = await post(client, body, headers={"content-encoding": coding})
    assert_problem(reply, 415, "ENCODED_BODY")
    assert reply.headers["accept-encoding"] == "identity"


async def test_a_body_that_says_that_it_is_not_compressed_is_read(client: ChatClient) -> None:
    reply = await post(client, b"{}", "/api/v1/chat/sessions", headers={"content-encoding": "Identity"})
    assert reply.status == 201


@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 10**12, 10**18])
async def test_a_body_whose_length_is_too_large_is_refused_before_it_is_sent(
    stack: Stack, length: int
) -> None:
    host, port = urlsplit(stack.url).netloc.split(":")
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/chat/stream HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
        writer.write(head.encode() + b"{")
        status = await reader.readline()
        writer.close()
    assert status.startswith(b"HTTP/1.1 413 ")


async def test_the_host_passes_the_refusal_on(client: ChatClient) -> None:
    assert_problem(await post(client, b"x" * 8 * BODY_LIMIT), 413, "TOO_LARGE", limit=BODY_LIMIT)


async def test_health_can_be_asked_without_a_body(stack: Stack, client: ChatClient) -> None:
    async with client.open("HEAD", "/api/v1/chat/health") as reply:
        assert (reply.status, await reply.response.read()) == (200, b"")
        assert reply.headers["content-type"] == "application/json"


TURN_BODIES = [
    ({}, 422, "INVALID_INPUT"),
    ({"content": ""}, 422, "INVALID_INPUT"),
    ({"content": "Hi", "message_id": "x"}, 422, "INVALID_INPUT"),
    ({"content": "Hi", "dialect": "klingon"}, 422, "INVALID_INPUT"),
    ({"content": "Hi", "on_busy": "explode"}, 422, "INVALID_INPUT"),
    ({"message_id": "nothing"}, 404, "MESSAGE_NOT_FOUND"),
    ({"message_id": f"{UNKNOWN}-00000001"}, 404, "SESSION_NOT_FOUND"),
    ({"content": "x" * (MESSAGE_LIMIT + 1)}, 413, "TOO_LARGE"),
]


@pytest.mark.parametrize(("body", "status", "code"), TURN_BODIES, ids=lambda value: repr(value)[:40])
async def test_a_bad_turn_is_a_problem_and_no_row(
    client: ChatClient, tables: Tables, body: Any, status: int, code: str
) -> None:
    path = f"/api/v1/chat/sessions/{await client.new_session()}/turns"
    before = tables.rows()
    assert_problem(await post(client, body, path), status, code)
    assert tables.rows() == before


ELSEWHERE = [
    ("GET", "/api/v1/chat/sessions/{}", "SESSION_NOT_FOUND"),
    ("DELETE", "/api/v1/chat/sessions/{}", "SESSION_NOT_FOUND"),
    ("GET", "/api/v1/chat/sessions/{}/messages", "SESSION_NOT_FOUND"),
    ("POST", "/api/v1/chat/sessions/{}/turns", "SESSION_NOT_FOUND"),
    ("GET", "/api/v1/chat/turns/{}-00000002", "TURN_NOT_FOUND"),
    ("GET", "/api/v1/chat/turns/{}-00000002/events", "TURN_NOT_FOUND"),
    ("POST", "/api/v1/chat/turns/{}-00000002/cancel", "TURN_NOT_FOUND"),
]


@pytest.mark.parametrize(("method", "path", "code"), ELSEWHERE)
@pytest.mark.parametrize("whose", ["nobody's", "another user's"])
async def test_what_is_not_ones_own_is_404_as_if_it_did_not_exist(
    client: ChatClient, tables: Tables, method: str, path: str, code: str, whose: str
) -> None:
    heard = await client.as_user("owner").hear("#chunks=1")
    before = tables.rows()
    session_id = UNKNOWN if whose == "nobody's" else heard.session_id
    reply = await client.as_user("eve").call(method, path.format(session_id), json={"content": "Hi"})
    assert_problem(reply, 404, code)
    assert tables.rows() == before


async def test_another_users_session_cannot_be_spoken_in(client: ChatClient, tables: Tables) -> None:
    session_id = await client.as_user("owner").new_session()
    before = tables.rows()
    body = {"messages": [user("Hi")], "session_id": session_id}
    assert_problem(await post(client.as_user("eve"), body), 404, "SESSION_NOT_FOUND")
    assert tables.rows() == before


async def test_a_second_turn_while_one_runs_is_409_with_the_running_one(
    client: ChatClient, tables: Tables
) -> None:
    async with client.say("#chunks=1 #stall=1") as stream:
        await stream.take(1)
        before = tables.rows()
        body = {"messages": [user("Hi")], "session_id": stream.session_id}
        assert_problem(await post(client, body), 409, "TURN_IN_PROGRESS", turn_id=stream.turn_id)
        assert tables.rows() == before
        await client.cancel(stream.turn_id)


async def test_of_twenty_parallel_starts_one_runs_and_nineteen_are_409(client: ChatClient) -> None:
    session_id = await client.new_session()
    refused: list[int] = []

    async def start(number: int) -> tuple[int, str]:
        """The one that runs does so until the others are answered, however slow the machine is."""
        async with client.say(f"#chunks=600 #rate=20 {number}", session_id) as stream:
            if stream.status == 200:
                while len(refused) < 19:
                    await stream.take(1)
                await client.call("POST", f"/api/v1/chat/turns/{stream.turn_id}/cancel")
                return 200, stream.turn_id
            refused.append(number)
            reply = Reply(stream.status, stream.headers, await stream.response.json())
            assert_problem(reply, 409, "TURN_IN_PROGRESS")
            return 409, reply.body["details"]["turn_id"]

    found = await asyncio.gather(*(start(number) for number in range(20)))
    assert sorted(status for status, _ in found) == [200] + [409] * 19
    assert len({turn_id for _, turn_id in found}) == 1
    assert len(await client.messages(session_id)) == 2


FAILURES = [
    ("#status=500", 503, "MODEL_UNAVAILABLE", None),
    ("#status=503", 503, "MODEL_UNAVAILABLE", None),
    ("#status=429 #retry_after=1", 429, "MODEL_RATE_LIMITED", "1"),
    ("#status=429", 429, "MODEL_RATE_LIMITED", "1"),
    ("#status=429 #retry_after=6.2", 429, "MODEL_RATE_LIMITED", "7"),
    ("#status=400", 502, "MODEL_REJECTED", None),
    ("#status=401", 502, "MODEL_AUTH_FAILED", None),
    ("#status=404", 502, "MODEL_NOT_FOUND", None),
    ("#filter", 502, "CONTENT_FILTERED", None),
    ("#malformed=1", 502, "MODEL_BAD_REPLY", None),
    ("#cut=0", 502, "MODEL_BAD_REPLY", None),
    ("#stall=0", 504, "MODEL_TIMEOUT", None),
    ("#delay=5000", 504, "MODEL_TIMEOUT", None),
    ("#first=5000", 504, "MODEL_TIMEOUT", None),
]


@pytest.mark.parametrize(("text", "status", "code", "retry_after"), FAILURES)
async def test_a_model_that_fails_before_it_speaks_is_a_status_and_the_message_is_kept(
    client: ChatClient, text: str, status: int, code: str, retry_after: str | None
) -> None:
    reply = await post(client, {"messages": [user(text)]})
    frame = {name: reply.body.pop(name) for name in ("type", "message", "code", "retryable", "seq")}
    assert frame == {"type": "error", **frame, "message": reply.body["details"]["message"], "code": code}
    assert reply.headers["content-type"] == "text/event-stream"
    assert "x-session-id" in reply.headers["access-control-expose-headers"]
    assert_problem(reply, status, code)
    assert reply.headers.get("retry-after") == retry_after
    asked, answer = await client.messages(reply.headers["x-session-id"])
    assert (asked["content"], asked["status"]) == (text, "complete")
    assert (answer["id"], answer["content"], answer["status"]) == (
        reply.headers["x-turn-id"],
        "",
        "failed",
    )
    assert answer["error_message"]
    assert (await client.turn(answer["id"]))["error"]["code"] == code


async def test_a_session_goes_on_after_a_failure_of_the_model(client: ChatClient) -> None:
    failed = await post(client, {"messages": [user("#status=500")]})
    heard = await client.hear("#chunks=2", failed.headers["x-session-id"])
    assert heard.text == "word1 word2"


WRONG_METHODS = [
    ("GET", "/api/chat/stream", "POST"),
    ("PUT", "/api/v1/chat/sessions", "GET, POST"),
    ("PATCH", "/api/v1/chat/sessions/{}", "DELETE, GET, PUT"),
    ("POST", "/api/v1/chat/turns/{}", "GET"),
    ("GET", "/api/v1/chat/turns/{}/cancel", "POST"),
    ("PATCH", "/api/v1/chat/sessions/{}/members/a%2Fb%3Fc%20d", "DELETE, PUT"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHODS)
async def test_a_wrong_method_is_405_and_says_which_are_right(
    client: ChatClient, method: str, path: str, allowed: str
) -> None:
    reply = await client.call(method, path.format(UNKNOWN))
    assert_problem(reply, 405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/v1/chat/nothing", "/api", "/api/v1/chat/sessions/a/b/c"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_path_that_is_not_there_is_a_json_404(client: ChatClient, method: str, path: str) -> None:
    assert_problem(await client.call(method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/nope%0ax"])
async def test_the_pages_of_the_workers_own_app_finish_and_leave_nothing_open(
    stack: Stack, client: ChatClient, path: str
) -> None:
    async with asyncio.timeout(5):
        assert_problem(await client.call("GET", path), 404, "NOT_FOUND")

    async def all_closed() -> bool:
        async with client.open("GET", "/admin/host/status") as stream:
            return (await stream.response.json())["openInvocations"] == 0

    await eventually(all_closed, seconds=3, what="end of every invocation")
