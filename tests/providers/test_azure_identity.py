"""Signing in to Azure without a key."""

import time
from types import TracebackType

import pytest
from azure.core import exceptions as azure
from azure.core.credentials import AccessToken

from chat.errors import ProviderAuthFailed
from chat.providers.azure_inference import AzureInferenceProvider
from tests.support.model_requests import read_until_error
from tests.support.provider_settings import settings_for


class Credential:
    """An identity that gives a token, or cannot."""

    def __init__(self, error: Exception | None = None) -> None:
        self.scopes: list[str] = []
        self.closed = False
        self._error = error

    async def get_token(self, *scopes: str, **options: object) -> AccessToken:
        self.scopes += scopes
        if self._error:
            raise self._error
        return AccessToken("a-token", int(time.time()) + 3600)

    async def close(self) -> None:
        self.closed = True

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.close()


async def test_an_identity_that_cannot_sign_in_is_an_auth_failure():
    credential = Credential(azure.ClientAuthenticationError("no identity"))
    provider = AzureInferenceProvider(settings_for("https://model.invalid", key=""), credential=credential)
    _, error = await read_until_error(provider)
    await provider.aclose()
    assert isinstance(error, ProviderAuthFailed)
    assert not credential.closed, "who gave it closes it"


@pytest.mark.parametrize(
    ("endpoint", "scope"),
    [
        ("https://r.services.ai.azure.com/openai/v1", "https://ai.azure.com/.default"),
        ("https://r.openai.azure.com/openai/v1", "https://cognitiveservices.azure.com/.default"),
    ],
)
async def test_an_identity_is_asked_for_the_scope_of_the_endpoint(endpoint: str, scope: str):
    credential = Credential(azure.ClientAuthenticationError("far enough"))
    provider = AzureInferenceProvider(settings_for(endpoint, key=""), credential=credential)
    await read_until_error(provider)
    await provider.aclose()
    assert credential.scopes == [scope]
