"""Azure AI models, the model router above all, through `azure.ai.inference`: the only file that imports that SDK.

The SDK's pipeline signs and sends the request; its reply is read with our own decoder (docs/decisions/0002). Nothing
is retried here: what waits and asks again sits above the port, where attempts are counted and waits are bounded.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, cast
from urllib.request import getproxies

import aiohttp
import orjson
from azure.ai.inference.aio import ChatCompletionsClient
from azure.core import exceptions as azure
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from chat.errors import (
    BadProviderReply,
    ProviderAuthFailed,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from chat.events import JSONObject
from chat.providers.azure_endpoint import resolve_endpoint
from chat.providers.base import ModelChosen, ModelDelta, ModelRequest
from chat.providers.chat_completions import ChunkReader, request_body
from chat.providers.patience import Patience
from chat.providers.service_errors import error_of_status
from chat.providers.sse_decoder import SseDecoder
from chat.settings import Settings, load_settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.rest._aiohttp import RestAioHttpTransportResponse  # pyright: ignore[reportPrivateImportUsage]

CONNECT_TIMEOUT = 10.0
IDLE_CONNECTION = 60.0
"""Seconds that a connection is kept for the next turn; a new one costs two or three round trips."""
BLOCK_BYTES = 64 * 1024  # the most that one read takes; what is there is read at once, however little
ERROR_BODY_BYTES = 64 * 1024
TRAILER_TIMEOUT = 5.0
"""Seconds to wait for the usage when the reply itself is complete."""
LINGER = 0.1
"""Seconds to wait for the end of the body after `[DONE]`: a body read to its end leaves a connection to use again."""

UNREACHABLE = "The model service cannot be reached."
CUT = "The model's reply was cut off."

ERRORS: Mapping[type[Exception], tuple[type[ProviderError], str]] = {
    azure.ServiceRequestError: (ProviderUnavailable, UNREACHABLE),
    azure.ServiceRequestTimeoutError: (ProviderUnavailable, "The model service took too long to connect."),
    azure.ServiceResponseError: (BadProviderReply, "The model service broke off the connection."),
    azure.ServiceResponseTimeoutError: (ProviderTimeout, ""),
    azure.ClientAuthenticationError: (ProviderAuthFailed, "No identity could sign in to the model service."),
    azure.HttpResponseError: (BadProviderReply, ""),
    azure.DecodeError: (BadProviderReply, ""),
    azure.DeserializationError: (BadProviderReply, ""),
    azure.IncompleteReadError: (BadProviderReply, CUT),
    azure.ODataV4Error: (BadProviderReply, ""),
    azure.ResourceExistsError: (ProviderRejected, ""),
    azure.ResourceModifiedError: (ProviderRejected, ""),
    azure.ResourceNotFoundError: (ProviderRejected, ""),
    azure.ResourceNotModifiedError: (ProviderRejected, ""),
    azure.ResponseNotReadError: (BadProviderReply, ""),
    azure.SerializationError: (ProviderRejected, ""),
    azure.StreamClosedError: (BadProviderReply, CUT),
    azure.StreamConsumedError: (BadProviderReply, CUT),
    azure.TooManyRedirectsError: (BadProviderReply, ""),
    azure.AzureError: (BadProviderReply, ""),
    orjson.JSONEncodeError: (ProviderRejected, "The conversation holds text that is not Unicode."),
    TimeoutError: (ProviderTimeout, ""),
    OSError: (ProviderUnavailable, UNREACHABLE),
}
"""What the SDK raises before a reply begins, and what we raise for it; the nearest base class counts."""


class AzureInferenceProvider:
    """The deployment that the settings name. Needs a running loop only once it is asked something.

    Without a key, `credential` signs in; without that too, `DefaultAzureCredential` does, and is closed with this.
    """

    def __init__(self, settings: Settings, *, credential: "AsyncTokenCredential | None" = None) -> None:
        self._settings = settings
        self._endpoint = resolve_endpoint(settings)
        self._credential = credential
        self._own_credential: AsyncTokenCredential | None = None
        self._client: ChatCompletionsClient | None = None

    @property
    def name(self) -> str:
        return "AZURE"

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        model = request.model or self._endpoint.deployment or self._settings.azure_model
        reader, decoder = ChunkReader(model), SseDecoder()
        reply = await self._ask(request_body(request, model), model)
        try:
            while block := await reply.read():
                spoke = False
                for data in decoder.decode(block):
                    for delta in reader.read(data):
                        spoke = spoke or type(delta) is not ModelChosen
                        yield delta
                self._set_patience(reply, reader, spoke=spoke)
            for data in decoder.flush():
                for delta in reader.read(data):
                    yield delta
        except (BadProviderReply, ProviderTimeout):
            if not reader.complete:
                raise
        finally:
            await reply.close()
        for delta in reader.finish():
            yield delta

    async def aclose(self) -> None:
        client, self._client = self._client, None
        credential, self._own_credential = self._own_credential, None
        if client is not None:
            await client.close()
        if credential is not None:
            await credential.close()

    async def _ask(self, body: JSONObject, model: str) -> "_Reply":
        """Send the request; the reply, of which nothing but the head was read."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.azure_first_token_timeout
        try:
            request = self._request(body)
            async with asyncio.timeout_at(deadline):
                response = await self._connected().send_request(request, stream=True, read_timeout=None)
                if response.status_code != 200:
                    raise await _refusal(response, model)
        except tuple(ERRORS) as error:
            raise translated(error) from error
        return _Reply(response, deadline - loop.time())

    def _request(self, body: JSONObject) -> HttpRequest:
        return HttpRequest(
            "POST",
            "{endpoint}/chat/completions",
            params={"api-version": self._endpoint.api_version},
            headers={
                "content-type": "application/json",
                "accept": "text/event-stream",
                "accept-encoding": "identity",  # compressing proxies hold text back until a block is full
            },
            content=orjson.dumps(body),
        )

    def _connected(self) -> ChatCompletionsClient:
        if self._client is None:
            if not self._settings.azure_key and self._credential is None:
                self._own_credential = _default_credential()
            credential = self._credential or self._own_credential
            self._client = get_inference_client(self._settings, credential=credential)
        return self._client

    def _set_patience(self, reply: "_Reply", reader: ChunkReader, *, spoke: bool) -> None:
        gap = self._settings.azure_token_gap_timeout
        if reader.done:
            reply.patience.allow(min(LINGER, gap))
        elif reader.complete:
            reply.patience.allow(min(TRAILER_TIMEOUT, gap))
        elif spoke:
            reply.patience.allow(gap)


