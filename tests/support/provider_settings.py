"""Settings that ask a given model endpoint."""

from chat.settings import Settings, load_settings
from chat.settings.model_services import SERVICES
from tests.support.canaries import canary

KEY = canary("model")
STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}


def settings_for(endpoint: str, *, key: str = KEY, **more: str) -> Settings:
    """The default settings with this endpoint of Azure; `more` are rows of the settings' table."""
    return load_settings(STORAGE | {"AZURE_AI_ENDPOINT": endpoint, "AZURE_AI_KEY": key} | more)


def provider_settings(
    name: str,
    endpoint: str,
    *,
    key: str = KEY,
    protocol: str = "chat",
    first_token: str = "",
    token_gap: str = "",
    **more: str,
) -> Settings:
    """The settings with which one provider alone asks this endpoint, for the model `model-router`."""
    values = {
        "endpoint": endpoint,
        "key": key,
        "model": "model-router",
        "protocol": protocol,
        "first_token_timeout": first_token,
        "token_gap_timeout": token_gap,
    }
    rows = {field: row.name for field, row in SERVICES.get(name, {}).items()} or {
        field: f"AZURE_AI_{field.upper()}" + ("_S" if field.endswith("timeout") else "") for field in values
    }
    named = {rows[field]: value for field, value in values.items()}
    return load_settings(STORAGE | {"CHAT_PROVIDERS": name} | named | more)
