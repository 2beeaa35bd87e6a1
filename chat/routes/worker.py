"""Four mends to the worker's own web app, which stands in front of every HTTP function.

- It is a bare FastAPI app, so `/docs`, `/redoc`, `/openapi.json` and `/docs/oauth2-redirect` would be answered by it,
  and the invocation that belongs to the request would never end. They are turned off.
- A path with a line feed would match no route, with the same end. It is shown to the route escaped.
- The worker keeps a reference to every HTTP invocation for ever, about 2.2 KB each (azure-functions-runtime 1.3.0,
  `HttpCoordinator`). It is dropped when the response is done.
- Its web server logs every request at level INFO with the query, in which function keys (`?code=`) and tickets stand.
  The query is left out of the log.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from azurefunctions.extensions.http import fastapi as extension
from fastapi import FastAPI

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Any]]
type Send = Callable[[Any], Awaitable[None]]

INVOCATION_ID = b"x-ms-invocation-id"
UNWRAPPED_SEND = "parley.send"  # in a request's scope: the server's own `send`


class ForgettingMiddleware:
    """Drops the worker's reference to an invocation once its response is done."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[UNWRAPPED_SEND] = send
        if "\n" in scope.get("path", ""):
            scope = {**scope, "path": scope["path"].replace("\n", "%0A")}
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                _forget(dict(scope["headers"]).get(INVOCATION_ID, b"").decode())


def mend_worker() -> None:
    """Have the worker make its web app our way. To be called before the worker starts, while it indexes the app."""
    extension.WebApp.__init__ = _make_web_app
    access = logging.getLogger("uvicorn.access")
    if _without_query not in access.filters:
        access.addFilter(_without_query)


class WorkerWebApp(FastAPI):
    """FastAPI without pages of its own, and with our middleware outside all of its own."""

    def build_middleware_stack(self) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        return ForgettingMiddleware(super().build_middleware_stack())


def _without_query(record: logging.LogRecord) -> bool:
    """uvicorn's line has the client, the method, the path with its query, the version and the status."""
    if isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True


def _make_web_app(self: Any) -> None:
    self.web_app = WorkerWebApp(docs_url=None, redoc_url=None, openapi_url=None)


def _forget(invocation_id: str) -> None:
    """A private table of the worker's: where a later version has none, there is nothing to drop."""
    try:
        from azure_functions_runtime.http_v2 import http_coordinator
    except ImportError:
        return
    references = getattr(http_coordinator, "_context_references", None)
    if isinstance(references, dict):
        references.pop(invocation_id, None)
