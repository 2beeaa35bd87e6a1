"""Every setting of Parley, in one table: name, default, meaning. The only reader of the environment.

`local.settings.json.example` and `docs/settings.md` are checked against this table by `tests/test_docs.py`.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

NAME = re.compile(r"[\w.:-]{1,128}")
PROVIDERS = ("AZURE",)
TOOLS = ("current_time", "query_data", "describe_data", "execute_genie_query", "find_places")
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


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _duration(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError("must be a number from 0 up")
    return number


def _positive(text: str) -> float:
    number = _duration(text)
    if number == 0:
        raise ValueError("must be more than 0")
    return number


def _providers(text: str) -> tuple[str, ...]:
    names = _names(text)
    unknown = [name for name in names if name not in PROVIDERS]
    if unknown or not names:
        raise ValueError(f"must name at least one of {', '.join(PROVIDERS)}, and nothing else")
    return names


def _tools(text: str) -> tuple[str, ...]:
    names = () if text == "none" else _names(text)
    if not set(names) <= set(TOOLS):
        raise ValueError(f"must be none, or some of {', '.join(TOOLS)}")
    return names


def _output_size(text: str) -> int:
    number = _count(text)
    if number > 100_000:  # an event must fit into a row of the store
        raise ValueError("must be at most 100000")
    return number


def _milliseconds(text: str) -> float:
    return _duration(text) / 1000


def _level(text: str) -> str:
    if text.upper() not in {"ANONYMOUS", "FUNCTION", "ADMIN"}:
        raise ValueError("must be ANONYMOUS, FUNCTION or ADMIN")
    return text.upper()


@dataclass(frozen=True, slots=True)
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
    providers: tuple[str, ...] = setting("CHAT_PROVIDERS", "AZURE", "The model provider: AZURE.", _providers)
    azure_endpoint: str = setting(
        "AZURE_AI_ENDPOINT",
        "",
        "The model endpoint: `https://<resource>.services.ai.azure.com/openai/v1` or "
        "`https://<resource>.openai.azure.com/openai/deployments/<name>`.",
    )
    azure_key: str = setting(
        "AZURE_AI_KEY", "", "Its key. Without one, DefaultAzureCredential signs in.", secret=True
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
        _duration,
    )
    azure_token_gap_timeout: float = setting(
        "AZURE_AI_TOKEN_GAP_TIMEOUT_S", "30", "Seconds the model may pause between two words.", _duration
    )
    system_prompt: str = setting(
        "CHAT_SYSTEM_PROMPT", SYSTEM_PROMPT, "What the model is told before every conversation."
    )
    history_messages: int = setting(
        "CHAT_HISTORY_MESSAGES", "50", "How many of the newest messages the model is shown.", _count
    )
    tools: tuple[str, ...] = setting(
        "CHAT_TOOLS", ",".join(TOOLS), "The tools that the model is offered, or none.", _tools
    )
    tool_rounds: int = setting(
        "CHAT_TOOL_ROUNDS",
        "8",
        "How often in a turn the model may call tools before it has to answer.",
        _count,
    )
    tool_timeout: float = setting(
        "CHAT_TOOL_TIMEOUT_S", "30", "Seconds after which one tool call is stopped.", _positive
    )
    tool_total: float = setting(
        "CHAT_TOOL_TOTAL_S",
        "120",
        "Seconds of a turn after which the model is offered no more tools, so that it answers.",
        _positive,
    )
    tool_output_chars: int = setting(
        "CHAT_TOOL_OUTPUT_CHARS",
        "20000",
        "Characters of a tool's output that the model is shown, at most 100000.",
        _output_size,
    )
    data_dir: str = setting(
        "CHAT_DATA_DIR",
        "",
        "The folder whose CSV and Parquet files are the tables of `query_data`; by default the sample data.",
    )
    databricks_host: str = setting(
        "DATABRICKS_HOST", "", "The workspace that `execute_genie_query` asks: `https://...`."
    )
    databricks_token: str = setting("DATABRICKS_TOKEN", "", "Its token, or else", secret=True)
    databricks_client_id: str = setting(
        "DATABRICKS_CLIENT_ID", "", "the service principal that asks Genie, with"
    )
    databricks_client_secret: str = setting("DATABRICKS_CLIENT_SECRET", "", "its secret.", secret=True)
    auth: tuple[str, ...] = setting(
        "CHAT_AUTH", "dev", "Who may ask, tried in order: `dev` (for laptops; refused in Azure).", _names
    )
    http_auth_level: str = setting(
        "CHAT_HTTP_AUTH_LEVEL",
        "ANONYMOUS",
        "The key that the Functions host asks for: ANONYMOUS, FUNCTION or ADMIN.",
        _level,
    )
    coalesce: float = setting(
        "CHAT_COALESCE_MS",
        "20",
        "Milliseconds in which adjacent pieces of text are merged into one event; 0 merges nothing.",
        _milliseconds,
    )
    turn_max: float = setting("CHAT_TURN_MAX_S", "300", "Seconds after which a turn is ended.", _positive)
    events_ttl_hours: float = setting(
        "CHAT_EVENTS_TTL_HOURS",
        "24",
        "Hours for which the events of an ended turn can be replayed.",
        _duration,
    )
    heartbeat: float = setting(
        "CHAT_HEARTBEAT_S",
        "15",
        "Seconds of silence after which a stream sends a comment line; 0 sends none.",
        _duration,
    )
    max_body_bytes: int = setting(
        "CHAT_MAX_BODY_BYTES", str(1024 * 1024), "The largest request body, in bytes.", _count
    )
    max_message_bytes: int = setting(
        "CHAT_MAX_MESSAGE_BYTES", str(256 * 1024), "The longest message, in bytes of UTF-8.", _count
    )


SETTINGS: tuple[Setting, ...] = tuple(each.metadata["setting"] for each in fields(Settings))


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings as the environment gives them. SettingsError lists every bad and every missing one."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for each in fields(Settings):
        row: Setting = each.metadata["setting"]
        text = environ.get(row.name, "").strip() or row.default
        try:
            values[each.name] = row.read(text)
        except ValueError as error:
            shown = "its value" if row.secret else repr(text)
            wrong.append(f"{row.name}: {shown} is not usable: {error}")
    wrong += _missing(values, environ)
    if wrong:
        raise SettingsError("\n".join(wrong))
    return Settings(**values)


def read_setting(name: str, environ: Mapping[str, str] | None = None) -> Any:
    """One setting, for what is needed before the others are. ValueError for a bad one."""
    row = next(row for row in SETTINGS if row.name == name)
    return row.read((os.environ if environ is None else environ).get(name, "").strip() or row.default)


def _missing(values: Mapping[str, Any], environ: Mapping[str, str]) -> list[str]:
    missing: list[str] = []
    if "AZURE" in values.get("providers", ()) and not values.get("azure_endpoint"):
        missing.append("AZURE_AI_ENDPOINT: missing; CHAT_PROVIDERS names AZURE, which needs it")
    storage = str(values.get("storage", ""))
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
