"""A local stand-in for the Genie API of Databricks, as https://docs.databricks.com/api/workspace/genie has it.

It answers one conversation by its fields. It knows no spaces, runs no SQL, and takes one token.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.canaries import canary
from tests.support.web_server import served

TOKEN = canary("genie")
CLIENT = ("the-client", canary("principal"))
GENIE = "/api/2.0/genie/spaces/{space}"
MESSAGE = f"{GENIE}/conversations/{{conversation}}/messages/{{message}}"


@dataclass
class GenieService:
    """`statuses` are what a look at the message says, one after another; the last one stays."""

    url: str = ""
    statuses: list[str] = field(default_factory=lambda: ["COMPLETED"])
    text: str = "Revenue by plant."
    sql: str = "SELECT plant, SUM(revenue) FROM orders GROUP BY 1"
    rows: list[list[str | None]] = field(default_factory=lambda: [["Aurora", "12.5"], ["Delta", None]])
    error: str = ""
    refusal: tuple[int, str, str] | None = None  # status, code and message of every Genie call
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # space and question
    no_token: bool = False  # nobody can sign in
    hanging: bool = False  # no Genie call is answered
    looks: int = 0
    looked: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, request: web.Request) -> web.Response:
        self.asked.append((request.match_info["space"], (await request.json())["content"]))
        message = self._message("SUBMITTED")
        return web.json_response({"conversation_id": "k1", "message_id": "m1", "message": message})

    async def look(self, request: web.Request) -> web.Response:
        status = self.statuses[min(self.looks, len(self.statuses) - 1)]
        self.looks += 1
        self.looked.set()
        return web.json_response(self._message(status))

    async def result(self, request: web.Request) -> web.Response:
        assert request.match_info["attachment"] == "a2"
        columns = [{"name": "plant", "type_name": "STRING"}, {"name": "total", "type_name": "DOUBLE"}]
        response = {
            "manifest": {"schema": {"columns": columns, "column_count": 2}, "truncated": False},
            "result": {"data_array": self.rows},
            "status": {"state": "SUCCEEDED"},
        }
        return web.json_response({"statement_response": response})

    @property
    def routes(self) -> list[web.RouteDef]:
        """What the workspace answers besides Genie."""
        return []

    async def token(self, request: web.Request) -> web.Response:
        if self.no_token:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600})

    async def discover(self, request: web.Request) -> web.Response:
        ends = {
            "authorization_endpoint": f"{self.url}/oidc/v1/authorize",
            "token_endpoint": f"{self.url}/oidc/v1/token",
        }
        return web.json_response(ends)

    @web.middleware
    async def guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not request.path.startswith("/api/"):
            return await handler(request)
        if self.hanging:
            await asyncio.sleep(60)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _problem(403, "PERMISSION_DENIED", "Invalid access token.")
        return _problem(*self.refusal) if self.refusal else await handler(request)

    def _message(self, status: str) -> dict[str, Any]:
        query = {"query": self.sql, "description": "Sums up."}
        attachments = [{"attachment_id": "a1", "text": {"content": self.text}}] if self.text else []
        if self.sql:
            attachments.append({"attachment_id": "a2", "query": query})
        return {
            "space_id": "s1",
            "conversation_id": "k1",
            "message_id": "m1",
            "content": "?",
            "status": status,
            "attachments": attachments if status == "COMPLETED" else None,
            "error": {"error": self.error, "type": "GENERIC"} if self.error else None,
        }


def _problem(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error_code": code, "message": message}, status=status)


@asynccontextmanager
async def running_genie(service: GenieService | None = None) -> AsyncGenerator[GenieService]:
    service = service or GenieService()
    app = web.Application(middlewares=[service.guard])
    app.router.add_post(f"{GENIE}/start-conversation", service.start)
    app.router.add_get(MESSAGE, service.look)
    app.router.add_get(f"{MESSAGE}/attachments/{{attachment}}/query-result", service.result)
    app.router.add_get(f"{MESSAGE}/query-result/{{attachment}}", service.result)
    app.router.add_get("/oidc/.well-known/oauth-authorization-server", service.discover)
    app.router.add_post("/oidc/v1/token", service.token)
    app.add_routes(service.routes)
    async with served(app) as service.url:
        yield service
