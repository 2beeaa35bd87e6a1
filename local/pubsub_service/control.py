"""What tests ask of the stand-in beside the service's own API: to look inside, to be slow, to cut connections."""

from collections.abc import Mapping
from typing import Any, cast

import orjson
from aiohttp import web

from local.pubsub_service.clients import Clients
from local.pubsub_service.hubs import Hubs
from local.pubsub_service.options import SYSTEM_EVENTS, Handler, Options
from local.pubsub_service.rest import RestApi
from local.pubsub_service.upstream import Upstream

CHANGEABLE = (
    "send_delay",
    "ack_delay",
    "recovery",
    "max_queued",
    "failed_events",
    "handler_timeout",
    "retry_pauses",
)


class Control:
    """The paths under `/_pubsub`."""

    def __init__(
        self, options: Options, hubs: Hubs, clients: Clients, upstream: Upstream, api: RestApi
    ) -> None:
        self._options, self._hubs, self._clients = options, hubs, clients
        self._upstream, self._api = upstream, api
        self._first = {name: getattr(options, name) for name in CHANGEABLE}

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/_pubsub/connections", self.connections)
        app.router.add_post("/_pubsub/connections/{id}/drop", self.drop)
        app.router.add_post("/_pubsub/connections/{id}/forget", self.forget)
        app.router.add_post("/_pubsub/settings", self.settings)
        app.router.add_put("/_pubsub/hubs/{hub}/handlers", self.handlers)
        app.router.add_get("/_pubsub/sends", self.sends)
        app.router.add_post("/_pubsub/reset", self.reset)

    async def connections(self, _request: web.Request) -> web.Response:
        """Every connection, cut off ones too."""
        return web.json_response([each.shown() for hub in self._hubs for each in hub.all()])

    async def drop(self, request: web.Request) -> web.Response:
        """Cut a connection, as a network does."""
        connection = self._hubs.connection(request.match_info["id"])
        if connection is None or connection.line is None:
            return web.Response(status=404)
        connection.line.abort()
        return web.Response(status=204)

    async def forget(self, request: web.Request) -> web.Response:
        """End the time in which a client that was cut off may come back."""
        connection = self._hubs.connection(request.match_info["id"])
        if connection is None:
            return web.Response(status=404)
        self._clients.forget(connection)
        return web.Response(status=204)

    async def settings(self, request: web.Request) -> web.Response:
        """Delays and limits, from now on."""
        given: Mapping[str, Any] = orjson.loads(await request.read())
        for name in CHANGEABLE:
            if name in given:
                setattr(self._options, name, given[name])
        return web.json_response({name: getattr(self._options, name) for name in CHANGEABLE})

    async def handlers(self, request: web.Request) -> web.Response:
        """Where the events of a hub go from now on."""
        rows = cast("list[dict[str, Any]]", orjson.loads(await request.read()))
        self._upstream.handlers[request.match_info["hub"].lower()] = [
            Handler(row["url"], row.get("system_events", SYSTEM_EVENTS), row.get("user_events", "*"))
            for row in rows
        ]
        return web.Response(status=204)

    async def sends(self, _request: web.Request) -> web.Response:
        """What was sent over REST, oldest first."""
        return web.json_response(list(self._api.sends))

    async def reset(self, _request: web.Request) -> web.Response:
        """Settings as at the start, and no sends."""
        for name, value in self._first.items():
            setattr(self._options, name, value)
        self._api.sends.clear()
        return web.Response(status=204)