class _Reply:
    """The body of one reply, read with patience; closing it drops the connection unless all of it was read.

    Read from aiohttp itself: the SDK's iterator over it costs 5 us a delta, and adds nothing but its own errors.
    """

    def __init__(self, response: AsyncHttpResponse, first_token_timeout: float) -> None:
        self._response = response
        self._content = cast("RestAioHttpTransportResponse", response).internal_response.content
        self._closing: asyncio.Future[None] | None = None
        self.patience = Patience(first_token_timeout, self._give_up)

    async def read(self) -> bytes:
        """What has come, as soon as something has; b"" at the end."""
        try:
            with self.patience:
                return await self._content.readany()
        except Exception as error:  # whatever it is, it was raised by reading the body
            raise ProviderTimeout() if self.patience.over else BadProviderReply(CUT) from error

    async def close(self) -> None:
        self.patience.stop()
        await self._response.close()

    def _give_up(self) -> None:
        self._closing = asyncio.ensure_future(self._response.close())


class _Transport(AioHttpTransport):
    """The SDK's transport without its limit of 100 connections, which would be a limit of 100 turns."""

    async def open(self) -> None:
        if not self.session:
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=bool(getproxies()),  # it costs a thread and 2 ms a request, to look for ~/.netrc
            )
        await super().open()


def get_inference_client(
    settings: Settings | None = None, *, credential: "AsyncTokenCredential | None" = None
) -> ChatCompletionsClient:
    """The SDK's client for the endpoint of the settings; those of the environment when none are given.

    SettingsError when the endpoint cannot be used. The caller closes the client, and a credential that it gave.
    """
    settings = settings or load_settings()
    endpoint = resolve_endpoint(settings)
    key = AzureKeyCredential(settings.azure_key) if settings.azure_key else None
    return ChatCompletionsClient(
        endpoint.url,
        key or credential or _default_credential(),
        model=endpoint.deployment or settings.azure_model,
        api_version=endpoint.api_version,
        credential_scopes=[endpoint.scope],
        retry_policy=AsyncRetryPolicy.no_retries(),
        permit_redirects=False,  # the SDK would take `api-key` along to wherever it is sent
        user_agent="parley",
        transport=_Transport(
            connection_timeout=CONNECT_TIMEOUT,
            read_timeout=settings.azure_first_token_timeout,
            connection_data_block_size=BLOCK_BYTES,
        ),
    )


def translated(error: Exception) -> ProviderError:
    """Our error for one that the SDK raised before the reply began."""
    kind, message = next(ERRORS[base] for base in type(error).__mro__ if base in ERRORS)
    return kind(message)


def _default_credential() -> "AsyncTokenCredential":
    from azure.identity.aio import DefaultAzureCredential  # 0.2 s that an app with a key need not spend

    return DefaultAzureCredential()


async def _refusal(response: AsyncHttpResponse, model: str) -> ProviderError:
    """The error that a reply with a bad status stands for."""
    body = bytearray()
    try:
        async for block in response.iter_raw():
            body += block
            if len(body) > ERROR_BODY_BYTES:
                break
    except azure.AzureError:
        pass  # the status says enough
    finally:
        await response.close()
    return error_of_status(response.status_code, response.headers, bytes(body), model=model)
