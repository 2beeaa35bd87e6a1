"""The client endpoint: from a handshake to the end of a connection."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from local.pubsub_service.connections import Connection
from local.pubsub_service.dialogue import BAD_PAYLOAD, POLICY, Dialogue
from local.pubsub_service.frames import PROTOCOLS, BadFrame, connected_frame, disconnected_frame
from local.pubsub_service.hubs import Hub, Hubs
from local.pubsub_service.lines import Line
from local.pubsub_service.options import MAX_FRAME, Options
from local.pubsub_service.permissions import Permissions
from local.pubsub_service.tokens import (
    BadToken,
    ClientToken,
    check_reconnection_token,
    make_reconnection_token,
    read_client_token,
)
from local.pubsub_service.upstream import EventFailed, Upstream

HUB_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_,.\[\]`]{0,127}")
UNSUPPORTED = 1003
SPARE = 16  # frames beyond the messages that are kept: acks, and the like
PING = 20.0  # seconds between WebSocket pings; who does not answer is cut off


class Clients:
    """All clients of the service."""

    def __init__(self, options: Options, hubs: Hubs, upstream: Upstream) -> None:
        self._options, self._hubs, self._upstream = options, hubs, upstream
        self._dialogues: dict[str, Dialogue] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """`GET /client/hubs/{hub}` and `GET /client/?hub={hub}`"""
        name = request.match_info.get("hub") or request.query.get("hub", "")
        if not HUB_NAME.fullmatch(name):
            return _refused(400, "There is no hub of this name.")
        if request.headers.get("upgrade", "").lower() != "websocket":
            return _refused(400, "This is for WebSocket connections.")
        if "awps_connection_id" in request.query:
            return await self._recover(request)
        try:
            token = self._read_token(request, name)
        except BadToken as error:
            return _refused(401, f"The token will not do: {error}")
        group = request.query.get("group", "")
        mode = request.query.get("webpubsub_mode", "sendEvent").lower()
        if mode not in ("sendevent", "sendtogroup") or (mode == "sendtogroup") != bool(group):
            return _refused(400, "webpubsub_mode is sendEvent, or sendToGroup with a group.")
        if not all(0 < len(each) <= 1024 and each.strip() for each in token.groups):
            return _refused(400, "The token names a group that cannot be.")
        return await self._connect(request, self._hubs.get(name), token, group)

    def forget(self, connection: Connection, reason: str = "The client did not come back in time") -> None:
        """It is gone for good."""
        hub = self._hubs.get(connection.hub)
        if connection.expiring is not None:
            connection.expiring.cancel()
        if hub.remove(connection):
            self._dialogues.pop(connection.id).close()
            self._upstream.notify(connection, "disconnected", {"reason": reason})

    def disconnect(self, connection: Connection, reason: str) -> None:
        """Close it from our side, with a word where the protocol has one."""
        if connection.has_frames:
            connection.put(disconnected_frame(reason))
        connection.close(1000, reason)
        self.forget(connection, reason)

    def _read_token(self, request: web.Request, hub: str) -> ClientToken:
        """What the client's token says; nothing where it needs none. BadToken."""
        given = _token(request)
        if not given and hub.lower() in (each.lower() for each in self._options.anonymous):
            return ClientToken("", (), (), {})
        return read_client_token(given, self._options.key, hub, request.host)

    async def _connect(
        self, request: web.Request, hub: Hub, token: ClientToken, group: str
    ) -> web.StreamResponse:
        offered = _offered(request)
        connection = Connection(
            self._options,
            hub=hub.name,
            user_id=token.user_id,
            protocol="",
            permissions=Permissions(token.roles),
        )
        try:
            said = await self._upstream.connect(connection, _described(request, token, offered))
        except EventFailed as error:
            return _refused(error.status if 400 <= error.status < 500 else 500, str(error))
        connection.protocol = _chosen(said, offered)
        connection.user_id = str(said.get("userId") or token.user_id)
        if isinstance(said.get("roles"), list):
            connection.permissions = Permissions(map(str, said["roles"]))
        hub.add(connection)
        for each in said.get("groups") or token.groups:
            hub.join(connection, str(each))
        dialogue = Dialogue(connection, hub, self._upstream, self._options, group=group)
        self._dialogues[connection.id] = dialogue
        return await self._serve(request, connection, dialogue, new=True)

    async def _recover(self, request: web.Request) -> web.StreamResponse:
        """A reliable client that was cut off is back. What is wrong is said after the upgrade, by the code 1008."""
        connection_id = request.query["awps_connection_id"]
        dialogue = self._dialogues.get(connection_id)
        try:
            token = request.query.get("awps_reconnection_token", "")
            check_reconnection_token(token, self._options.key, connection_id)
            if dialogue is None or dialogue.connection.overflowed or not dialogue.connection.reliable:
                raise BadToken("there is no such connection any more")
        except BadToken as error:
            socket = web.WebSocketResponse(protocols=PROTOCOLS)
            await socket.prepare(request)
            await socket.close(code=POLICY, message=str(error).encode()[:120])
            return socket
        if dialogue.connection.line is not None:
            dialogue.connection.line.abort()
        return await self._serve(request, dialogue.connection, dialogue, new=False)

    async def _serve(
        self, request: web.Request, connection: Connection, dialogue: Dialogue, *, new: bool
    ) -> web.WebSocketResponse:
        protocols = (connection.protocol,) if connection.protocol else ()
        socket = web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_FRAME, heartbeat=PING)
        try:
            await socket.prepare(request)
        except (ConnectionError, RuntimeError):
            self.forget(connection, "The client left during the handshake")
            raise
        line = Line(socket, request, limit=self._options.max_queued + SPARE)
        if connection.has_frames:
            token = make_reconnection_token(self._options.key, connection.id) if connection.reliable else ""
            line.put(connected_frame(connection.user_id, connection.id, token))
        connection.attach(line)
        if new:
            self._upstream.notify(connection, "connected", {})
        reason = await _listen(socket, dialogue)
        await line.ended()
        self._ended(connection, line, reason)
        return socket

    def _ended(self, connection: Connection, line: Line, reason: str | None) -> None:
        """A socket ended: by its client or by us (`reason`), or it was cut off (None)."""
        if connection.line is not line:
            return  # another socket took its place
        connection.line = None
        if reason is None and connection.reliable and not connection.overflowed:
            loop = asyncio.get_running_loop()
            connection.expiring = loop.call_later(self._options.recovery, self.forget, connection)
        else:
            self.forget(connection, reason or "The connection was lost")


