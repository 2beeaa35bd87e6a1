"""A gateway before the functions host, as Azure Application Gateway (v2) is one with the rules of docs/web-pubsub.md.

A WebSocket handshake to one of three paths goes to the hub of the socket service: with the dialect and the session of
its path in the query, and with `Authorization`, which the service would take for a token of its own, under another
name. Its answer, be it a refusal, and then every frame are passed on as they come. Everything else is for the
functions, which cannot take an upgrade themselves.

It imitates these rules and nothing else of Application Gateway, lives in the process of the host that it stands before,
and logs nothing: in a query may stand a token.
"""

import asyncio
import base64
import contextlib
import re
import socket
from collections.abc import Mapping
from typing import Any, Literal

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

RULES = (
    (re.compile(r"/ws/?", re.IGNORECASE), "{query}&dialect=chat"),
    (re.compile(r"/ws/chat/?", re.IGNORECASE), "{query}&dialect=plan"),
    (
        re.compile(r"/api/v1/chat/sessions/([^/]+)/websocket/?", re.IGNORECASE),
        "session_id={session}&{query}&dialect=session",
    ),
)
ENDPOINT = re.compile(r"(?:^|;)\s*Endpoint=([^;]+)", re.IGNORECASE)
# They concern one connection only, or are made anew for the next one.
DROPPED = re.compile(
    r"connection|upgrade|host|keep-alive|proxy-.*|te|trailer|content-length|sec-websocket-.*"
)
AS_IT_COMES: Any = {"autoclose": False, "autoping": False, "max_msg_size": 0, "decode_text": False}
PASSED = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.PONG)

type Side = web.WebSocketResponse[Literal[False]] | aiohttp.ClientWebSocketResponse[Literal[False]]


def hub_url(environment: Mapping[str, str]) -> str:
    """Where clients of the hub connect that these settings name; "" without one."""
    found = ENDPOINT.search(environment.get("WebPubSubConnectionString", ""))
    endpoint = found[1] if found else environment.get("WebPubSubConnectionString__serviceUri", "")
    hub = environment.get("WebPubSubHub") or "chat"
    return f"{endpoint.rstrip('/')}/client/hubs/{hub}" if endpoint else ""


def rewritten(address: str) -> str | None:
    """The query for the hub that a path with a query becomes; None where no rule is for it."""
    path, _, query = address.partition("?")
    for pattern, rule in RULES:
        if found := pattern.fullmatch(path):
            return rule.format(query=query, session=found[1] if found.groups() else "").lstrip("&")
    return None


class Refused(Exception):
    """A handshake that the service answers with something else than a socket."""

    def __init__(self, reply: web.Response) -> None:
        super().__init__(reply.status)
        self.reply = reply


def wrong_handshake(headers: CIMultiDictProxy[str]) -> str:
    """What a request lacks to be a handshake (RFC 6455, section 4.2.1); "" for nothing."""
    tokens = ",".join(headers.getall("Connection", [])).lower().split(",")
    if "upgrade" not in map(str.strip, tokens):
        return "Connection must name Upgrade."
    if headers.get("Sec-WebSocket-Version", "").strip() != "13":
        return "Sec-WebSocket-Version must be 13."
    with contextlib.suppress(ValueError):
        if len(base64.b64decode(headers.get("Sec-WebSocket-Key", "").strip(), validate=True)) == 16:
            return ""
    return "Sec-WebSocket-Key must be 16 bytes in base64."


class Gateway:
    """The way to one hub. Use it as a context manager; without a hub it takes nothing."""

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            middlewares=(_refusals,),
        )

    async def __aenter__(self) -> "Gateway":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    def takes(self, request: web.BaseRequest) -> bool:
        """Whether a request wants to be a handshake that belongs to the hub."""
        upgrades = request.headers.get("Upgrade", "").strip().lower() == "websocket"
        asks = upgrades and request.method == "GET"
        return bool(self._hub) and asks and rewritten(request.raw_path) is not None

    async def pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        """Carry a socket from its handshake to its end."""
        if wrong := wrong_handshake(request.headers):
            return web.Response(status=400, text=wrong, headers={"Sec-WebSocket-Version": "13"})
        try:
            service = await self._connect(request)
        except Refused as refused:
            return refused.reply
        except aiohttp.ClientError:
            return web.Response(status=502, text="The socket service cannot be reached.")
        chosen = (service.protocol,) if service.protocol else ()
        client: web.WebSocketResponse[Literal[False]] = web.WebSocketResponse(
            protocols=chosen, compress=False, **AS_IT_COMES
        )
        try:
            await client.prepare(request)
            await _carry(client, service)
        finally:  # what was not closed by now is lost, for the other side too
            if not service.closed:
                _cut(service.get_extra_info("socket"))
                await service.close()
            if not client.closed and request.transport is not None:
                request.transport.abort()
        return client

    async def _connect(self, request: web.BaseRequest) -> aiohttp.ClientWebSocketResponse[Literal[False]]:
        address = URL(f"{self._hub}?{rewritten(request.raw_path)}", encoded=True)
        protocols, headers = _protocols(request), _headers(request)
        return await self._session.ws_connect(address, protocols=protocols, headers=headers, **AS_IT_COMES)


async def _refusals(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The service's own words, which `ws_connect` would not read. Refused."""
    response = await handler(request)
    if response.status == 101:
        return response
    said = await response.read()
    kept = ("Content-Type", "Retry-After")
    headers = {name: response.headers[name] for name in kept if name in response.headers}
    raise Refused(web.Response(status=response.status, reason=response.reason, body=said, headers=headers))


async def _carry(client: Side, service: Side) -> None:
    """Both ways, until one side closes, which the other is told, or is lost."""
    ways = {asyncio.ensure_future(_forward(*way)): way for way in ((client, service), (service, client))}
    try:
        ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in ways:
            each.cancel()
    await asyncio.wait(ways)
    for each in ended:
        if (said := each.result()) is not None:
            for side in reversed(ways[each]):  # the one that said it hears the answer of the other
                await side.close(code=said[0], message=said[1])


async def _forward(source: Side, target: Side) -> tuple[int, bytes] | None:
    """Pass frames on. The code and the reason by which the source closes; None when one of the two is lost."""
    with contextlib.suppress(ConnectionError):
        while (message := await source.receive()).type in PASSED:
            await target.send_frame(message.data, message.type)
        if message.type is WSMsgType.CLOSE:
            return message.data or aiohttp.WSCloseCode.OK, (message.extra or "").encode()
    return None


def _headers(request: web.BaseRequest) -> CIMultiDict[str]:
    named = CIMultiDict(
        (name, value) for name, value in request.headers.items() if not DROPPED.fullmatch(name.lower())
    )
    if authorizations := named.popall("Authorization", []):
        named["x-chat-authorization"] = authorizations[0]
    return named


def _protocols(request: web.BaseRequest) -> list[str]:
    lines = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [each.strip() for line in lines for each in line.split(",") if each.strip()]


def _cut(line: socket.socket | None) -> None:
    """End a connection without a word, as a network does."""
    if line is not None:
        with contextlib.suppress(OSError):  # it has ended
            line.shutdown(socket.SHUT_RDWR)
