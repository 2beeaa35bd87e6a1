"""Limits of users on two instances: requests, tokens, headers, frames on sockets, and what admins set."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from tests.support.clients import ChatClient, connected, eventually, text_of
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import room, socket_of
from tests.support.stack import Stack

LIMITS = "/api/v1/chat/limits"
ADMIN = {"x-dev-roles": "admin"}
WINDOW = 100_000_000  # seconds: nothing comes back while a test runs
SETTINGS = {
    "CHAT_LIMIT_REQUESTS": f"10/{WINDOW}",
    "CHAT_BUDGET_TOKENS_PER_USER": "100000",
    "CHAT_BUDGET_TOKENS": "10000000",
    "CHAT_COALESCE_MS": "0",
    **ONE_ATTEMPT,
}


@pytest.fixture(scope="module")
def limited() -> Generator[Stack]:
    with Stack.start(2, env=SETTINGS) as running:
        yield running


@pytest.fixture
async def client(limited: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(limited.url) as connection:
        yield connection


async def limits_of(client: ChatClient, user: str, **body: Any) -> Any:
    """What an admin sees, or sets."""
    method = "PUT" if body else "GET"
    reply = await client.as_user("root").call(method, f"{LIMITS}/{user}", json=body or None, headers=ADMIN)
    assert reply.status == 200, reply
    return reply.body


async def model_calls(limited: Stack) -> int:
    async with (
        connected(limited.model_url.removesuffix("/openai/v1")) as model,
        model.open("GET", "/_model/connections") as stream,
    ):
        return (await stream.response.json())["total"]


async def test_of_fifty_requests_at_two_instances_ten_are_answered_and_forty_refused(
    limited: Stack, client: ChatClient
) -> None:
    before = await model_calls(limited)
    here = client.as_user("fifty")

    async def ask(number: int) -> tuple[int, str]:
        async with here.at(limited.urls[number % 2]).say("#chunks=2") as stream:
            body = (await stream.response.read()).decode()
            return stream.status, "RATE_LIMITED" if "RATE_LIMITED" in body else ""

    outcomes = Counter(await asyncio.gather(*map(ask, range(50))))
    assert outcomes == {(200, ""): 10, (429, "RATE_LIMITED"): 40}
    assert await model_calls(limited) - before == 10


async def test_every_reply_says_how_the_limits_stand(client: ChatClient) -> None:
    here = client.as_user("headers")
    async with here.say("#chunks=1") as stream:
        await stream.read()
        told = {name: stream.headers[name] for name in stream.headers if "ratelimit" in name.lower()}
    assert told["ratelimit-policy"] == f'"default";q=10;w={WINDOW}, "tokens";q=100000;w=86400;qu="tokens"'
    assert (
        told["ratelimit"].startswith('"default";r=9;t=1000000') and '"tokens";r=99000;t=' in told["ratelimit"]
    )
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("10", "9")
    assert told["x-ratelimit-reset-requests"].startswith("2777h46m")
    assert told["x-ratelimit-remaining-tokens"] == "99000"
    exposed = stream.headers["access-control-expose-headers"].split(", ")
    assert {"x-turn-id", "ratelimit", "x-ratelimit-remaining-requests"} <= set(exposed)


async def test_a_refused_request_says_when_to_come_back(client: ChatClient) -> None:
    await limits_of(client, "soon", requests=1, per_seconds=50)
    here = client.as_user("soon")
    async with here.say("#chunks=1") as stream:
        await stream.read()
    session_id = await here.new_session()
    for path, body in (
        ("/api/chat/stream", {"messages": [{"role": "user", "content": "Hi"}]}),
        (f"/api/v1/chat/sessions/{session_id}/turns", {"content": "Hi"}),
        ("/chat", {"message": "plan a day in Rome"}),
    ):
        refused = await here.call("POST", path, json=body)
        assert (refused.status, refused.body["error_code"]) == (429, "RATE_LIMITED"), path
        assert 40 <= int(refused.headers["retry-after"]) <= 50
        assert refused.headers["ratelimit"].startswith('"default";r=0;t=')
        assert "retry-after" in refused.headers["access-control-expose-headers"]
    assert len(await here.messages(session_id)) == 0


async def test_reads_are_not_limited(client: ChatClient) -> None:
    await limits_of(client, "reader", requests=1, per_seconds=WINDOW / 10)
    here = client.as_user("reader")
    heard = await here.hear("#chunks=1")
    for _ in range(3):
        assert (await here.call("GET", f"/api/v1/chat/turns/{heard.turn_id}")).status == 200
        async with here.follow(heard.turn_id) as stream:
            assert stream.status == 200 and "ratelimit" not in stream.headers


async def test_a_budget_that_runs_out_ends_the_answer_and_then_refuses(client: ChatClient) -> None:
    await limits_of(client, "spender", tokens_per_day=100)
    here = client.as_user("spender")
    heard = await here.hear("#chunks=400 #rate=400")
    error = heard.frames[-2].payload
    assert (error["type"], error["code"]) == ("error", "BUDGET_SPENT")
    assert 20 < len(text_of(heard.frames).split()) < 90
    message = (await here.messages(heard.session_id))[-1]
    assert (message["content"], message["status"]) == (text_of(heard.frames), "failed")

    async def settled() -> Any:
        tokens = (await limits_of(client, "spender"))["tokens"]
        return tokens if not tokens["held"] else None

    tokens = await eventually(settled, seconds=5, what="settled budget")
    assert 80 < tokens["used"] <= 100
    await limits_of(client, "spender", tokens_per_day=tokens["used"])
    refused = await here.call(
        "POST", "/api/chat/stream", json={"messages": [{"role": "user", "content": "x"}]}
    )
    assert (refused.status, refused.body["error_code"]) == (429, "BUDGET_SPENT")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


async def test_a_plan_ends_with_its_users_budget(client: ChatClient) -> None:
    await limits_of(client, "planner", tokens_per_day=600)
    reply = await client.as_user("planner").call("POST", "/chat", json={"message": "plan 3 days in Rome"})
    assert (reply.status, reply.body["error_code"]) == (429, "BUDGET_SPENT")
    assert 10_000_000 > int(reply.headers["retry-after"]) > 0


ERRORS = {
    "chat": ({"type": "chat", "payload": {"text": "Hi"}}, "chat_error"),
    "plan": ({"message": "a day in Rome"}, "error"),
    "session": ({"type": "send_message", "content": "Hi"}, "error"),
}


@pytest.mark.parametrize("dialect", ERRORS)
async def test_on_sockets_an_error_frame_says_it(client: ChatClient, dialect: str) -> None:
    user = f"socket-{dialect}"
    await limits_of(client, user, requests=1, per_seconds=1000)
    here = client.as_user(user)
    await here.hear("#chunks=1")
    session_id = await here.new_session()
    said, kind = ERRORS[dialect]
    async with socket_of(here, f"{room(session_id)}?dialect={dialect}") as socket:
        await socket.send(said)
        frame = await socket.of(kind)
    shown = frame.get("payload", frame)
    assert (shown.get("code") or shown["error_code"]) == "RATE_LIMITED"
    assert 900 < (shown.get("retry_after") or shown["details"]["retry_after"]) <= 1000
    assert len(await here.messages(session_id)) == 0


async def test_who_may_see_and_set_limits(client: ChatClient) -> None:
    here, root = client.as_user("zoë/1"), client.as_user("root")
    path = f"{LIMITS}/zo%C3%AB%2F1"
    seen = await here.call("GET", path)
    assert (seen.status, seen.body["user_id"], seen.body["requests"]["remaining"]) == (200, "zoë/1", 10)
    assert (await client.call("GET", path)).status == 403
    for method in ("PUT", "DELETE"):
        assert (await here.call(method, path, json={})).status == 403
    body = {"requests": 3, "tokens_per_day": 7}
    reply = await root.call("PUT", path, json=body, headers=ADMIN)
    assert reply.body["limits"] == {**body, "per_seconds": WINDOW}
    assert reply.body["override"] == {**body, "per_seconds": None}
    assert (await root.call("DELETE", path, headers=ADMIN)).body["override"]["requests"] is None
    assert (await here.call("GET", path)).body == seen.body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"requests": -1}, "requests"),
        ({"per_seconds": 0}, "per_seconds"),
        ({"tokens_per_day": "x"}, "tokens_per_day"),
    ],
)
async def test_a_limit_that_is_none_is_refused(client: ChatClient, body: Any, field: str) -> None:
    reply = await client.call("PUT", f"{LIMITS}/ann", json=body, headers=ADMIN)
    assert (reply.status, reply.body["details"]["field"]) == (422, field)
