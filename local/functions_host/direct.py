"""Requests straight to the worker's own port, for measurements of the worker without the proxy.

The worker waits for ever for an HTTP request whose invocation nobody asked for; a layer around its ASGI app asks.
"""

import importlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from azure_functions_runtime import handle_event
from azure_functions_runtime.http_v2 import HttpV2Registry

from local.functions_host import protos
from local.functions_host.functions import Function
from local.functions_host.routing import Match
from local.functions_host.worker import Worker

type Scope = MutableMapping[str, Any]
type AsgiApp = Callable[
    [Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[None]]], Awaitable[None]
]
HEADER = b"x-ms-invocation-id"


class DirectCalls:
    """Wraps the worker's ASGI app. It lets everything pass until `open_to` names the worker and its routes."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._match: Callable[[str, str], Match[Function] | None] = lambda method, path: None

    def open_to(self, worker: Worker, match: Callable[[str, str], Match[Function] | None]) -> None:
        self._worker, self._match = worker, match

    def install(self) -> None:
        """Have the worker serve its app through this layer. Call it before the worker starts."""
        initialize = handle_event.initialize_http_server

        def initialize_wrapped(host: str, **options: Any) -> str:
            extension: Any = HttpV2Registry.ext_base()
            module: Any = importlib.import_module(extension.ModuleTrackerMeta.get_module())
            get_app: Callable[[object], AsgiApp] = module.WebApp.get_app

            def get_wrapped_app(web_app: object) -> AsgiApp:
                return self.wrap(get_app(web_app))

            module.WebApp.get_app = get_wrapped_app
            try:
                return initialize(host, **options)
            finally:
                module.WebApp.get_app = get_app

        handle_event.initialize_http_server = initialize_wrapped

    def wrap(self, app: AsgiApp) -> AsgiApp:
        async def call(scope: Scope, receive: Any, send: Any) -> None:
            if (
                self._worker is None
                or scope["type"] != "http"
                or any(k == HEADER for k, _ in scope["headers"])
            ):
                await app(scope, receive, send)
                return
            path = scope["raw_path"].decode("latin-1")
            found = self._match(scope["method"], path)
            if found is None:
                await send(
                    {"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]}
                )
                await send({"type": "http.response.body", "body": b""})
                return
            invocation = self._worker.open(found.target)
            with invocation.forwarding():
                invocation.begin(protos.http_data(found.params))
                scope["headers"] = [*scope["headers"], (HEADER, invocation.id.encode())]
                await app(scope, receive, send)

        return call
