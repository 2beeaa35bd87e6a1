"""A model service to ask, and providers that ask it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack

import pytest

from chat.providers.base import ModelProvider
from chat.providers.build import build_providers
from tests.support.model_service import ModelService, running_model_service
from tests.support.provider_settings import provider_settings
from tests.support.wires import WIRES, ModelWire

type MakeProvider = Callable[..., ModelProvider]


@pytest.fixture
async def service() -> AsyncGenerator[ModelService]:
    async with running_model_service() as service:
        yield service


CHAT = ("AZURE", "LOCAL", "OPENROUTER")
RESPONSES = ("AZURE/responses", "LOCAL/responses", "DATABRICKS/agent")


@pytest.fixture(params=[*CHAT, *RESPONSES])
def provider_name(request: pytest.FixtureRequest) -> str:
    """The name of a provider, and the protocol when it is not chat completions; each test that asks one runs once for
    each of these, or for those it names itself."""
    return request.param


@pytest.fixture
def wire(provider_name: str) -> ModelWire:
    """How the service writes its replies."""
    return WIRES[provider_name.partition("/")[2] or "chat"]


@pytest.fixture
async def make_provider(provider_name: str, service: ModelService) -> AsyncGenerator[MakeProvider]:
    """Makes a provider for a path of the service, or for another URL; closes it at the end of the test."""
    name, _, protocol = provider_name.partition("/")
    async with AsyncExitStack() as stack:

        def make(path: str = "", *, url: str = "", **settings: str) -> ModelProvider:
            [provider] = build_providers(
                provider_settings(
                    name, (url or service.url) + path, **{"protocol": protocol or "chat", **settings}
                )
            ).values()
            stack.push_async_callback(provider.aclose)
            return provider

        yield make


@pytest.fixture
def provider(make_provider: MakeProvider) -> ModelProvider:
    return make_provider()
