"""An instance of the app behind its routes, called without a host: so that several can share a store in memory."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from chat import app as current
from chat.app import ChatApp
from chat.routes.functions import functions
from chat.routes.route_table import Route, Routes
from scripts.write_docs import read_routes


@cache
def table_of_routes() -> Routes:
    """The table in `function_app.py`."""
    routes: dict[str, dict[str, Route]] = {}
    for method, path, row in read_routes():
        routes.setdefault(path, {})[method] = row
    return routes


@dataclass(frozen=True)
class Answer:
    """A whole reply; of a stream, what it said until its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def payloads(self) -> bytes:
        """A stream without the comments that show that it lives."""
        return re.sub(rb"(?m)^:.*\n\n", b"", self.body)

    @property
    def problem(self) -> tuple[int, str]:
        return self.status, self.json["error_code"]


class Instance:
    """One process. What it is asked goes to its own app, however many there are."""

    def __init__(self, app: ChatApp) -> None:
        self.app = app
        rows = table_of_routes()
        self._functions = {
            (path, method): function for path, methods, function in functions(rows) for method in methods
        }

    async def open(
        self, method: str, path: str, body: Any = None, *, user: str = "ann", **headers: str
    ) -> Response:
        """The reply as the route gave it: a stream has not begun to be read. `headers` with `_` for `-`."""
        url = urlsplit(path)
        for (template, known), function in self._functions.items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape("/" + template))
            found = re.fullmatch(pattern, url.path)
            if found and known == method:
                given = {"x-dev-user": user} | {
                    name.replace("_", "-"): text for name, text in headers.items()
                }
                current._current = self.app  # pyright: ignore[reportPrivateUsage]  # read at once by the function
                return await function(_request(method, url.path, url.query, body, given, found.groupdict()))
        raise AssertionError(f"no route for {method} {path}")

    async def call(self, method: str, path: str, body: Any = None, **options: str) -> Answer:
        """The reply, read to its end."""
        reply = await self.open(method, path, body, **options)
        if not isinstance(reply, StreamingResponse):
            return Answer(reply.status_code, dict(reply.headers), bytes(reply.body))
        pieces = [bytes(each) async for each in reply.body_iterator]  # type: ignore[arg-type]
        return Answer(reply.status_code, dict(reply.headers), b"".join(pieces))

    async def post(self, path: str, body: Any, key: str = "key", **options: str) -> Answer:
        """`POST` with an Idempotency-Key."""
        return await self.call("POST", path, body, idempotency_key=key, **options)


def _request(
    method: str, path: str, query: str, body: Any, headers: Mapping[str, str], found: Mapping[str, str]
) -> Request:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    return Request({**scope, "server": ("test", 80), "scheme": "http", "path_params": dict(found)}, receive)
