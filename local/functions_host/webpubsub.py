"""The host's side of the Web PubSub extension: CloudEvents in, functions run, replies out.

Follows WebPubSubTriggerDispatcher of azure-sdk-for-net (read November 2026): the order of its checks, the JSON that a
function that is not .NET gets, and what it may return. What it sets on output bindings is `webpubsub_actions.py`.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web

from local.functions_host import protos
from local.functions_host.functions import Function
from local.functions_host.worker import WorkerError

PATH = "/runtime/webhooks/webpubsub"
ORIGIN = "WebHook-Request-Origin"
NEEDED = ("ce-connectionId", "ce-hub", "ce-type", "ce-eventName", ORIGIN)
DATA_TYPES = {"text/plain": "Text", "application/json": "Json", "application/octet-stream": "Binary"}
CONTENT_TYPES = {"text": "text/plain", "json": "application/json", "binary": "application/octet-stream"}
ERRORS = {"unauthorized": 401, "usererror": 400, "servererror": 500}
WAITED_FOR = 100.0  # seconds for which the service waits for a reply

type Invoke = Callable[[Function, protos.TypedData], Awaitable[Any]]


class Refused(Exception):
    """A request that no function gets to see."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent as it came."""

    kind: str  # user | system
    name: str
    hub: str
    connection_id: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def waits(self) -> bool:
        """Whether the service waits for what the function returns."""
        return self.kind == "user" or self.name.lower() == "connect"

    @property
    def key(self) -> tuple[str, str, str]:
        return self.hub.lower(), self.kind, self.name.lower()


class WebPubSubWebhook:
    """All Web PubSub functions of an app. WorkerError when two are for the same event."""

    def __init__(self, functions: Iterable[Function], invoke: Invoke) -> None:
        self._invoke = invoke
        self._tasks: set[asyncio.Task[Any]] = set()
        self._functions: dict[tuple[str, str, str], Function] = {}
        for function in functions:
            if str(function.trigger.get("type")).lower() == "webpubsubtrigger" and not function.disabled:
                self._add(function)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """The reply to the service."""
        try:
            if request.method == "OPTIONS":
                return self._handshake(request.headers.get(ORIGIN, ""))
            function, event = await self._accepted(request)
        except Refused as refused:
            return web.Response(status=refused.status, text=str(refused))
        data = _bound(function.trigger["name"], event)
        running = asyncio.ensure_future(self._invoke(function, data))
        if not event.waits:
            self._tasks.add(running)
            running.add_done_callback(self._tasks.discard)
            return web.Response()
        async with asyncio.timeout(WAITED_FOR):
            return _reply(await running, event)

    def _add(self, function: Function) -> None:
        trigger = function.trigger
        key = (
            str(trigger.get("hub", "")).lower(),
            str(trigger.get("eventType", "user")).lower(),
            str(trigger.get("eventName", "")).lower(),
        )
        if key in self._functions:
            raise WorkerError(
                f"{function.name} and {self._functions[key].name} are for the same Web PubSub event"
            )
        self._functions[key] = function

    def _handshake(self, origin: str) -> web.Response:
        """Abuse protection: a service asks whether its events are wanted."""
        if origin and any(_keys_of(function, origin) is not None for function in self._functions.values()):
            return web.Response(headers={"WebHook-Allowed-Origin": "*"})
        raise Refused(400, "no Web PubSub function takes events of this origin")

    async def _accepted(self, request: web.BaseRequest) -> tuple[Function, Event]:
        headers = request.headers
        if any(name not in headers for name in NEEDED):
            raise Refused(400, f"one of the headers {', '.join(NEEDED)} is missing")
        kind = "user" if headers["ce-type"].lower().startswith("azure.webpubsub.user.") else "system"
        event = Event(
            kind,
            headers["ce-eventName"],
            headers["ce-hub"],
            headers["ce-connectionId"],
            dict(headers),
            await request.read(),
        )
        function = self._functions.get(event.key)
        if function is None:
            raise Refused(404, "no function is for this event")
        keys = _keys_of(function, headers[ORIGIN])
        if keys is None or (
            keys and not _is_signed(event.connection_id, headers.get("ce-signature", ""), keys)
        ):
            raise Refused(401, "the signature is not that of a known connection")
        if request.method != "POST":
            raise Refused(400, "events are posted")
        if event.kind == "user" and _media_type(event) not in DATA_TYPES:
            raise Refused(400, "a user event is text, JSON or binary")
        return function, event


def _keys_of(function: Function, origin: str) -> list[str] | None:
    """The access keys that may sign events of this origin; [] when nothing is to be checked, None when the origin is
    unknown."""
    names = function.trigger.get("connections") or ["WebPubSubConnectionString"]
    known = [os.environ[str(name)] for name in names if os.environ.get(str(name))]
    if not known:
        return []
    parts = [_parts(text) for text in known]
    return [each.get("AccessKey", "") for each in parts if _host(each.get("Endpoint", "")) == origin] or None


