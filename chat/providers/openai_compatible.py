"""Every service that speaks chat completions or Responses, over aiohttp alone. What differs is in `presets.py`."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlunsplit

import aiohttp
import orjson

from chat.errors import BadProviderReply, ProviderUnavailable
from chat.events import JSONObject
from chat.providers.base import ModelDelta, ModelRequest
from chat.providers.endpoint_url import is_nearby, split_endpoint
from chat.providers.http_session import CONNECT_TIMEOUT, open_session
from chat.providers.presets import Preset
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
from chat.providers.sign_in import KeySignIn
from chat.settings import Settings, SettingsError
from chat.settings.model_services import SERVICES, ServiceSettings

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
INVOCATIONS = "/invocations"
"""How the URL of one Databricks serving endpoint ends: it is asked as it stands, and names the model."""

HEADERS = {
    "content-type": "application/json",
    "accept": "text/event-stream",
    "accept-encoding": "identity",  # compressing proxies hold text back until a block is full
    "user-agent": "parley",
}

ERRORS: ErrorTable = {
    **COMMON_ERRORS,
    aiohttp.ClientConnectionError: (ProviderUnavailable, UNREACHABLE),
    aiohttp.ConnectionTimeoutError: (ProviderUnavailable, SLOW_TO_CONNECT),
    aiohttp.ClientPayloadError: (BadProviderReply, CUT),
    aiohttp.ClientError: (BadProviderReply, ""),
}


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """Where to post, and whether that says which model is meant."""

    url: str  # a path alone when only the sign-in knows the host
    names_model: bool


class OpenAICompatibleProvider:
    """The service of a preset, as the settings have it. Needs a running loop only once it is asked something.

    SettingsError when its endpoint cannot be used.
    """

    def __init__(self, preset: Preset, settings: Settings) -> None:
        self._preset = preset
        self._service = settings.services[preset.name]
        self._endpoint = resolve_chat_endpoint(preset, self._service)
        self._protocol = MODEL_PROTOCOLS[self._service.protocol]
        self._wishes = Wishes(preset.asks_usage, settings.reasoning_summary)
        self._sign_in = preset.sign_in(settings) if preset.sign_in else KeySignIn(self._service.key)
        self._headers = {**HEADERS, **preset.headers(settings)}
        self._session: aiohttp.ClientSession | None = None

    @property
    def name(self) -> str:
        return self._preset.name

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        fixed = self._endpoint.names_model
        model = self._service.model if fixed else request.model or self._service.model
        body = self._protocol.body(request, "" if fixed else model, self._wishes)
        call = ModelCall(
            send=partial(self._send, body),
            reader=self._protocol.reader(model),
            errors=ERRORS,
            model=model,
            parameters=body.keys(),
            first_token_timeout=self._service.first_token_timeout,
            token_gap_timeout=self._service.token_gap_timeout,
        )
        return stream_reply(call)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, body: JSONObject) -> aiohttp.ClientResponse:
        data = orjson.dumps(body)
        signed = await self._sign_in.sign()
        if self._session is None:
            self._session = open_session()
        url = self._endpoint.url
        return await self._session.post(
            signed.host + url if url.startswith("/") else url,
            data=data,
            headers={**self._headers, **signed.headers},
            allow_redirects=False,  # the key is for this host
            timeout=TIMEOUT,
        )


def resolve_chat_endpoint(preset: Preset, service: ServiceSettings) -> ChatEndpoint:
    """The endpoint of the settings as a URL to post to. SettingsError when it cannot be used."""
    route = MODEL_PROTOCOLS[service.protocol].path
    if not service.endpoint:
        return ChatEndpoint(preset.base + route, names_model=False)
    setting = SERVICES[preset.name]["endpoint"].name
    parts = split_endpoint(
        _with_scheme(service.endpoint), setting=setting, example=f"https://<host>{preset.base}"
    )
    if parts.scheme == "http" and (service.key or preset.sign_in) and not is_nearby(parts.hostname or ""):
        raise SettingsError(f"{setting}: http:// would send the key in the clear; use https://, or no key")
    path = parts.path.rstrip("/")
    for each in MODEL_PROTOCOLS.values():
        path = path.removesuffix(each.path)
    path = path or preset.base
    whole = path.endswith(INVOCATIONS)
    return ChatEndpoint(
        urlunsplit((parts.scheme, parts.netloc, path if whole else path + route, parts.query, "")), whole
    )


def _with_scheme(text: str) -> str:
    """Databricks names its host without one, and people name Ollama's so."""
    text = text.strip()
    if "://" in text:
        return text
    host = text.partition("/")[0]
    host = host if host.endswith("]") else host.rpartition(":")[0] or host
    return f"{'http' if is_nearby(host.strip('[]')) else 'https'}://{text}"
