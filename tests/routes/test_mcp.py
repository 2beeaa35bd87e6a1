"""What `/api/mcp` says to whoever writes its messages by hand, well or badly."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from fastapi import Request, Response
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import methods

from chat.auth.base import Principal
from chat.errors import Forbidden
from chat.routes.fallback import answer_rest
from chat.routes.functions import functions
from chat.routes.mcp_tools import check_write
from chat.routes.protocols.mcp import ROUTES
from chat.schemas.mcp_bodies import Arguments
from tests.support.apps import make_app

MCP, METADATA = "/api/mcp", "/.well-known/oauth-protected-resource/api/mcp"
ISSUER = "https://sso.example.com"
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture(autouse=True)
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("chat.app._current", make_app(["Hello"]).app)
    yield


async def asked(path: str = MCP, body: bytes = b"", method: str = "POST", **headers: str) -> Response:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    named = {"host": "127.0.0.1:7071"} | headers
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": raw}
    request = Request({**scope, "query_string": b"", "path_params": {}}, receive)
    for known, allowed, function in functions(ROUTES):
        if f"/{known}" == path and method in allowed:
            return await function(request)
    return await answer_rest(request, ROUTES)


async def said(message: Any, **headers: str) -> tuple[int, Any]:
    body = message if isinstance(message, bytes) else orjson.dumps(message)
    reply = await asked(MCP, body, **headers)
    return reply.status_code, orjson.loads(bytes(reply.body)) if reply.body else None


def rpc(method: str, rpc_id: Any = 7, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}


def modern(method: str, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    headers = {"mcp_protocol_version": MODERN, "mcp_method": method}
    if name := params.get("name") or params.get("uri"):
        headers["mcp_name"] = name
    return rpc(method, _meta=META, **params), headers


LISTS = ["tools/list", "resources/list", "resources/templates/list"]


@pytest.mark.parametrize("method", [*LISTS, "server/discover"])
async def test_results_are_as_the_newer_era_has_them(method: str) -> None:
    message, headers = modern(method)
    status, answer = await said(message, **headers)
    assert (status, answer["id"]) == (200, 7)
    methods.validate_server_result(method, MODERN, answer["result"])


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_results_are_as_the_older_era_has_them(version: str) -> None:
    begins = rpc(
        "initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "t", "version": "1"}
    )
    status, answer = await said(begins)
    assert (status, answer["result"]["protocolVersion"]) == (200, version)
    methods.validate_server_result("initialize", version, answer["result"])
    for method in (*LISTS, "ping"):
        _, answer = await said(rpc(method), mcp_protocol_version=version)
        methods.validate_server_result(method, version, answer["result"])


WRONG: list[tuple[str, Any, dict[str, str], int, int]] = [
    ("no JSON", b"{", {}, 400, -32700),
    ("nothing", b"", {}, 400, -32600),
    ("a list of messages", [rpc("ping")], {}, 400, -32600),
    ("another version of JSON-RPC", {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {}, 400, -32600),
    ("no method", {"jsonrpc": "2.0", "id": 1}, {}, 400, -32600),
    ("an id that is none", rpc("ping", None), {}, 400, -32600),
    ("an id that is none", rpc("ping", True), {}, 400, -32600),
    ("an id that is none", rpc("ping", 1.5), {}, 400, -32600),
    ("params that are none", {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, {}, 400, -32600),
    ("an unknown method", rpc("prompts/list"), {}, 200, -32601),
    ("an unknown tool", rpc("tools/call", name="dance"), {}, 200, -32602),
    ("a tool without a name", rpc("tools/call", name=["ask"]), {}, 200, -32602),
    ("arguments that are none", rpc("tools/call", name="ask", arguments=[]), {}, 200, -32602),
    ("arguments that are none", rpc("tools/call", name="stop", arguments="x"), {}, 200, -32602),
    ("an unknown resource", rpc("resources/read", uri="parley://conversations/x"), {}, 200, -32002),
    ("a resource elsewhere", rpc("resources/read", uri="file:///etc/passwd"), {}, 200, -32002),
    ("a resource without an address", rpc("resources/read"), {}, 200, -32602),
    ("a cursor that is none", rpc("resources/list", cursor=7), {}, 200, -32602),
    ("a cursor of others", rpc("resources/list", cursor="x"), {}, 200, -32602),
    ("no version to begin with", rpc("initialize"), {}, 200, -32602),
    ("the newer era's method in the older", rpc("server/discover"), {}, 200, -32601),
    ("an unknown version", rpc("ping"), {"mcp_protocol_version": "1999-01-01"}, 400, -32022),
    (
        "no envelope",
        rpc("tools/list"),
        {"mcp_protocol_version": MODERN, "mcp_method": "tools/list"},
        400,
        -32602,
    ),
    ("another method", modern("tools/list")[0], modern("ping")[1], 400, -32020),
    ("no method in the headers", modern("tools/list")[0], {"mcp_protocol_version": MODERN}, 400, -32020),
    ("another name", modern("tools/call", name="ask")[0], modern("tools/call", name="stop")[1], 400, -32020),
    ("the older era's method in the newer", *modern("initialize"), 404, -32601),
    ("an unknown resource", *modern("resources/read", uri="parley://conversations/x"), 400, -32602),
]


@pytest.mark.parametrize(
    ("message", "headers", "status", "code"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
async def test_what_is_wrong_has_its_code(
    message: Any, headers: dict[str, str], status: int, code: int
) -> None:
    found, answer = await said(message, **headers)
    assert (found, answer["error"]["code"]) == (status, code)
    early = code in (-32700, -32600)
    assert answer["id"] is (None if early else answer["id"]) and (early or answer["id"] == 7)


@pytest.mark.parametrize("rpc_id", [None, True, 1.5, 2**60, "x" * 300, {}])
async def test_an_id_that_is_none_is_named_as_messages_have_it(rpc_id: Any) -> None:
    _, answer = await said(rpc("ping", rpc_id))
    assert answer["error"]["data"]["field"] == "id"
    assert answer["error"]["message"].startswith(
        "Must be a text of at most 255 characters, or a whole number"
    )


async def test_who_calls_an_unknown_tool_is_told_of_all_that_there_are() -> None:
    _, listed = await said(rpc("tools/list"))
    _, answer = await said(rpc("tools/call", name="dance"))
    assert all(each["name"] in answer["error"]["message"] for each in listed["result"]["tools"])


async def test_notifications_are_taken_and_passed_over() -> None:
    for headers in ({}, {"mcp_protocol_version": MODERN}):
        message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert await said(message, **headers) == (202, None)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_are_no_sessions_to_get_or_to_delete(method: str) -> None:
    reply = await asked(MCP, method=method)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7071", 200),
        ("https://chat.example.com", 200),
        ("https://evil.example.com", 403),
        ("http://127.0.0.1:9999", 403),
        ("null", 403),
    ],
)
async def test_pages_of_other_origins_are_refused(
    origin: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = {"CHAT_COOKIE_ORIGINS": "https://chat.example.com"}
    monkeypatch.setattr("chat.app._current", make_app(settings=origins).app)
    assert (await said(rpc("ping"), origin=origin))[0] == status


async def test_a_stranger_is_told_where_to_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    jwt = {"CHAT_AUTH": "jwt", "CHAT_JWT_ISSUER": ISSUER, "CHAT_JWT_AUDIENCE": "api://parley"}
    monkeypatch.setattr("chat.app._current", make_app(settings=jwt).app)
    reply = await asked(MCP, orjson.dumps(rpc("ping")), host="chat.example.com")
    assert reply.status_code == 401
    where = "https://chat.example.com" + METADATA
    assert reply.headers["www-authenticate"] == f'Bearer resource_metadata="{where}"'
    assert json.loads(bytes(reply.body))["error"]["data"]["code"] == "UNAUTHENTICATED"
    for path in (METADATA, METADATA.removesuffix(MCP)):
        told = json.loads(bytes((await asked(path, method="GET", host="chat.example.com")).body))
        assert told == {
            "resource": "https://chat.example.com/api/mcp",
            "resource_name": "Parley",
            "authorization_servers": [ISSUER],
            "bearer_methods_supported": ["header"],
        }


async def test_without_an_issuer_there_is_nothing_to_tell() -> None:
    assert (await asked(METADATA, method="GET")).status_code == 404


async def test_a_credential_that_may_only_read_can_read() -> None:
    """The gate lets it in; the tools that change something do not."""
    assert ROUTES[MCP]["POST"].scope == "read"
    check_write(Principal("ann"))
    with pytest.raises(Forbidden):
        check_write(Principal("ann", scopes=frozenset({"read"})))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["list_conversations", "get_conversation", "ask", "stop", "dance"])
KNOWN = sorted({name for each in Arguments.__subclasses__() for name in each.model_fields})
CALLS = st.fixed_dictionaries(
    {"name": NAMES | JSON},
    optional={
        "arguments": st.dictionaries(st.sampled_from(KNOWN), JSON, max_size=3) | JSON,
        "_meta": JSON | st.fixed_dictionaries({"progressToken": JSON}),
        "uri": st.text(max_size=30) | JSON,
        "cursor": JSON,
        "protocolVersion": JSON,
    },
)
METHODS = st.sampled_from([*LISTS, "tools/call", "resources/read", "initialize", "ping", "server/discover"])
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | JSON,
        "id": st.integers() | st.text(max_size=5) | JSON,
        "method": METHODS | JSON,
        "params": CALLS | JSON,
        "more": JSON,
    },
)


@pytest.mark.parametrize("version", ["", "2025-11-25", MODERN])
def test_no_message_is_too_strange(version: str) -> None:
    headers = {"mcp_protocol_version": version} if version else {}

    @settings(max_examples=150, deadline=None)
    @given(MESSAGES | JSON)
    def try_one(message: Any) -> None:
        try:
            body = orjson.dumps(message)
        except TypeError:
            body = json.dumps(message).encode()

        async def one() -> None:
            status, answer = await said(body, **headers)
            assert status in (200, 202, 400, 404), (status, answer)
            assert answer is None or answer["jsonrpc"] == "2.0"

        with asyncio.Runner() as runner:
            runner.run(one())

    try_one()
