"""Starts a host, serves until it is told to stop, and stops in time."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from local.functions_host.admin import Admin
from local.functions_host.cors import Cors
from local.functions_host.direct import DirectCalls
from local.functions_host.front import Front
from local.functions_host.functions import http_router
from local.functions_host.keys import Keys
from local.functions_host.proxy import LONGEST_HEADER_BYTES, Proxy
from local.functions_host.stopping import Stopping
from local.functions_host.timers import make_timers, running
from local.functions_host.webpubsub import WebPubSubWebhook
from local.functions_host.worker import Worker, start_worker
from local.gateway import Gateway


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How to run a host. `keys` None means that no key is asked for."""

    app: Path
    route_prefix: str = "api"
    cors: Cors = field(default_factory=lambda: Cors(frozenset()))
    keys: Keys | None = None
    direct: bool = False
    hub: str = ""  # where sockets open that come to the gateway; "" without one


async def run_host(options: HostOptions, listener: socket.socket, announce: Callable[[Worker], None]) -> None:
    """Serve the app on a bound socket until SIGINT or SIGTERM. `announce` is called once it answers.

    WorkerError when the app cannot be loaded.
    """
    stopping = Stopping()
    direct = DirectCalls()
    if options.direct:
        direct.install()
    worker = await start_worker(options.app)
    router = http_router(worker.functions, options.route_prefix)
    direct.open_to(worker, router.match)
    timers = make_timers(worker)
    web_pubsub = WebPubSubWebhook(worker.functions, worker.invoke)
    async with Proxy(worker) as proxy, Gateway(options.hub) as gateway:
        admin = Admin(worker, timers, options.route_prefix)
        front = Front(router, proxy, admin, web_pubsub, gateway, cors=options.cors, keys=options.keys)
        async with _serving(front, listener, worker, stopping), running(timers):
            announce(worker)
            await stopping.requested()
    await stopping.tasks_end()


@contextlib.asynccontextmanager
async def _serving(
    front: Front, listener: socket.socket, worker: Worker, stopping: Stopping
) -> AsyncGenerator[None]:
    # Cancellation tells the proxy that the client has left.
    server = web.Server(
        front.answer,
        handler_cancellation=True,
        access_log=None,
        max_field_size=LONGEST_HEADER_BYTES,
        auto_decompress=False,  # bodies are passed on as they came, under the length they came with
    )
    sockets = await asyncio.get_running_loop().create_server(server, sock=listener, backlog=1024)
    try:
        yield
    finally:
        sockets.close()
        server.pre_shutdown()
        await stopping.requests_end(worker.until_idle())
        await server.shutdown(timeout=0.2)
