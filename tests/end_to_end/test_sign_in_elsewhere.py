"""Callers whom somebody before the app knows: App Service by a cookie, a server by the function key."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.support.easy_auth import AAD, ISSUER, OID, signed_in, told
from tests.support.stack import Stack

SESSIONS = "/api/v1/chat/sessions"


async def call(
    stack: Stack, method: str, path: str, headers: dict[str, str], body: Any = None
) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, stack.url + path, headers=headers, json=body) as reply,
    ):
        text = await reply.text()
        return reply.status, await reply.json() if text else None


async def test_a_cookie_changes_nothing_for_the_page_of_another_origin(
    start_stack: Callable[..., Stack],
) -> None:
    settings = {
        "CHAT_AUTH": "easyauth",
        "CHAT_EASYAUTH_ISSUER": ISSUER,
        "CHAT_COOKIE_ORIGINS": "https://chat.example.com",
        "WEBSITE_AUTH_ENABLED": "True",
    }
    stack = await asyncio.to_thread(start_stack, env=settings)
    ann = signed_in(told(*AAD), cookie="AppServiceAuthSession=x")

    async def made() -> int:
        status, listed = await call(stack, "GET", SESSIONS, ann | {"origin": "https://evil.example"})
        assert status == 200
        return len(listed["sessions"])

    for origin in ({"origin": "https://evil.example"}, {"origin": "null"}, {}):
        assert (await call(stack, "POST", SESSIONS, ann | origin, {}))[0] == 403
        assert (await call(stack, "GET", "/ws", ann | origin))[0] == 403
    assert await made() == 0
    for origin in ({"origin": stack.url}, {"origin": "https://chat.example.com"}):
        status, session = await call(stack, "POST", SESSIONS, ann | origin, {})
        assert (status, session["user_id"]) == (201, OID)
    assert (await call(stack, "GET", "/ws", ann | {"sec-fetch-site": "same-origin"}))[0] == 200
    assert await made() == 3
    assert (await call(stack, "GET", SESSIONS, {"x-dev-user": "ann"}))[0] == 401


async def test_a_server_names_its_users_with_the_key_and_nobody_does_without(
    start_stack: Callable[..., Stack],
) -> None:
    settings = {"CHAT_AUTH": "header", "CHAT_HTTP_AUTH_LEVEL": "FUNCTION"}
    stack = await asyncio.to_thread(start_stack, env=settings, flags=["--enable-auth"])
    key = stack.function_key
    ann, with_key = {"x-user-id": "ann"}, {"x-functions-key": key}
    status, session = await call(stack, "POST", SESSIONS, ann | with_key, {})
    assert (status, session["user_id"]) == (201, "ann")
    for headers in ({}, ann, with_key, ann | {"x-functions-key": "x"}):
        assert (await call(stack, "GET", SESSIONS, headers))[0] == 401