async def _listen(socket: web.WebSocketResponse, dialogue: Dialogue) -> str | None:
    """Hear a client until its socket ends. Why it ended; None when it was cut off."""
    while True:
        message = await socket.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            try:
                dialogue.hear(message.data)
            except BadFrame as error:
                wrong_kind = message.type is WSMsgType.BINARY
                if dialogue.connection.has_frames:
                    dialogue.connection.put(disconnected_frame(str(error)))
                dialogue.connection.close(UNSUPPORTED if wrong_kind else BAD_PAYLOAD, str(error))
        elif message.type is WSMsgType.CLOSE:
            return str(message.extra or "The client closed the connection")
        elif message.type is WSMsgType.ERROR and socket.close_code == 1009:
            return "A frame was too large"
        else:
            return "Closed by the service" if socket.close_code in (1000, 1003, 1007, 1008, 1011) else None


def _described(request: web.Request, token: ClientToken, offered: Sequence[str]) -> Mapping[str, Any]:
    """The body of the `connect` event."""
    names = {name for name in request.query if name != "access_token"}
    headers = {
        str(name) for name in request.headers if name.lower() != "authorization"
    }  # not aiohttp's own kind
    return {
        "claims": token.claims,
        "query": {name: request.query.getall(name) for name in names},
        "headers": {name: request.headers.getall(name) for name in headers},
        "subprotocols": list(offered),
        "clientCertificates": [],
    }


def _chosen(said: Mapping[str, Any], offered: Sequence[str]) -> str:
    """The protocol that the handler chose, or the first of the service's own that the client offered."""
    chosen = str(said.get("subprotocol") or "")
    return chosen if chosen in offered else next((each for each in offered if each in PROTOCOLS), "")


def _offered(request: web.Request) -> list[str]:
    lines = request.headers.getall("sec-websocket-protocol", [])
    return [each.strip() for line in lines for each in line.split(",") if each.strip()]


def _token(request: web.Request) -> str:
    header = request.headers.get("authorization", "")
    return request.query.get("access_token") or (header[7:] if header.lower().startswith("bearer ") else "")


def _refused(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text)
