"""Settings files as `func start` reads them: local.settings.json, or its example when there is none, and host.json."""

import json
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_PORT = 7071
# By these the app knows Azure. A container on a laptop may have inherited some; on this host they are untrue.
OF_AZURE: tuple[str, ...] = (
    "WEBSITE_SITE_NAME",
    "WEBSITE_INSTANCE_ID",
    "WEBSITE_SKU",
    "WEBSITE_POD_NAME",
    "CONTAINER_NAME",
    "CONTAINER_APP_NAME",
    "KUBERNETES_SERVICE_HOST",
    "LEGION_SERVICE_HOST",
)


class SettingsFileError(Exception):
    """A settings file that cannot be used, in one sentence."""


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What local.settings.json says: the environment of the app, and the host's port and CORS."""

    values: Mapping[str, str] = field(default_factory=dict[str, str])
    port: int = DEFAULT_PORT
    cors: str = ""
    cors_credentials: bool = False


def read_local_settings(app: Path) -> LocalSettings:
    """The settings of the app in a folder. SettingsFileError when the file is broken."""
    names = ("local.settings.json", "local.settings.json.example")
    path = next((app / name for name in names if (app / name).exists()), None)
    if path is None:
        return LocalSettings()
    content = _read(path)
    if content.get("IsEncrypted"):
        raise SettingsFileError(f"{path} is encrypted; only `func settings decrypt` can read it")
    values: dict[str, Any] = content.get("Values") or {}
    host: dict[str, Any] = content.get("Host") or {}
    return LocalSettings(
        {name: str(value) for name, value in values.items() if value is not None},
        int(host.get("LocalHttpPort") or DEFAULT_PORT),
        str(host.get("CORS") or ""),
        bool(host.get("CORSCredentials")),
    )


def read_route_prefix(app: Path) -> str:
    """`extensions.http.routePrefix` of host.json; "api" when it does not say."""
    path = app / "host.json"
    content = _read(path) if path.exists() else {}
    http: dict[str, Any] = (content.get("extensions") or {}).get("http") or {}
    return str(http.get("routePrefix", "api"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except ValueError as error:
        raise SettingsFileError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise SettingsFileError(f"{path} must hold a JSON object")
    return content


def become_laptop(environment: MutableMapping[str, str]) -> None:
    """Make an environment say what Core Tools' says: this is no deployment. Sign-in by `dev` depends on it."""
    for name in OF_AZURE:
        environment.pop(name, None)
    environment["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"


def host_environment(
    values: Mapping[str, str], present: Mapping[str, str], app: Path, port: int
) -> dict[str, str]:
    """What to add to the environment `present`: the file's values where it has none, then what every host sets."""
    return {name: value for name, value in values.items() if name not in present} | {
        "FUNCTIONS_CORETOOLS_ENVIRONMENT": "true",
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsScriptRoot": str(app),
        "WEBSITE_HOSTNAME": f"localhost:{port}",
    }
