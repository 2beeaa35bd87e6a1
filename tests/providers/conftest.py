"""A model service to ask, and providers that ask it."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack

import pytest

from chat.providers.azure_inference import AzureInferenceProvider
from tests.support.model_service import ModelService, running_model_service
from tests.support.provider_settings import settings_for

type MakeProvider = Callable[..., AzureInferenceProvider]


@pytest.fixture
async def service() -> AsyncGenerator[ModelService]:
    async with running_model_service() as service:
        yield service


@pytest.fixture
async def make_provider(service: ModelService) -> AsyncGenerator[MakeProvider]:
    """Makes a provider for a path of the service; closes it at the end of the test."""
    async with AsyncExitStack() as stack:

        def make(path: str = "/openai/v1", **settings: str) -> AzureInferenceProvider:
            provider = AzureInferenceProvider(settings_for(service.url + path, **settings))
            stack.push_async_callback(provider.aclose)
            return provider

        yield make


@pytest.fixture
def provider(make_provider: MakeProvider) -> AzureInferenceProvider:
    return make_provider()
