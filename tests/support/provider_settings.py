"""Settings that ask a given model endpoint."""

from chat.settings import Settings, load_settings

KEY = "0123456789abcdef0123456789abcdef"


def settings_for(endpoint: str, *, key: str = KEY, **more: str) -> Settings:
    """The default settings with this endpoint; `more` are rows of the settings' table."""
    environ = {
        "AzureWebJobsStorage": "UseDevelopmentStorage=true",
        "AZURE_AI_ENDPOINT": endpoint,
        "AZURE_AI_KEY": key,
    }
    return load_settings(environ | more)
