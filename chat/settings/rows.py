"""Every setting of Parley, in one table: name, default, meaning. What reads it is `chat/settings/__init__.py`.

`local.settings.json.example` and `docs/settings.md` are checked against this table by `tests/test_docs.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chat.settings.model_services import ServiceSettings
from chat.settings.values import (
    PROVIDERS,
    TOOLS,
    read_busy,
    read_count,
    read_duration,
    read_events_way,
    read_hub,
    read_level,
    read_line,
    read_milliseconds,
    read_names,
    read_origins,
    read_output_size,
    read_pages,
    read_positive,
    read_providers,
    read_switch,
    read_tools,
)

SYSTEM_PROMPT = "You are a helpful AI assistant for Presto-Change-O, an industry simulation dashboard."


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `read` turns the text into the value and raises ValueError for a bad one."""

    name: str
    default: str
    help: str
    read: Callable[[str], object]
    secret: bool = False


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
        "Turns in a row that found a model service down, after which it is left alone.",
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
        "CHAT_AUTH", "dev", "Who may ask, tried in order: `dev` (for laptops; refused elsewhere).", read_names
    )
    http_auth_level: str = setting(
        "CHAT_HTTP_AUTH_LEVEL",
        "ANONYMOUS",
        "The key that the Functions host asks for: ANONYMOUS, FUNCTION or ADMIN.",
        read_level,
    )
    web_pubsub: str = setting(
        "WebPubSubConnectionString",
        "",
        "The Web PubSub service that carries the sockets: its connection string. Without this setting and the next one "
        "there are no sockets.",
        secret=True,
    )
    web_pubsub_endpoint: str = setting(
        "WebPubSubConnectionString__serviceUri",
        "",
        "The same for a managed identity: the address of the service, `https://<name>.webpubsub.azure.com`.",
        read_line,
    )
    web_pubsub_hub: str = setting("WebPubSubHub", "chat", "The hub of that service.", read_hub)
    web_pubsub_events: str = setting(
        "CHAT_WEBPUBSUB_EVENTS",
        "trigger",
        "How the service's events come in: `trigger` (the Functions extension, at /runtime/webhooks/webpubsub) or "
        "`http` (the app's own route, at /api/webpubsub/events, which needs no extension).",
        read_events_way,
    )
    socket_minutes: int = setting(
        "CHAT_SOCKET_URL_MINUTES", "5", "Minutes for which a URL to connect to is good.", read_count
    )
    socket_direct: bool = setting(
        "CHAT_SOCKET_DIRECT",
        "false",
        "Whether a socket may open without negotiation: `true` or `false`. The hub must let clients in without a token "
        "(`anonymousConnectPolicy: allow`); the app asks who it is when it connects.",
        read_switch,
    )
    socket_origins: frozenset[str] = setting(
        "CHAT_SOCKET_ORIGINS",
        "",
        "The origins of the web pages that may open a socket so, such as `https://chat.example.com`, or "
        "`http://localhost:*` for every port. Clients that are no web page name none. `make run` adds its own.",
        read_origins,
    )
    cors_origins: frozenset[str] = setting(
        "CHAT_CORS_ORIGINS",
        "",
        "The origins of the web pages that may read answers, written likewise, or `*` alone: all. By default that is "
        "left to the platform, which has a setting of its own.",
        read_pages,
    )
    cors_credentials: bool = setting(
        "CHAT_CORS_CREDENTIALS",
        "false",
        "Whether they may send cookies, too: `true` or `false`.",
        read_switch,
    )
    session_connections: int = setting(
        "CHAT_MAX_CONNECTIONS_PER_SESSION", "1000", "Sockets that one session may have.", read_count
    )
    user_connections: int = setting(
        "CHAT_MAX_CONNECTIONS_PER_USER", "20", "Sockets that one user may have in a session.", read_count
    )
    busy: Literal["reject", "queue", "interrupt"] | None = setting(
        "CHAT_BUSY",
        "",
        "What a message to a session does whose answer still runs: `reject` (409), `queue` or `interrupt`. By default "
        "HTTP requests are rejected and messages of sockets queue.",
        read_busy,
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
    audit_days: int = setting(
        "CHAT_AUDIT_DAYS", "365", "Days for which is kept what admins read of other people's.", read_count
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
