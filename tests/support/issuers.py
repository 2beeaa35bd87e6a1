"""Ways to sign in for tests, with a real issuer over HTTP where one is wanted."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from chat.auth.apikey import KeyRing
from chat.auth.base import Authenticator, Principal
from chat.auth.ways import build_authenticators
from chat.clock import Clock, SystemClock
from local.oidc.server import Issuer, serve
from tests.support.memory.store import MemoryStore
from tests.support.provider_settings import settings_for

ENDPOINT = "http://127.0.0.1:9/openai/v1"


@asynccontextmanager
async def ways(clock: Clock | None = None, **settings: str) -> AsyncGenerator[tuple[Authenticator, ...]]:
    """The ways that these settings make."""
    async with AsyncExitStack() as closing:
        clock = clock or SystemClock()
        ring = KeyRing(MemoryStore(clock), clock)
        yield build_authenticators(settings_for(ENDPOINT, **settings), clock, closing, ring)


@asynccontextmanager
async def way(clock: Clock | None = None, **settings: str) -> AsyncGenerator[Authenticator]:
    """The same of one way."""
    async with ways(clock, **settings) as [made]:
        yield made


@dataclass(frozen=True)
class Desk:
    """An issuer, and the way by which its tokens are believed."""

    issuer: Issuer
    way: Authenticator

    async def ask(self, token: str) -> Principal | None:
        return await self.way.authenticate({"authorization": f"Bearer {token}"})

    async def ask_socket(self, token: str) -> Principal | None:
        return await self.way.authenticate_socket({"token": [token]}, {})


@asynccontextmanager
async def desk(clock: Clock | None = None, **settings: str) -> AsyncGenerator[Desk]:
    async with serve() as issuer:
        least = {
            "CHAT_AUTH": "jwt",
            "CHAT_JWT_ISSUER": issuer.url,
            "CHAT_JWT_AUDIENCE": issuer.audience,
        }
        async with way(clock, **(least | settings)) as made:
            yield Desk(issuer, made)
