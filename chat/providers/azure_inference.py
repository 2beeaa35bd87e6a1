"""Azure AI models, the model router above all, through `azure.ai.inference`: the only file that imports that SDK.

The SDK's pipeline signs and sends the request; its reply is read with our own decoder (docs/decisions/0002). Nothing
is retried here: what waits and asks again sits above the port, where attempts are counted and waits are bounded.
"""

from collections.abc import AsyncGenerator
from functools import partial
from typing import TYPE_CHECKING, cast

import aiohttp
import orjson
from azure.ai.inference.aio import ChatCompletionsClient
from azure.core import exceptions as azure
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from chat.errors import (
    BadProviderReply,
    ProviderAuthFailed,
    ProviderRejected,
    ProviderSilent,
    ProviderUnavailable,
)
from chat.events import JSONObject
from chat.providers.azure_endpoint import resolve_endpoint
from chat.providers.base import ModelDelta, ModelRequest
from chat.providers.http_session import CONNECT_TIMEOUT, open_session
from chat.providers.protocols import MODEL_PROTOCOLS, Wishes
from chat.providers.reply_stream import (
    COMMON_ERRORS,
    CUT,
    SLOW_TO_CONNECT,
    UNREACHABLE,
    ErrorTable,
    ModelCall,
    stream_reply,
)
from chat.settings import Settings, load_settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.rest._aiohttp import RestAioHttpTransportResponse  # pyright: ignore[reportPrivateImportUsage]

BLOCK_BYTES = 64 * 1024  # the most that one read takes; what is there is read at once, however little

ERRORS: ErrorTable = {
    **COMMON_ERRORS,
    azure.ServiceRequestError: (ProviderUnavailable, UNREACHABLE),
    azure.ServiceRequestTimeoutError: (ProviderUnavailable, SLOW_TO_CONNECT),
    azure.ServiceResponseError: (ProviderUnavailable, "The model service broke off the connection."),
    azure.ServiceResponseTimeoutError: (ProviderSilent, ""),
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
}


class AzureInferenceProvider:
    """The deployment that the settings name. Needs a running loop only once it is asked something.

    Without a key, `credential` signs in; without that too, `DefaultAzureCredential` does, and is closed with this.
    """

    def __init__(self, settings: Settings, *, credential: "AsyncTokenCredential | None" = None) -> None:
        self._settings = settings
        self._endpoint = resolve_endpoint(settings)
        self._protocol = MODEL_PROTOCOLS[settings.azure_protocol]
        self._credential = credential
        self._own_credential: AsyncTokenCredential | None = None
        self._client: ChatCompletionsClient | None = None

    @property
    def name(self) -> str:
        return "AZURE"

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        model = request.model or self._endpoint.deployment or self._settings.azure_model
        body = self._protocol.body(request, model, Wishes(summary=self._settings.reasoning_summary))
        call = ModelCall(
            send=partial(self._send, body),
            reader=self._protocol.reader(model),
            errors=ERRORS,
            model=model,
            parameters=body.keys(),
            first_token_timeout=self._settings.azure_first_token_timeout,
            token_gap_timeout=self._settings.azure_token_gap_timeout,
        )
        return stream_reply(call)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        credential, self._own_credential = self._own_credential, None
        if client is not None:
            await client.close()
        if credential is not None:
            await credential.close()

    async def _send(self, body: JSONObject) -> aiohttp.ClientResponse:
        """The response below the SDK's: its iterator over the body costs 5 us a delta, and adds but its own errors."""
        response = await self._connected().send_request(self._request(body), stream=True, read_timeout=None)
        return cast("RestAioHttpTransportResponse", response).internal_response

    def _request(self, body: JSONObject) -> HttpRequest:
        return HttpRequest(
            "POST",
            f"{{endpoint}}{self._protocol.path}",
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


class _Transport(AioHttpTransport):
    """The SDK's transport without its limit of 100 connections, which would be a limit of 100 turns."""

    async def open(self) -> None:
        if not self.session:
            self.session = open_session()
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


def _default_credential() -> "AsyncTokenCredential":
    from azure.identity.aio import DefaultAzureCredential  # 0.2 s that an app with a key need not spend

    return DefaultAzureCredential()
