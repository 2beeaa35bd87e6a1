"""Who asks a model service: by a key of the settings, or as databricks-sdk signs in."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from chat.blocking import start_in_thread
from chat.databricks import DatabricksAccess, make_config
from chat.errors import ProviderAuthFailed, ProviderUnavailable

THREAD = "Databricks sign-in"
PATIENCE = 30.0
"""Seconds for a sign-in: the SDK waits for a token without any limit."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The headers that a request is sent with. `host` is where to, when the settings do not say it."""

    headers: Mapping[str, str]
    host: str = ""


class SignIn(Protocol):
    async def sign(self) -> Signed:
        """Asked before each request. ProviderError."""
        ...


class KeySignIn:
    """A key, or none."""

    def __init__(self, key: str) -> None:
        self._signed = Signed({"authorization": f"Bearer {key}"} if key else {})

    async def sign(self) -> Signed:
        return self._signed


class DatabricksSignIn:
    """The SDK's configuration, which renews its tokens by itself. Requests that come meanwhile wait for the same
    answer, outside the event loop."""

    def __init__(
        self, access: DatabricksAccess, *, make: Callable[[DatabricksAccess], Any] = make_config
    ) -> None:
        self._access = access
        self._make = make
        self._config: Any = None
        self._running: asyncio.Future[Signed] | None = None

    async def sign(self) -> Signed:
        if self._running is None or self._running.done():
            self._running = start_in_thread(THREAD, self._authenticate)
            self._running.add_done_callback(_retrieved)
        running = self._running
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.shield(running)
        except Exception as error:
            self._running = None  # one that hangs is left to itself
            raise _translated(error) from error

    def _authenticate(self) -> Signed:
        if self._config is None:
            self._config = self._make(self._access)
        return Signed(dict(self._config.authenticate()), str(self._config.host).rstrip("/"))


def databricks_sign_in(access: DatabricksAccess) -> SignIn:
    """The quickest way that does."""
    return KeySignIn(access.token) if access.needs_no_sdk else DatabricksSignIn(access)


def _retrieved(running: "asyncio.Future[Signed]") -> None:
    """Whoever waited may have left."""
    if not running.cancelled():
        running.exception()


def _translated(error: Exception) -> ProviderUnavailable | ProviderAuthFailed:
    from requests import ConnectionError as Unreachable  # which the SDK has loaded by now
    from requests import Timeout

    if isinstance(error, (TimeoutError, ConnectionError, Unreachable, Timeout)):
        return ProviderUnavailable("Databricks cannot be reached to sign in.")
    return ProviderAuthFailed("No identity could sign in to Databricks.")
