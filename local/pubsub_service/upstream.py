"""Events to the handlers of a hub: CloudEvents over HTTP in binary mode, version 1.0.

Spec: github.com/cloudevents/spec (WebHooks 1.0) and Web PubSub's own headers (docs "reference-cloud-events").
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from local.pubsub_service.connections import Connection
from local.pubsub_service.frames import DATA_TYPES, Payload
from local.pubsub_service.options import Handler, Options
from local.queries import without_queries

VALIDATED = 60.0  # seconds for which a handler's consent holds
VALIDATION_TIMEOUT = 10.0
MAX_REPLY = 16 * 1024 * 1024
AGAIN = (408, *range(500, 600))  # statuses after which a handler is called again
STATE = "ce-connectionState"
METADATA = "x-webpubsub-metadata-"


class EventFailed(Exception):
    """No handler took the event. `status` is what a handler answered, or what the service answers for it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answered with 2xx."""

    body: bytes
    content_type: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def payload(self) -> Payload | None:
        """The message to the client, if there is one. EventFailed for a type that no message has."""
        if not self.body:
            return None
        kinds = {media: kind for kind, media in DATA_TYPES.items()}
        kind = kinds.get(self.content_type or DATA_TYPES["binary"])
        if kind is None:
            raise EventFailed(500, f"a handler answered with {self.content_type}")
        return Payload(kind, self.body, self.metadata)

    def object(self) -> dict[str, Any]:
        """What `connect` was answered with. EventFailed when it is no JSON object."""
        try:
            value = orjson.loads(self.body or b"{}")
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise EventFailed(500, "connect was not answered with a JSON object")
        return value


class Upstream:
    """Calls event handlers. Those of a hub may be changed while it runs."""

    def __init__(self, options: Options, session: aiohttp.ClientSession) -> None:
        self.handlers: dict[str, Sequence[Handler]] = {
            hub.lower(): handlers for hub, handlers in options.handlers.items()
        }
        self._options, self._session = options, session
        self._valid_until: dict[str, float] = {}
        self._turns = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    def handler(self, hub: str, kind: str, name: str) -> Handler | None:
        """The first that takes such events."""
        return next((each for each in self.handlers.get(hub, ()) if each.takes(kind, name)), None)

    async def connect(self, connection: Connection, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the handler of `connect` says, {} when there is none. EventFailed when it refuses."""
        if self.handler(connection.hub, "sys", "connect") is None:
            return {}
        reply = await self._send(
            connection, "sys", "connect", orjson.dumps(body), DATA_TYPES["json"], number=0
        )
        return reply.object()

    def notify(self, connection: Connection, name: str, body: Mapping[str, Any]) -> None:
        """`connected` or `disconnected`: nobody waits for a handler of these."""
        if self.handler(connection.hub, "sys", name) is not None:
            task = asyncio.create_task(self._notify(connection, name, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def user_event(self, connection: Connection, name: str, payload: Payload) -> Reply:
        """EventFailed."""
        return await self._send(
            connection, "user", name, payload.raw, DATA_TYPES[payload.data_type], metadata=payload.metadata
        )

    async def aclose(self) -> None:
        """Let notifications that are on their way arrive."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)

    async def _notify(self, connection: Connection, name: str, body: Mapping[str, Any]) -> None:
        try:
            await self._send(connection, "sys", name, orjson.dumps(body), DATA_TYPES["json"])
        except EventFailed as error:
            print(f"{name} of {connection.id} was not taken: {error}", flush=True)

    async def _send(
        self,
        connection: Connection,
        kind: str,
        name: str,
        body: bytes,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        number: int | None = None,
    ) -> Reply:
        handler = self.handler(connection.hub, kind, name)
        if handler is None:
            raise EventFailed(500, "no handler takes this event")
        headers = self._headers(connection, kind, name, connection.next_event() if number is None else number)
        headers |= {METADATA + key: value for key, value in (metadata or {}).items()}
        headers["content-type"] = content_type + ("; charset=utf-8" if kind == "sys" else "")
        urls = [(url, _filled(url, connection.hub, name)) for url in handler.url.split()]
        try:
            async with asyncio.timeout(self._options.handler_timeout):
                return await self._until_taken(connection, urls, headers, body)
        except TimeoutError:
            raise EventFailed(504, "the handler did not answer in time") from None

    async def _until_taken(
        self, connection: Connection, urls: list[tuple[str, str]], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        first = next(self._turns)
        failed = EventFailed(500, "there is no handler")
        for attempt, pause in enumerate((0.0, *self._options.retry_pauses)):
            await asyncio.sleep(pause)
            start = (first + attempt) % len(urls)
            try:
                return await self._post_to_one(connection, urls[start:] + urls[:start], headers, body)
            except EventFailed as error:
                failed = error
                if error.status not in AGAIN:
                    break
            except aiohttp.ClientError as error:
                failed = EventFailed(500, without_queries(str(error)))
        raise failed

    async def _post_to_one(
        self,
        connection: Connection,
        urls: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Reply:
        """To the first that can be reached: one that is down is passed over, as a load balancer does."""
        for template, url in urls[:-1]:
            with contextlib.suppress(aiohttp.ClientConnectorError):
                await self._validate(_filled(template, connection.hub, "validate"))
                return await self._post(connection, url, headers, body)
        template, url = urls[-1]
        await self._validate(_filled(template, connection.hub, "validate"))
        return await self._post(connection, url, headers, body)

    async def _post(self, connection: Connection, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        sent = dict(headers) | ({"ce-connectionState": connection.state} if connection.state else {})
        if connection.cookies:
            sent["Cookie"] = "; ".join(
                f"{name}={each.coded_value}" for name, each in connection.cookies.items()
            )
        async with self._session.post(url, data=body, headers=sent, allow_redirects=False) as response:
            answered = await response.content.read(MAX_REPLY + 1)
            while len(answered) <= MAX_REPLY and not response.content.at_eof():
                answered += await response.content.read(MAX_REPLY)
            if not response.ok or response.status >= 300:
                raise EventFailed(response.status, answered.decode(errors="replace"))
            if len(answered) > MAX_REPLY:
                raise EventFailed(500, "the handler's answer is too large")
            connection.cookies.update(response.cookies)
            if STATE in response.headers:
                connection.state = response.headers[STATE]
            own = {
                name.lower().removeprefix(METADATA): value
                for name, value in response.headers.items()
                if name.lower().startswith(METADATA)
            }
            return Reply(answered, response.content_type if "content-type" in response.headers else "", own)

    def _headers(self, connection: Connection, kind: str, name: str, number: int) -> dict[str, str]:
        signature = hmac.digest(self._options.key.encode(), connection.id.encode(), hashlib.sha256).hex()
        headers = {
            "WebHook-Request-Origin": self._options.host,
            "ce-specversion": "1.0",
            "ce-awpsversion": "1.0",
            "ce-type": f"azure.webpubsub.{kind}.{name}",
            "ce-source": f"/hubs/{connection.hub}/client/{connection.id}",
            "ce-id": str(number),
            "ce-time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "ce-signature": f"sha256={signature}",
            "ce-connectionId": connection.id,
            "ce-hub": connection.hub,
            "ce-eventName": name,
        }
        headers |= {"ce-userId": connection.user_id} if connection.user_id else {}
        return headers | ({"ce-subprotocol": connection.protocol} if connection.protocol and number else {})

    async def _validate(self, url: str) -> None:
        """Abuse protection: before the first event, and again every minute, the handler says that it wants them."""
        if time.monotonic() < self._valid_until.get(url, 0.0):
            return
        headers = {"WebHook-Request-Origin": self._options.host, "ce-awpsversion": "1.0"}
        timeout = aiohttp.ClientTimeout(VALIDATION_TIMEOUT)
        async with self._session.options(url, headers=headers, timeout=timeout) as response:
            allowed = [each.strip() for each in response.headers.get("WebHook-Allowed-Origin", "").split(",")]
            if not response.ok or not {"*", self._options.host} & set(allowed):
                raise EventFailed(403, f"the handler does not want events: {response.status}")
        self._valid_until[url] = time.monotonic() + VALIDATED


def _filled(template: str, hub: str, event: str) -> str:
    return template.replace("{hub}", quote(hub, safe="")).replace("{event}", quote(event, safe=""))
