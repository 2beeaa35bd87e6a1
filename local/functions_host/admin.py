"""The host's own endpoints under /admin, as far as tests and people use them locally."""

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from importlib.metadata import version
from time import monotonic
from typing import Any

from aiohttp import web

from local.functions_host import protos
from local.functions_host.functions import Function
from local.functions_host.timers import Timer
from local.functions_host.worker import Worker


class Admin:
    """Answers /admin/host/status, /admin/host/ping, /admin/functions and /admin/functions/{name}."""

    def __init__(self, worker: Worker, timers: Mapping[str, Timer], prefix: str) -> None:
        self._worker, self._timers, self._prefix = worker, timers, prefix
        self._functions = {each.name.lower(): each for each in worker.functions}
        self._started = monotonic()
        self._tasks = set[asyncio.Task[Any]]()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """404 for what this host does not have."""
        match (request.method, *request.path.lower().strip("/").split("/")[1:]):
            case ("GET", "host", "status"):
                return web.json_response(self._status())
            case ("GET" | "POST", "host", "ping"):
                return web.Response()
            case ("GET", "functions"):
                return web.json_response([self._describe(request, each) for each in self._worker.functions])
            case ("GET", "functions", name) if name in self._functions:
                return web.json_response(self._describe(request, self._functions[name]))
            case ("POST", "functions", name) if name in self._functions:
                return await self._run(request, self._functions[name])
            case _:
                return web.Response(status=404)

    def _status(self) -> dict[str, object]:
        return {
            "id": "parley-local",
            "state": "Running",
            "version": version("azure-functions-runtime"),
            "instanceId": f"{socket.gethostname()}-{os.getpid()}",
            "computerName": socket.gethostname(),
            "processUptime": int((monotonic() - self._started) * 1000),
            # Not in the real answer: requests and runs that have not ended, so that a test can see a leak.
            "openInvocations": self._worker.open_invocations,
        }

    def _describe(self, request: web.BaseRequest, function: Function) -> dict[str, object]:
        base = f"{request.scheme}://{request.host}"
        url = f"{base}/{function.route(self._prefix)}" if function.is_http else None
        return {
            "name": function.name,
            "href": f"{base}/admin/functions/{function.name}",
            "config": {"bindings": function.bindings},
            "invoke_url_template": url,
            "language": "python",
            "isDisabled": function.disabled,
        }

    async def _run(self, request: web.BaseRequest, function: Function) -> web.Response:
        if function.is_http:
            return web.Response(status=400, text="Call an HTTP function by its URL.")
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError:
            return web.Response(status=400, text="The body must be JSON.")
        task = asyncio.create_task(self._fire(function, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response(status=202)

    async def _fire(self, function: Function, body: object) -> None:
        timer = self._timers.get(function.name)
        if timer:
            await timer.fire()
            return
        given = body.get("input", "") if isinstance(body, dict) else ""
        await self._worker.invoke(function, protos.TypedData(string=str(given)))
