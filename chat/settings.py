"""Every setting of Parley, in one table: name, default, meaning. The only reader of the environment.

`local.settings.json.example` and `docs/settings.md` are checked against this table by `tests/test_docs.py`.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any

from chat.model_services import SERVICES, ServiceSettings
from chat.setting_values import (
    PROVIDERS,
    TOOLS,
    read_count,
    read_duration,
    read_level,
    read_line,
    read_milliseconds,
    read_names,
    read_output_size,
    read_positive,
    read_providers,
    read_tools,
)

NAME = re.compile(r"[\w.:-]{1,128}")
SYSTEM_PROMPT = "You are a helpful AI assistant for Presto-Change-O, an industry simulation dashboard."


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `read` turns the text into the value and raises ValueError for a bad one."""

    name: str
    default: str
    help: str
    read: Callable[[str], object]
    secret: bool = False


class SettingsError(Exception):
    """Everything that is wrong with the settings, one line each."""


def setting(
    name: str, default: str, help: str, read: Callable[[str], object] = str, *, secret: bool = False
) -> Any:
    """A field of `Settings` together with its row of the table. A default of "" means: not set."""
    return field(metadata={"setting": Setting(name, default, help, read, secret)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one process. Durations are seconds, whatever unit the setting's name says."""

    storage: str = setting(
        "CHAT_STORAGE",
        "AzureWebJobsStorage",
        "Which setting names the storage account: its value is a connection string, or it is the prefix of "
        "`<name>__tableServiceUri` or `<name>__accountName` for a managed identity.",
    )
    table_prefix: str = setting(
        "CHAT_TABLE_PREFIX", "chat", "What the names of the tables begin with; letters and digits."
    )
    providers: tuple[str, ...] = setting(
        "CHAT_PROVIDERS",
        "AZURE",
        f"The model providers, in the order in which they are asked: some of {', '.join(PROVIDERS)}.",
        read_providers,
    )
    azure_endpoint: str = setting(
        "AZURE_AI_ENDPOINT",
        "",
        "The model endpoint: `https://<resource>.services.ai.azure.com/openai/v1` or "
        "`https://<resource>.openai.azure.com/openai/deployments/<name>`.",
    )
    azure_key: str = setting(
        "AZURE_AI_KEY", "", "Its key. Without one, DefaultAzureCredential signs in.", read_line, secret=True
    )
    azure_model: str = setting("AZURE_AI_MODEL", "model-router", "The deployment to ask.")
    azure_api_version: str = setting(
        "AZURE_AI_API_VERSION",
        "",
        "The `api-version` to send; by default `v1` to /openai/v1 and `2024-10-21` to /openai/deployments.",
    )
    azure_scope: str = setting(
        "AZURE_AI_SCOPE",
        "",
        "The token scope of an identity; by default `https://ai.azure.com/.default` on services.ai.azure.com and "
        "`https://cognitiveservices.azure.com/.default` elsewhere.",
    )
    azure_first_token_timeout: float = setting(
        "AZURE_AI_FIRST_TOKEN_TIMEOUT_S",
        "60",
        "Seconds the model may think before its first word.",
        read_duration,
    )
    azure_token_gap_timeout: float = setting(
        "AZURE_AI_TOKEN_GAP_TIMEOUT_S", "30", "Seconds the model may pause between two words.", read_duration
    )
    services: Mapping[str, ServiceSettings]  # of every provider but AZURE
    openrouter_site: str = setting(
        "OPENROUTER_AI_SITE",
        "",
        "The address of your app, which OPENROUTER may show beside its usage.",
        read_line,
    )
    openrouter_title: str = setting(
        "OPENROUTER_AI_TITLE", "Parley", "The name of your app, likewise.", read_line
    )
    attempts: int = setting(
        "CHAT_RETRY_ATTEMPTS",
        "3",
        "How often one model service is asked before the next one is, as long as it said nothing.",
        read_count,
    )
    retry_wait: float = setting(
        "CHAT_RETRY_WAIT_S",
        "1",
        "Seconds before the second attempt; each further wait is twice as long.",
        read_duration,
    )
    retry_after_max: float = setting(
        "CHAT_RETRY_AFTER_MAX_S",
        "10",
        "The longest `Retry-After` of a model service that is waited for; with a longer one the next is asked.",
        read_duration,
    )
    breaker_failures: int = setting(
        "CHAT_BREAKER_FAILURES",
        "5",
        "Failures in a row after which a model service is left alone.",
        read_count,
    )
    breaker_rest: float = setting(
        "CHAT_BREAKER_REST_S",
        "30",
        "Seconds for which it is left alone; then one request is let through.",
        read_positive,
    )
    system_prompt: str = setting(
        "CHAT_SYSTEM_PROMPT", SYSTEM_PROMPT, "What the model is told before every conversation."
    )
    history_messages: int = setting(
        "CHAT_HISTORY_MESSAGES",
        "100",
        "How many of the newest messages the model is shown at most.",
        read_count,
    )
    context_tokens: int = setting(
        "CHAT_CONTEXT_TOKENS",
        "100000",
        "How many tokens of a conversation the model is shown; what is older is summarised. The models behind "
        "model-router have windows of 128,000 tokens and more, and the answer needs room too.",
        read_count,
    )
    tools: tuple[str, ...] = setting(
        "CHAT_TOOLS", ",".join(TOOLS), "The tools that the model is offered, or none.", read_tools
    )
    tool_rounds: int = setting(
        "CHAT_TOOL_ROUNDS",
        "8",
        "How often in a turn the model may call tools before it has to answer.",
        read_count,
    )
    tool_timeout: float = setting(
        "CHAT_TOOL_TIMEOUT_S", "30", "Seconds after which one tool call is stopped.", read_positive
    )
    tool_total: float = setting(
        "CHAT_TOOL_TOTAL_S",
        "120",
        "Seconds of a turn after which the model is offered no more tools, so that it answers.",
        read_positive,
    )
    tool_output_chars: int = setting(
        "CHAT_TOOL_OUTPUT_CHARS",
        "20000",
        "Characters of a tool's output that the model is shown, at most 100000.",
        read_output_size,
    )
    data_dir: str = setting(
        "CHAT_DATA_DIR",
        "",
        "The folder whose CSV and Parquet files are the tables of `query_data`; by default the sample data.",
    )
    databricks_client_id: str = setting(
        "DATABRICKS_CLIENT_ID", "", "A service principal that asks Genie in place of DATABRICKS_TOKEN, with"
    )
    databricks_client_secret: str = setting("DATABRICKS_CLIENT_SECRET", "", "its secret.", secret=True)
    overpass_url: str = setting(
        "CHAT_OVERPASS_URL",
        "",
        "An Overpass endpoint that knows places, for example `https://overpass-api.de/api/interpreter`; by default a "
        "bundled list of sights in 36 cities.",
    )
    auth: tuple[str, ...] = setting(
        "CHAT_AUTH", "dev", "Who may ask, tried in order: `dev` (for laptops; refused in Azure).", read_names
    )
    http_auth_level: str = setting(
        "CHAT_HTTP_AUTH_LEVEL",
        "ANONYMOUS",
        "The key that the Functions host asks for: ANONYMOUS, FUNCTION or ADMIN.",
        read_level,
    )
    coalesce: float = setting(
        "CHAT_COALESCE_MS",
        "20",
        "Milliseconds in which adjacent pieces of text are merged into one event; 0 merges nothing.",
        read_milliseconds,
    )
    turn_max: float = setting("CHAT_TURN_MAX_S", "300", "Seconds after which a turn is ended.", read_positive)
    events_ttl_hours: float = setting(
        "CHAT_EVENTS_TTL_HOURS",
        "24",
        "Hours for which the events of an ended turn can be replayed.",
        read_duration,
    )
    heartbeat: float = setting(
        "CHAT_HEARTBEAT_S",
        "15",
        "Seconds of silence after which a stream sends a comment line; 0 sends none.",
        read_duration,
    )
    max_body_bytes: int = setting(
        "CHAT_MAX_BODY_BYTES", str(1024 * 1024), "The largest request body, in bytes.", read_count
    )
    max_message_bytes: int = setting(
        "CHAT_MAX_MESSAGE_BYTES", str(256 * 1024), "The longest message, in bytes of UTF-8.", read_count
    )


SERVICE_SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    provider: {
        each.name: Setting(
            rows[each.name].name,
            rows[each.name].default,
            rows[each.name].help,
            read_duration if each.name.endswith("timeout") else read_line,
            secret=each.name == "key",
        )
        for each in fields(ServiceSettings)
    }
    for provider, rows in SERVICES.items()
}
"""The rows of the table for each field of a provider's `ServiceSettings`."""

ROWS: Mapping[str, Setting] = {
    each.name: each.metadata["setting"] for each in fields(Settings) if "setting" in each.metadata
}
"""The rows of the table for the other fields of `Settings`."""

SETTINGS: tuple[Setting, ...] = tuple(
    chain.from_iterable(
        [ROWS[each.name]]
        if each.name in ROWS
        else chain.from_iterable(rows.values() for rows in SERVICE_SETTINGS.values())
        for each in fields(Settings)
    )
)

NEEDS: Mapping[str, tuple[str, ...]] = {
    "AZURE": ("AZURE_AI_ENDPOINT",),
    **{name: tuple(row.name for row in rows.values() if row.needed) for name, rows in SERVICES.items()},
}
"""The settings that a provider cannot do without, once it is named."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings as the environment gives them. SettingsError lists every bad and every missing one."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for row in SETTINGS:
        text = environ.get(row.name, "").strip() or row.default
        try:
            values[row.name] = row.read(text)
        except ValueError as error:
            shown = "its value" if row.secret else repr(text)
            wrong.append(f"{row.name}: {shown} is not usable: {error}")
    wrong += _missing(values, environ)
    if wrong:
        raise SettingsError("\n".join(wrong))
    services = {
        provider: ServiceSettings(**{name: values[row.name] for name, row in rows.items()})
        for provider, rows in SERVICE_SETTINGS.items()
    }
    return Settings(**{name: values[row.name] for name, row in ROWS.items()}, services=services)


def read_setting(name: str, environ: Mapping[str, str] | None = None) -> Any:
    """One setting, for what is needed before the others are. ValueError for a bad one."""
    row = next(row for row in SETTINGS if row.name == name)
    return row.read((os.environ if environ is None else environ).get(name, "").strip() or row.default)


def _missing(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    missing = [
        f"{name}: missing; CHAT_PROVIDERS names {provider}, which needs it"
        for provider in dict.fromkeys(values.get("CHAT_PROVIDERS", ()))
        for name in NEEDS[provider]
        if not values.get(name)
    ]
    storage = str(values.get("CHAT_STORAGE", ""))
    if not NAME.fullmatch(storage):  # often the connection string itself, which must not be shown
        missing.append("CHAT_STORAGE: must be the name of a setting, not what that setting holds")
    elif not storage_values(storage, environ):
        missing.append(f"{storage}: missing; CHAT_STORAGE says that it names the storage account")
    return missing


def storage_values(name: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The settings that name a storage account: `""` holds a connection string, else what stood behind `<name>__`
    (`tableServiceUri`, `accountName`, `clientId`, ...). {} when there is nothing."""
    environ = os.environ if environ is None else environ
    found = {"": environ[name]} if environ.get(name) else {}
    prefix = name + "__"
    return found | {
        key[len(prefix) :]: value for key, value in environ.items() if key.startswith(prefix) and value
    }


def in_azure(environ: Mapping[str, str] | None = None) -> bool:
    """Whether the platform says that this process runs in Azure."""
    return bool((os.environ if environ is None else environ).get("WEBSITE_INSTANCE_ID"))
