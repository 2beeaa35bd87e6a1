"""The Web PubSub stand-in as a server: `serve` runs it. README.md says what it does and what not."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from local.pubsub_service.clients import Clients
from local.pubsub_service.control import Control
from local.pubsub_service.hubs import Hubs
from local.pubsub_service.options import MAX_FRAME, Options
from local.pubsub_service.rest import RestApi
from local.pubsub_service.upstream import Upstream

SHUTDOWN_SECONDS = 0.5


@asynccontextmanager
async def serve(options: Options) -> AsyncGenerator[str]:
    """Runs the service and gives its address, `http://127.0.0.1:8080`. At the end every client is closed."""
    timeout = aiohttp.ClientTimeout(options.handler_timeout)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        hubs, upstream = Hubs(), Upstream(options, session)
        clients = Clients(options, hubs, upstream)
        runner = web.AppRunner(
            _app(options, hubs, clients, upstream), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, options.host, options.port, backlog=1024).start()
            yield f"http://{options.host}:{runner.addresses[0][1]}"
        finally:
            for connection in [each for hub in hubs for each in hub.all()]:
                clients.disconnect(connection, "The service stops")
            await upstream.aclose()
            await runner.cleanup()


def _app(options: Options, hubs: Hubs, clients: Clients, upstream: Upstream) -> web.Application:
    app = web.Application(client_max_size=2 * MAX_FRAME)
    api = RestApi(options, hubs, clients)
    api.add_to(app)
    Control(options, hubs, clients, upstream, api).add_to(app)
    for path in ("/client/hubs/{hub}", "/client/", "/client"):
        app.router.add_get(path, clients.answer)
    return app
