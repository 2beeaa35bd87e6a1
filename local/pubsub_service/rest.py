"""The REST API that server SDKs speak, versions 2021-10-01 to 2024-12-01: `/api/hubs/{hub}/...`."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from local.pubsub_service.clients import Clients
from local.pubsub_service.connections import Connection
from local.pubsub_service.filters import BadFilter, read_filter
from local.pubsub_service.frames import Message
from local.pubsub_service.hubs import Hub, Hubs, deliver
from local.pubsub_service.options import Options
from local.pubsub_service.permissions import DEEDS, Deed
from local.pubsub_service.rest_requests import Wrong, read_groups, read_number, read_payload
from local.pubsub_service.tokens import BadToken, check_rest_token, make_client_token

LARGEST_PAGE = 200
KEPT_SENDS = 100_000

type Call = Callable[[web.Request, Hub], Awaitable[web.Response]]


class RestApi:
    """The calls. `sends` is what was sent, for tests to look at."""

    def __init__(self, options: Options, hubs: Hubs, clients: Clients) -> None:
        self._options, self._hubs, self._clients = options, hubs, clients
        self.sends: deque[dict[str, Any]] = deque(maxlen=KEPT_SENDS)

    def add_to(self, app: web.Application) -> None:
        """Every row of the API."""
        app.router.add_route("HEAD", "/api/health", _healthy)
        for method, path, call in self._rows():
            app.router.add_route(method, f"/api/hubs/{{hub}}{path}", self._checked(call))

    def _rows(self) -> Iterable[tuple[str, str, Call]]:
        permission = "/permissions/{deed}/connections/{connection}"
        return (
            ("POST", "/:send", self.send_to_all),
            ("POST", "/groups/{group}/:send", self.send_to_group),
            ("POST", "/users/{user}/:send", self.send_to_user),
            ("POST", "/connections/{connection}/:send", self.send_to_connection),
            ("POST", "/:generateToken", self.generate_token),
            ("POST", "/:addToGroups", self.add_to_groups),
            ("POST", "/:removeFromGroups", self.remove_from_groups),
            ("POST", "/:closeConnections", self.close_all),
            ("POST", "/groups/{group}/:closeConnections", self.close_group),
            ("POST", "/users/{user}/:closeConnections", self.close_user),
            ("HEAD", "/connections/{connection}", self.connection_exists),
            ("DELETE", "/connections/{connection}", self.close_connection),
            ("HEAD", "/users/{user}", self.user_exists),
            ("HEAD", "/groups/{group}", self.group_exists),
            ("GET", "/groups/{group}/connections", self.list_members),
            ("PUT", "/groups/{group}/connections/{connection}", self.add_connection),
            ("DELETE", "/groups/{group}/connections/{connection}", self.remove_connection),
            ("DELETE", "/connections/{connection}/groups", self.remove_connection_from_all),
            ("PUT", "/users/{user}/groups/{group}", self.add_user),
            ("DELETE", "/users/{user}/groups/{group}", self.remove_user),
            ("DELETE", "/users/{user}/groups", self.remove_user_from_all),
            ("PUT", permission, self.grant),
            ("DELETE", permission, self.revoke),
            ("HEAD", permission, self.has_permission),
        )

    def _checked(self, call: Call) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            url = f"http://{request.host}{request.raw_path}"
            bearer = request.headers.get("authorization", "").partition(" ")[2]
            try:
                check_rest_token(bearer, self._options.key, url)
                return await call(request, self._hubs.get(request.match_info["hub"]))
            except BadToken as error:
                return _error(401, "Unauthorized", str(error))
            except BadFilter as error:
                return _error(400, "Error.BadRequest", str(error))
            except Wrong as wrong:
                return _error(wrong.status, "Error.BadRequest", str(wrong))

        return checked

    async def send_to_all(self, request: web.Request, hub: Hub) -> web.Response:
        return await self._send(request, hub, "all", "", hub.all)

    async def send_to_group(self, request: web.Request, hub: Hub) -> web.Response:
        group = request.match_info["group"]
        return await self._send(request, hub, "group", group, lambda: hub.members(group))

    async def send_to_user(self, request: web.Request, hub: Hub) -> web.Response:
        user_id = request.match_info["user"]
        return await self._send(request, hub, "user", user_id, lambda: hub.of_user(user_id))

    async def send_to_connection(self, request: web.Request, hub: Hub) -> web.Response:
        connection_id = request.match_info["connection"]
        return await self._send(request, hub, "connection", connection_id, lambda: _one(hub, connection_id))

    async def generate_token(self, request: web.Request, hub: Hub) -> web.Response:
        query = request.query
        token = make_client_token(
            self._options.key,
            f"http://{request.host}/client/hubs/{hub.name}",
            user_id=query.get("userId", ""),
            roles=query.getall("role", []),
            groups=query.getall("group", []),
            minutes=read_number(request, "minutesToExpire", 60),
        )
        return web.json_response({"token": token})

    async def add_to_groups(self, request: web.Request, hub: Hub) -> web.Response:
        return await self._for_groups(request, hub, hub.join)

    async def remove_from_groups(self, request: web.Request, hub: Hub) -> web.Response:
        return await self._for_groups(request, hub, hub.leave)

    async def close_all(self, request: web.Request, hub: Hub) -> web.Response:
        return self._close(request, hub.all())

    async def close_group(self, request: web.Request, hub: Hub) -> web.Response:
        return self._close(request, hub.members(request.match_info["group"]))

    async def close_user(self, request: web.Request, hub: Hub) -> web.Response:
        return self._close(request, hub.of_user(request.match_info["user"]))

    async def close_connection(self, request: web.Request, hub: Hub) -> web.Response:
        return self._close(request, _one(hub, request.match_info["connection"]))

    async def connection_exists(self, request: web.Request, hub: Hub) -> web.Response:
        return _found(_one(hub, request.match_info["connection"]))

    async def user_exists(self, request: web.Request, hub: Hub) -> web.Response:
        return _found(hub.of_user(request.match_info["user"]))

    async def group_exists(self, request: web.Request, hub: Hub) -> web.Response:
        return _found(hub.members(request.match_info["group"]))

    async def list_members(self, request: web.Request, hub: Hub) -> web.Response:
        """In pages, by the order of connection ids."""
        after, top = request.query.get("continuationToken", ""), read_number(request, "top", 0)
        size = min(read_number(request, "maxpagesize", LARGEST_PAGE), LARGEST_PAGE)
        members = sorted(hub.members(request.match_info["group"]), key=lambda each: each.id)
        left = [each for each in members if each.id > after]
        page = left[: min(size, top) if top else size]
        more = len(left) > len(page) and not (top and top <= len(page))
        following = {"continuationToken": page[-1].id} if more else {}
        following |= {"top": str(top - len(page))} if more and top else {}
        link = str(request.url.with_host(request.url.host or "").update_query(following)) if more else None
        value = [{"connectionId": each.id, "userId": each.user_id or None} for each in page]
        return web.json_response({"value": value, "nextLink": link})

    async def add_connection(self, request: web.Request, hub: Hub) -> web.Response:
        return _joined(_one(hub, request.match_info["connection"]), hub, request.match_info["group"])

    async def remove_connection(self, request: web.Request, hub: Hub) -> web.Response:
        return _left(_one(hub, request.match_info["connection"]), hub, [request.match_info["group"]])

    async def remove_connection_from_all(self, request: web.Request, hub: Hub) -> web.Response:
        return _left(_one(hub, request.match_info["connection"]), hub, None)

    async def add_user(self, request: web.Request, hub: Hub) -> web.Response:
        return _joined(hub.of_user(request.match_info["user"]), hub, request.match_info["group"])

    async def remove_user(self, request: web.Request, hub: Hub) -> web.Response:
        return _left(hub.of_user(request.match_info["user"]), hub, [request.match_info["group"]])

    async def remove_user_from_all(self, request: web.Request, hub: Hub) -> web.Response:
        return _left(hub.of_user(request.match_info["user"]), hub, None)

    async def grant(self, request: web.Request, hub: Hub) -> web.Response:
        connection, deed, group = self._permission(request, hub)
        connection.permissions.grant(deed, group)
        return web.Response()

    async def revoke(self, request: web.Request, hub: Hub) -> web.Response:
        connection, deed, group = self._permission(request, hub)
        connection.permissions.revoke(deed, group)
        return web.Response(status=204)

    async def has_permission(self, request: web.Request, hub: Hub) -> web.Response:
        connection, deed, group = self._permission(request, hub)
        return web.Response(status=200 if connection.permissions.has(deed, group) else 404)

    async def _send(
        self, request: web.Request, hub: Hub, target: str, name: str, to: Callable[[], list[Connection]]
    ) -> web.Response:
        """Accepted once it is on its way. The order of arrival is the order of delivery."""
        payload = await read_payload(request)
        matches = read_filter(request.query.get("filter", ""))
        if self._options.send_delay:
            await asyncio.sleep(self._options.send_delay)
        self.sends.append(
            {"at": time.time(), "hub": hub.name, "target": target, "name": name, "bytes": len(payload.raw)}
        )
        message = Message(payload, group=name if target == "group" else "")
        deliver(message, to(), excluded=request.query.getall("excluded", []), matches=matches)
        return web.Response(status=202)

    async def _for_groups(
        self, request: web.Request, hub: Hub, deed: Callable[[Connection, str], None]
    ) -> web.Response:
        groups, text = read_groups(await request.read())
        matches = read_filter(text)
        for connection in hub.all():
            if matches is None or matches(connection):
                for group in groups:
                    deed(connection, group)
        return web.Response()

    def _close(self, request: web.Request, connections: Iterable[Connection]) -> web.Response:
        excluded = request.query.getall("excluded", [])
        for each in connections:
            if each.id not in excluded:
                self._clients.disconnect(each, request.query.get("reason", ""))
        return web.Response(status=204)

    def _permission(self, request: web.Request, hub: Hub) -> tuple[Connection, Deed, str]:
        deed: Deed | None = next(
            (each for each in DEEDS if each.lower() == request.match_info["deed"].lower()), None
        )
        if deed is None:
            raise Wrong(400, "There is no such permission.")
        found = _one(hub, request.match_info["connection"])
        if not found:
            raise Wrong(404, "There is no such connection.")
        return found[0], deed, request.query.get("targetName", "")


async def _healthy(_request: web.Request) -> web.Response:
    return web.Response()


def _one(hub: Hub, connection_id: str) -> list[Connection]:
    connection = hub.connections.get(connection_id)
    return [] if connection is None else [connection]


def _found(connections: list[Connection]) -> web.Response:
    return web.Response(status=200 if connections else 404)


def _joined(connections: list[Connection], hub: Hub, group: str) -> web.Response:
    for each in connections:
        hub.join(each, group)
    return web.Response() if connections else _error(404, "Error.Connection.NotExisted", "There is none.")


def _left(connections: list[Connection], hub: Hub, groups: list[str] | None) -> web.Response:
    for each in connections:
        for group in list(each.groups) if groups is None else groups:
            hub.leave(each, group)
    return web.Response(status=204)


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message, "target": None, "details": []}, status=status)
