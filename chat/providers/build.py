"""The providers that CHAT_PROVIDERS names."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from chat.providers.azure_endpoint import resolve_endpoint
from chat.providers.base import ModelProvider
from chat.providers.openai_compatible import OpenAICompatibleProvider, resolve_chat_endpoint
from chat.providers.presets import PRESETS
from chat.settings import Settings, SettingsError


def build_providers(settings: Settings) -> dict[str, ModelProvider]:
    """A provider for each name, in order. SettingsError says what is wrong with each of them, at once."""
    providers: dict[str, ModelProvider] = {}
    wrong: list[str] = []
    for name in settings.providers:
        try:
            providers[name] = MAKERS[name](settings) if name in MAKERS else _from_preset(name, settings)
        except SettingsError as error:
            wrong += error.wrong
    if wrong:
        raise SettingsError(*wrong)
    return providers


def service_hosts(settings: Settings) -> dict[str, str]:
    """The host of each of them, with its port where the setting names one. SettingsError."""
    return {name: urlsplit(_url(name, settings)).netloc for name in settings.providers}


def _url(name: str, settings: Settings) -> str:
    if name == "DATABRICKS" and not settings.services[name].endpoint:
        return f"//(profile {settings.databricks_profile or 'DEFAULT'})"  # the SDK will know
    if name in PRESETS:
        return resolve_chat_endpoint(PRESETS[name], settings.services[name]).url
    return resolve_endpoint(settings).url


def _azure(settings: Settings) -> ModelProvider:
    from chat.providers.azure_inference import AzureInferenceProvider  # an SDK that others need not load

    return AzureInferenceProvider(settings)


def _from_preset(name: str, settings: Settings) -> ModelProvider:
    return OpenAICompatibleProvider(PRESETS[name], settings)


MAKERS: Mapping[str, Callable[[Settings], ModelProvider]] = {"AZURE": _azure}
"""Those that are no preset."""
