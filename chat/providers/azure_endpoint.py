"""Where the model of the settings is: the forms of endpoint that Azure has, brought to one.

Verified against the URLs that azure-ai-inference 1.0.0b9 sends; the routes are those of
https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle (read November 2026).
"""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs

from chat.providers.endpoint_url import is_loopback, split_endpoint
from chat.settings import Settings, SettingsError

V1, DEPLOYMENTS = "/openai/v1", "/openai/deployments/"
FOUNDRY_HOST = ".services.ai.azure.com"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint ready to be called: `{url}/chat/completions?api-version={api_version}`, or `{url}/responses`."""

    url: str
    api_version: str
    scope: str
    deployment: str = ""  # named by the URL; "" when the body has to name it


def resolve_endpoint(settings: Settings) -> Endpoint:
    """The endpoint of the settings. SettingsError when it cannot be used."""
    parts = split_endpoint(
        settings.azure_endpoint,
        setting="AZURE_AI_ENDPOINT",
        example="https://<resource>.services.ai.azure.com/openai/v1",
    )
    _check_host(parts, has_key=bool(settings.azure_key))
    path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/responses")
    if path.endswith("/models"):
        raise _wrong("the route /models is retired; use https://<resource>.services.ai.azure.com/openai/v1")
    path = path or V1
    _, classic, deployment = path.partition(DEPLOYMENTS)
    if classic and settings.azure_protocol != "chat":  # there is no such route: the body names the deployment
        path, classic = V1, ""
    in_query = parse_qs(parts.query).get("api-version", [""])[0]
    return Endpoint(
        url=f"{parts.scheme}://{parts.netloc}{path}",
        api_version=settings.azure_api_version or in_query or ("2024-10-21" if classic else "v1"),
        scope=settings.azure_scope or _scope(parts.hostname or ""),
        deployment=deployment,
    )


def _check_host(parts: SplitResult, *, has_key: bool) -> None:
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise _wrong("http:// would send the key in the clear; only this machine may be asked like that")
    if parts.scheme == "http" and not has_key:
        raise _wrong("http:// needs AZURE_AI_KEY: the token of an identity is never sent in the clear")


def _scope(host: str) -> str:
    foundry = host.endswith(FOUNDRY_HOST)
    return "https://ai.azure.com/.default" if foundry else "https://cognitiveservices.azure.com/.default"


def _wrong(reason: str) -> SettingsError:
    return SettingsError(f"AZURE_AI_ENDPOINT: {reason}")