def _parts(connection_string: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in connection_string.split(";") if part)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _host(endpoint: str) -> str:
    return endpoint.partition("://")[2].partition("/")[0].partition(":")[0]


def _is_signed(connection_id: str, signature: str, keys: Iterable[str]) -> bool:
    """Whether one of the signatures is by one of the keys."""
    given = [each.strip().lower() for each in signature.split(",")]
    right = [
        "sha256=" + hmac.digest(key.encode(), connection_id.encode(), hashlib.sha256).hex() for key in keys
    ]
    return any(hmac.compare_digest(one, other) for one in given for other in right)


def _media_type(event: Event) -> str:
    return _header(event, "content-type").partition(";")[0].strip().lower()


def _header(event: Event, name: str) -> str:
    return next((value for key, value in event.headers.items() if key.lower() == name.lower()), "")


def _bound(name: str, event: Event) -> protos.TypedData:
    """What the argument of that name gets; anything unknown is null."""
    values = _values(event)
    if name == "request":
        return protos.TypedData(json=json.dumps(values))
    if name == "data" and values.get("dataType") == "Binary":
        return protos.TypedData(bytes=event.body)
    value = values.get(name)
    return (
        protos.TypedData(string=value) if isinstance(value, str) else protos.TypedData(json=json.dumps(value))
    )


def _values(event: Event) -> dict[str, Any]:
    """The JSON of `request`."""
    values: dict[str, Any] = {"connectionContext": _context(event)}
    if event.kind == "user":
        return values | {
            "data": event.body.decode("utf-8", "replace"),
            "dataType": DATA_TYPES[_media_type(event)],
        }
    try:
        said: Any = json.loads(event.body or b"{}")
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if event.name.lower() == "connect":
        empty = {"claims": {}, "query": {}, "headers": {}, "subprotocols": [], "clientCertificates": []}
        return values | {key: said.get(key, default) for key, default in empty.items()}
    return values | ({"reason": said.get("reason", "")} if event.name.lower() == "disconnected" else {})


def _context(event: Event) -> dict[str, Any]:
    return {
        "eventType": event.kind.capitalize(),
        "eventName": event.name,
        "hub": event.hub,
        "connectionId": event.connection_id,
        "userId": _header(event, "ce-userId"),
        "signature": _header(event, "ce-signature"),
        "origin": _header(event, ORIGIN),
        "states": _states(_header(event, "ce-connectionState")),
        "headers": {name: [value] for name, value in event.headers.items()},
    }


def _states(text: str) -> dict[str, str]:
    """base64 of a JSON object of base64 values."""
    if not text:
        return {}
    packed: dict[str, str] = json.loads(base64.b64decode(text))
    return {name: base64.b64decode(value).decode() for name, value in packed.items()}


def _reply(response: Any, event: Event) -> web.Response:
    """What the function returned, as the service wants it. A text is no reply: it is lost, as on the real host."""
    if response.result.status != protos.StatusResult.Success:
        return web.Response(status=500, text="the function failed")
    returned = response.return_value
    text = getattr(returned, "json", None) if returned is not None else None
    if text is None:
        return web.Response()
    value = json.loads(text)
    if not isinstance(value, dict):
        return web.Response(status=500, text="a function must return an object")
    fields = cast("dict[str, Any]", value)
    code = str(fields.get("code") or "success").lower()
    if code in ERRORS:
        return web.Response(status=ERRORS[code], text=str(fields.get("errorMessage") or ""))
    headers = _state_header(event, fields.get("states"))
    if event.kind == "system":
        known = {
            key: fields[key]
            for key in ("userId", "groups", "roles", "subprotocol")
            if fields.get(key) is not None
        }
        return web.json_response(known, headers=headers)
    return _message(fields, headers)


def _message(fields: Mapping[str, Any], headers: Mapping[str, str]) -> web.Response:
    data, kind = fields.get("data"), str(fields.get("dataType") or "text").lower()
    if data is None:
        return web.Response(headers=headers)
    if isinstance(data, dict) and data.get("type") == "Buffer":
        body = bytes(cast("list[int]", data["data"]))
    elif isinstance(data, str):
        body = data.encode()
    else:
        return web.Response(status=500, text="data must be a string")
    return web.Response(body=body, content_type=CONTENT_TYPES.get(kind, "text/plain"), headers=headers)


def _state_header(event: Event, states: object) -> dict[str, str]:
    """States add to those that the connection has."""
    if not isinstance(states, dict):
        return {}
    merged = _states(_header(event, "ce-connectionState")) | {
        str(name): value if isinstance(value, str) else json.dumps(value)
        for name, value in cast("dict[str, Any]", states).items()
    }
    packed = {name: base64.b64encode(value.encode()).decode() for name, value in merged.items()}
    return {"ce-connectionState": base64.b64encode(json.dumps(packed).encode()).decode()}
