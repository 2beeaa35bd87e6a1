"""Azure Web PubSub through azure-messaging-webpubsubservice.

Sends, which come many times a second, go past the SDK's pipeline: see docs/decisions/0014.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import jwt
import orjson
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import AzureError
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient
from yarl import URL

from chat.errors import PushError, PushRefused
from chat.events import JSONObject
from chat.push.base import PushService
from chat.settings import Settings
from chat.user_ids import to_token

API_VERSION = "2024-12-01"
SCOPE = "https://webpubsub.azure.com/.default"
TIMEOUT = 10.0  # seconds for one call
SIGNED = 300  # seconds for which a token that we signed is good
RENEWED = 60  # seconds before its end at which it is made anew
REFUSED = (400, 413, 415)  # what is no better the second time
TOKENS = 500  # targets whose tokens are kept


class WebPubSub(PushService):
    """One hub. Inside the event loop that will use it."""

    def __init__(self, settings: Settings) -> None:
        self._hub = settings.web_pubsub_hub
        parts = read_connection_string(settings.web_pubsub)
        self._endpoint = (parts.get("endpoint") or settings.web_pubsub_endpoint).rstrip("/")
        self._key = parts.get("accesskey", "")
        self._identity = None if self._key else _identity()
        credential: Any = AzureKeyCredential(self._key) if self._key else self._identity
        self._client = WebPubSubServiceClient(self._endpoint, self._hub, credential, retry_total=1)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=200), timeout=aiohttp.ClientTimeout(TIMEOUT)
        )
        self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def host(self) -> str:
        """As the service names itself when it sends events: in lower case and without a port."""
        return (urlsplit(self._endpoint).hostname or "").lower()

    @property
    def keys(self) -> tuple[str, ...]:
        """What its events are signed with; with an identity there is nothing."""
        return (self._key,) if self._key else ()

    async def client_url(self, user_id: str, *, minutes: float) -> str:
        if self._identity is not None:
            minutes = max(1, int(minutes))  # the service, which signs it then, counts whole ones
        expires: Any = minutes
        async with _sdk():
            token: Any = await self._client.get_client_access_token(
                user_id=to_token(user_id), minutes_to_expire=expires
            )
        return str(token["url"])

    async def add_to_group(self, group: str, connection_id: str) -> bool:
        return await self._request("PUT", _membership(group, connection_id)) != 404

    async def remove_from_group(self, group: str, connection_id: str) -> None:
        await self._request("DELETE", _membership(group, connection_id))

    async def send_to_group(self, group: str, frame: JSONObject, *, but_user: str = "") -> None:
        path = f"groups/{quote(group, safe='')}/:send"
        others = f"userId ne '{to_token(but_user)}'" if but_user else ""
        await self._request("POST", path, frame, f"&filter={quote(others, safe='')}" if others else "")

    async def send_to_connection(self, connection_id: str, frame: JSONObject) -> bool:
        return await self._request("POST", f"connections/{quote(connection_id, safe='')}/:send", frame) != 404

    async def close(self, connection_id: str, reason: str) -> None:
        async with _sdk():
            await self._client.close_connection(connection_id, reason=reason)

    async def remove_user(self, user_id: str, group: str) -> None:
        async with _sdk():
            await self._client.remove_user_from_group(group, to_token(user_id))

    async def close_group(self, group: str, reason: str) -> None:
        async with _sdk():
            await self._client.close_group_connections(group, reason=reason)

    async def count(self, group: str) -> int:
        async with _sdk():
            members: Any = self._client.list_connections(group=group)
            return len([None async for _ in members])

    async def exists(self, connection_id: str) -> bool:
        async with _sdk():
            return bool(await self._client.connection_exists(connection_id))

    async def aclose(self) -> None:
        await self._http.close()
        await self._client.close()
        if self._identity is not None:
            await self._identity.close()

    async def _request(self, method: str, path: str, frame: JSONObject | None = None, query: str = "") -> int:
        """The status: 200, 202, 204, or 404 when there is no such connection."""
        target = f"{self._endpoint}/api/hubs/{self._hub}/{path}"
        headers = {"authorization": f"Bearer {await self._token(target)}", "content-type": "application/json"}
        url = f"{target}?api-version={API_VERSION}{query}"
        body = b"" if frame is None else orjson.dumps(frame)
        async with self._call(method, url, body, headers) as response:
            if response.status in REFUSED:
                raise PushRefused(f"The socket service answered {response.status}.")
            if response.status not in (200, 202, 204, 404):
                raise PushError(f"The socket service answered {response.status}.")
            return response.status

    @asynccontextmanager
    async def _call(
        self, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            async with self._http.request(
                method, URL(url, encoded=True), data=body, headers=headers
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PushError from error

    async def _token(self, target: str) -> str:
        """For one URL without its query, signed with the key; or the identity's, which is for all."""
        if self._identity is not None:
            async with _sdk():
                return (await self._identity.get_token(SCOPE)).token
        token, until = self._tokens.get(target, ("", 0.0))
        if time.time() > until - RENEWED:
            until = int(time.time()) + SIGNED
            token = jwt.encode({"aud": target, "exp": until}, self._key, "HS256")
            if len(self._tokens) >= TOKENS:
                self._tokens.clear()
            self._tokens[target] = (token, until)
        return token


def _identity() -> Any:
    from azure.identity.aio import DefaultAzureCredential  # 10 MiB that a key does without

    return DefaultAzureCredential()


@asynccontextmanager
async def _sdk() -> AsyncGenerator[None]:
    """Calls through the SDK, which would wait for minutes. What they raise comes out as PushError."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except (AzureError, aiohttp.ClientError, TimeoutError) as error:
        raise PushError from error


def read_connection_string(text: str) -> dict[str, str]:
    """`Endpoint=https://...;AccessKey=...;Version=1.0;` by its names in lower case."""
    pairs = (part.partition("=") for part in text.split(";") if part.strip())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _membership(group: str, connection_id: str) -> str:
    return f"groups/{quote(group, safe='')}/connections/{quote(connection_id, safe='')}"
