"""What a request may measure: its path, its query, its headers and its body, and how long it may take."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import Request

from chat.app import ChatApp
from chat.errors import SlowBody
from chat.routes.replies import answer_anyone
from chat.routes.requests import (
    BODY,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PATH_BYTES,
    MAX_QUERY_BYTES,
    read_bytes,
)
from scripts.write_docs import read_routes
from tests.routes.conftest import Tables
from tests.support.apps import make_app
from tests.support.clients import ChatClient
from tests.support.stack import Stack
from tests.support.virtual_time import virtual

LIMIT = 1024 * 1024
READERS = ("doors:enter", "mcp_exchange:exchange")  # of bodies whose models their rows do not name
# Of the others a body is not read.
BODIES = [(method, path) for method, path, row in read_routes() if row.body or row.handler in READERS]


def many(count: int) -> dict[str, str]:
    return {f"x-{number}": "1" for number in range(count)}


def large(size: int) -> dict[str, str]:
    """So many bytes of headers, each of them within what hosts take."""
    return {f"x-{number}": "x" * 1000 for number in range(size // 1000)}


# (path, headers): the problem.
HEADS: list[tuple[str, Mapping[str, str], int, str, int]] = [
    ("/api/v1/chat/sessions/" + "x" * MAX_PATH_BYTES, {}, 414, "ADDRESS_TOO_LONG", MAX_PATH_BYTES),
    ("/api/v1/chat/sessions/" + "%00" * (MAX_PATH_BYTES // 3), {}, 414, "ADDRESS_TOO_LONG", MAX_PATH_BYTES),
    ("/" + "x" * MAX_PATH_BYTES, {}, 414, "ADDRESS_TOO_LONG", MAX_PATH_BYTES),
    ("/api/v1/chat/health?a=" + "x" * MAX_QUERY_BYTES, {}, 414, "ADDRESS_TOO_LONG", MAX_QUERY_BYTES),
    ("/api/v1/chat/health", many(MAX_HEADERS), 431, "HEADERS_TOO_LARGE", MAX_HEADERS),
    ("/nothing", many(MAX_HEADERS), 431, "HEADERS_TOO_LARGE", MAX_HEADERS),
    ("/api/v1/chat/sessions", large(MAX_HEADER_BYTES + 1000), 431, "HEADERS_TOO_LARGE", MAX_HEADER_BYTES),
]


@pytest.mark.parametrize(
    ("path", "headers", "status", "code", "limit"), HEADS, ids=lambda value: repr(value)[:40]
)
async def test_a_head_that_is_too_large_is_refused(
    client: ChatClient, path: str, headers: Mapping[str, str], status: int, code: str, limit: int
) -> None:
    reply = await client.call("GET", path, headers=headers)
    assert (reply.status, reply.body["error_code"]) == (status, code)
    assert reply.body["details"]["limit"] == limit
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_what_is_just_small_enough_is_taken(client: ChatClient) -> None:
    name = "y" * (MAX_QUERY_BYTES - 2)
    headers = many(60) | large(MAX_HEADER_BYTES - 4000)
    reply = await client.call("GET", f"/api/v1/chat/sessions?{name}=1", headers=headers)
    assert reply.status == 200


async def test_nothing_is_done_for_a_head_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", make_app().app)

    async def never(_app: ChatApp, _request: Request) -> Any:
        raise AssertionError("it was asked")

    scope = {"type": "http", "method": "GET", "path": "/a", "query_string": b"x" * 9999, "headers": []}
    reply = await answer_anyone(Request(scope | {"scheme": "http", "server": ("x", 80)}), never)
    assert reply.status_code == 414


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_body_that_is_too_large_is_413_everywhere(
    client: ChatClient, tables: Tables, method: str, path: str, framing: str
) -> None:
    client = client.as_admin()
    known = await client.new_session()
    before = tables.rows()
    target = re.sub(r"{\w+}", "x", path.replace("{session_id}", known))
    body = b'{"content":"' + b"x" * (2 * LIMIT) + b'"}'

    async def pieces() -> AsyncGenerator[bytes]:
        yield body

    data = pieces() if framing == "chunked" else body
    async with client.open(method, target, data=data) as reply:
        assert reply.status == 413, await reply.response.text()
    assert tables.rows() == before


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_a_compressed_body_is_415_everywhere(client: ChatClient, method: str, path: str) -> None:
    target = re.sub(r"{\w+}", "x", path)
    given = {"content-encoding": "gzip"}
    async with client.as_admin().open(method, target, data=b"\x1f\x8b", headers=given) as reply:
        assert reply.status == 415, await reply.response.text()


@pytest.mark.parametrize("dripping", [True, False])
@virtual
async def test_a_body_that_does_not_come_in_time_is_given_up(dripping: bool) -> None:
    """One byte a second, or none at all."""

    async def receive() -> Any:
        await asyncio.sleep(1 if dripping else 1e6)
        return {"type": "http.request", "body": b"x", "more_body": True}

    began = asyncio.get_running_loop().time()
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": []}
    with pytest.raises(SlowBody):
        await read_bytes(Request(scope, receive), limit=LIMIT)
    assert asyncio.get_running_loop().time() - began == BODY


@asynccontextmanager
async def sent(url: str, *pieces: bytes) -> AsyncGenerator[asyncio.StreamReader]:
    """The reply to what is written on a connection of its own."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        for piece in pieces:
            writer.write(piece)
        yield reader
    finally:
        writer.close()


# What the host and the worker themselves say to what is no request of HTTP/1.1.
MALFORMED = [
    b"POST /api/chat/stream HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    b"POST /api/chat/stream HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{}",
    b"POST /api/chat/stream HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nz\r\n{}\r\n0\r\n\r\n",
    b"GET /api/v1/chat/health HTTP/1.1\r\nhost: x\r\nx-a: b\x00c\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", MALFORMED)
async def test_what_is_no_request_is_refused(stack: Stack, request_bytes: bytes) -> None:
    async with asyncio.timeout(10), sent(stack.url, request_bytes) as reader:
        status = await reader.readline()
    assert status.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), status
