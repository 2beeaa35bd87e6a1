"""Servers of the Model Context Protocol on real sockets: one made with the `mcp` package, one that does as it likes."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from aiohttp import web
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ImageContent, ResourceLink, TextContent
from starlette.types import ASGIApp

from tests.support.web_server import served

LEGACY, MODERN = "2025-11-25", "2026-07-28"


def shop() -> MCPServer[Any]:
    """A server with tools of every kind."""
    server = MCPServer("shop")

    @server.tool()
    def price(product: str, count: int = 1) -> dict[str, Any]:
        """What a product costs."""
        return {"product": product, "total": 2.5 * count}

    @server.tool()
    def refuse() -> str:
        """Refuses."""
        raise ToolError("Not on Sundays.")

    @server.tool()
    async def sleep(seconds: float) -> str:
        """Takes its time."""
        await asyncio.sleep(seconds)
        return "awake"

    @server.tool()
    def picture() -> CallToolResult:
        """A picture, and where more is."""
        return CallToolResult(
            content=[
                TextContent(type="text", text="Here:"),
                ImageContent(type="image", data="QUJD" * 100, mime_type="image/png"),
                ResourceLink(type="resource_link", name="album", uri="https://shop.example/album"),
            ]
        )

    return server


@asynccontextmanager
async def running_app(app: ASGIApp) -> AsyncGenerator[str]:
    """The address of an ASGI app that listens in this loop."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await serving
        listening.close()


@asynccontextmanager
async def running_shop(*, stateless: bool = False, answers_json: bool = False) -> AsyncGenerator[str]:
    """The address of the shop's endpoint."""
    app = shop().streamable_http_app(stateless_http=stateless, json_response=answers_json)
    async with running_app(app) as url:
        yield f"{url}/mcp"


type Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def tool(name: str, description: str = "Does it.", **schema: Any) -> dict[str, Any]:
    """A tool as a server lists it."""
    return {
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": {}} | schema,
    }


@dataclass
class HostileServer:
    """Speaks the older protocol from these fields; `answers` take the place of a method's answer."""

    url: str = ""
    tools: list[Any] = field(default_factory=lambda: [tool("look")])
    next_cursor: str | None = None
    text: str = "seen"
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    asked: list[str] = field(default_factory=list[str])  # the methods
    headers: list[dict[str, str]] = field(
        default_factory=list[dict[str, str]]
    )  # of the requests, in lower case
    hit: list[str] = field(default_factory=list[str])  # paths beside the endpoint that were asked

    async def endpoint(self, request: web.Request) -> web.StreamResponse:
        said = await request.json()
        method = said["method"]
        self.asked.append(method)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if method in self.answers:
            return await self.answers[method](request, said)
        result = self._results().get(method)
        if "id" not in said:
            return web.Response(status=202)
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            return web.json_response({"jsonrpc": "2.0", "id": said["id"], "error": error})
        return web.json_response({"jsonrpc": "2.0", "id": said["id"], "result": result})

    async def elsewhere(self, request: web.Request) -> web.Response:
        self.hit.append(request.path)
        return web.json_response({"access_token": "stolen", "expires_in": 3600})

    def _results(self) -> dict[str, Any]:
        listed: dict[str, Any] = {"tools": self.tools}
        return {
            "initialize": {
                "protocolVersion": LEGACY,
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "hostile", "version": "1"},
            },
            "tools/list": listed | ({"nextCursor": self.next_cursor} if self.next_cursor else {}),
            "tools/call": {"content": [{"type": "text", "text": self.text}]},
        }


@asynccontextmanager
async def running_hostile() -> AsyncGenerator[HostileServer]:
    server = HostileServer()
    app = web.Application()
    app.router.add_post("/mcp", server.endpoint)
    app.router.add_route("*", "/{other:inner.*|token}", server.elsewhere)
    async with served(app) as url:
        server.url = f"{url}/mcp"
        yield server
