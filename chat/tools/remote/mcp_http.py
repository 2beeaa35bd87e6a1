"""HTTP towards a server that may be hostile: bounded in bytes and requests, without redirects, without compression.

All bounds are those of one exchange: one listing or one call, with its handshake.
"""

import base64
import time
from collections.abc import AsyncGenerator, AsyncIterator
from urllib.parse import quote, urlencode

import httpx2

from chat.settings.mcp_servers import McpServer, OAuthClient

MAX_BYTES = 4 * 1024 * 1024  # of all replies of one exchange
MAX_REQUESTS = 40  # of one exchange
TIMEOUT = httpx2.Timeout(connect=5.0, write=10.0, pool=5.0, read=None)  # an exchange has a limit of its own
EARLY = 30.0  # seconds before its end in which a token is used no more
LIFE = 300.0  # seconds of a token that does not say how long it lives
REFUSALS = (401, 403, 407)


class Refused(Exception):
    """The server answered in a way that we do not take. The text is ours, and holds nothing of what it said."""


class BoundedTransport(httpx2.AsyncBaseTransport):
    """One exchange over a pool of connections that others share."""

    def __init__(self, pool: httpx2.AsyncBaseTransport) -> None:
        self._pool = pool
        self._bytes, self._requests = MAX_BYTES, MAX_REQUESTS
        self.failed = False  # whether a reply said that the server is broken, or was too much
        self.denied = False  # whether one said that whoever asks is nobody it knows

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._requests -= 1
        if self._requests < 0:
            raise self._refused("asks for too many requests")
        response = await self._pool.handle_async_request(request)
        try:
            self._check(request, response)
        except Refused:
            await response.aclose()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_CountedStream(response.stream, self),
            extensions=response.extensions,
        )

    def take(self, size: int) -> None:
        """Count bytes that came. Refused when they are too many."""
        self._bytes -= size
        if self._bytes < 0:
            raise self._refused("says too much")

    def _check(self, request: httpx2.Request, response: httpx2.Response) -> None:
        status = response.status_code
        if 300 <= status < 400:
            raise self._refused("redirects")
        self.denied |= status == 401
        if status in REFUSALS and request.method == "POST":
            raise self._refused(f"answers with {status}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise self._refused("answers compressed")
        self.failed |= status >= 500

    def _refused(self, why: str) -> Refused:
        self.failed = True
        return Refused(f"It {why}.")


class _CountedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, counter: BoundedTransport) -> None:
        self._stream, self._counter = stream, counter

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._counter.take(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class ClientCredentials(httpx2.Auth):
    """The token of a client, fetched from the one address that the settings name: what the server says of where to
    get one is not asked."""

    requires_response_body = True

    def __init__(self, client: OAuthClient) -> None:
        self._client = client
        self._token, self._ends = "", 0.0

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        if time.monotonic() >= self._ends:
            response = yield self._request()
            await response.aread()
            self._take(response)
        request.headers["authorization"] = f"Bearer {self._token}"
        yield request

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be repeated."""
        return tuple(each for each in (self._client.client_secret, self._token) if each)

    def forget(self) -> None:
        """The token was refused: get another one before the next request."""
        self._ends = 0.0

    def _request(self) -> httpx2.Request:
        client = self._client
        form = {"grant_type": "client_credentials"} | ({"scope": client.scope} if client.scope else {})
        named = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        headers = {
            "authorization": f"Basic {base64.b64encode(named.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "accept-encoding": "identity",
        }
        return httpx2.Request("POST", client.token_url, headers=headers, content=urlencode(form).encode())

    def _take(self, response: httpx2.Response) -> None:
        try:
            given = response.json() if response.status_code == 200 else {}
            token, life = given["access_token"], float(given.get("expires_in", LIFE))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Refused("Its issuer gives no token.") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise Refused("Its issuer gives no token.")
        self._token, self._ends = token, time.monotonic() + max(life - EARLY, 0.0)


def open_client(
    server: McpServer, transport: httpx2.AsyncBaseTransport, auth: httpx2.Auth | None
) -> httpx2.AsyncClient:
    """A client for one exchange. It takes nothing from the environment, and no redirect."""
    return httpx2.AsyncClient(
        transport=transport,
        headers={**server.headers, "accept-encoding": "identity"},
        auth=auth,
        timeout=TIMEOUT,
        follow_redirects=False,
        trust_env=False,
    )
