"""The Model Context Protocol over HTTP (docs/protocols.md): one message a request, and nothing is kept between two."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from chat.app import VERSION, ChatApp
from chat.auth.base import Principal
from chat.errors import NotFound
from chat.events import JSON, JSONObject
from chat.routes.mcp_ask import ask
from chat.routes.mcp_resources import RESOURCES
from chat.routes.mcp_tools import MODELS, TOOLS, call_tool, show_tools
from chat.routes.mcp_versions import HANDSHAKE, MODERN, agreed, is_modern
from chat.routes.origins import check_page, own_address
from chat.routes.replies import json_reply
from chat.schemas.json_rpc import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    RpcError,
    show_error,
    show_result,
    status_of,
)
from chat.schemas.mcp_bodies import McpMessage

INSTRUCTIONS = (
    "The conversations of one user with an assistant that has tools of its own. `ask` says something and gives the"
    " answer; leaving stops nothing, `stop` does."
)
CAPABILITIES: JSONObject = {"tools": {}, "resources": {}}
STAMP = "io.modelcontextprotocol/serverInfo"


async def exchange(app: ChatApp, principal: Principal, request: Request, body: McpMessage) -> Response:
    """`POST /api/mcp`: one message of JSON-RPC. A call of `ask` with a token for progress is answered by a stream."""
    check_page(request, app.settings.cors_origins | app.settings.cookie_origins)
    modern = True  # whoever contradicts themselves is told so as the newer era does
    try:
        modern = is_modern(body, request.headers.getlist)
        if not body.is_request:
            return Response(status_code=202)
        if body.method == "tools/call" and body.params.get("name") == "ask":
            return await ask(app, principal, request, body, modern=modern)
        result = await _answer(app, principal, body, modern=modern)
        return json_reply(show_result(body.id, _sealed(result) if modern else result))
    except RpcError as error:
        rpc_id = body.id if body.is_request else None
        return json_reply(show_error(rpc_id, error), status=status_of(error, modern=modern))


async def show_metadata(app: ChatApp, request: Request) -> Response:
    """`GET /.well-known/oauth-protected-resource`: whose tokens are taken (RFC 9728)."""
    issuers: list[JSON] = [*app.settings.jwt_issuers] if "jwt" in app.settings.auth else []
    if not issuers:
        raise NotFound("Nobody signs in here by tokens of an issuer.")
    return json_reply(
        {
            "resource": f"{own_address(request)}/api/mcp",
            "resource_name": "Parley",
            "authorization_servers": issuers,
            "bearer_methods_supported": ["header"],
        }
    )


async def _answer(app: ChatApp, principal: Principal, message: McpMessage, *, modern: bool) -> JSONObject:
    """The result. RpcError."""
    params = message.params
    match message.method:
        case "server/discover" if modern:
            return _discovered()
        case "initialize" if not modern:
            return _initialized(params)
        case "ping" if not modern:
            return {}
        case "tools/list":
            return show_tools()
        case "tools/call" if isinstance(name := params.get("name"), str) and name in TOOLS:
            return await call_tool(app, principal, name, params.get("arguments"))
        case "tools/call":
            raise RpcError(INVALID_PARAMS, f"There is no such tool; there is: {', '.join(MODELS)}")
        case method if method in RESOURCES:
            return await RESOURCES[method](app, principal, params, modern)
        case _:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _initialized(params: Mapping[str, Any]) -> JSONObject:
    if not isinstance(params.get("protocolVersion"), str):
        raise RpcError(INVALID_PARAMS, "protocolVersion must be a text")
    return {
        "protocolVersion": agreed(params["protocolVersion"]),
        "capabilities": CAPABILITIES,
        "serverInfo": _server(),
        "instructions": INSTRUCTIONS,
    }


def _discovered() -> JSONObject:
    return {
        "supportedVersions": [*MODERN, *HANDSHAKE],
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        "_meta": {STAMP: _server()},
    }


def _server() -> JSONObject:
    return {"name": "parley", "title": "Parley", "version": VERSION}


def _sealed(result: JSONObject) -> JSONObject:
    """With what every result of the era has: it is whole, and for its caller alone."""
    return {**result, "resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
