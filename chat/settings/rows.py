"""Every setting of Parley, in one table: name, default, meaning. What reads it is `chat/settings/__init__.py`.

The rows stand beside this file, by theme. `local.settings.json.example` and `docs/settings.md` are checked against the
table by `tests/test_docs.py`.
"""

from dataclasses import dataclass
from typing import Literal

from chat.quotas import Rate
from chat.settings.model_rows import ModelSettings
from chat.settings.setting_row import Setting as Setting
from chat.settings.setting_row import setting
from chat.settings.sign_in_rows import SignInSettings
from chat.settings.socket_rows import SocketSettings
from chat.settings.tool_rows import ToolSettings
from chat.settings.values import (
    read_budget,
    read_busy,
    read_count,
    read_duration,
    read_milliseconds,
    read_positive,
    read_rate,
)


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Part of `Settings`."""

    storage: str = setting(
        "CHAT_STORAGE",
        "AzureWebJobsStorage",
        "Which setting names the storage account: its value is a connection string, or it is the prefix of "
        "`<name>__tableServiceUri` or `<name>__accountName` for a managed identity.",
    )
    table_prefix: str = setting(
        "CHAT_TABLE_PREFIX", "chat", "What the names of the tables begin with; letters and digits."
    )


@dataclass(frozen=True, kw_only=True)
class TurnSettings:
    """Part of `Settings`."""

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
    limit_requests: Rate | None = setting(  # noqa: RUF009
        "CHAT_LIMIT_REQUESTS",
        "0",
        "How many answers one user may ask for at once, and the seconds in which as many come back, such as `60/60`; 0 "
        "is without a limit.",
        read_rate,
    )
    user_budget: int = setting(
        "CHAT_BUDGET_TOKENS_PER_USER",
        "0",
        "Tokens of models that one user may use in a day (UTC); 0 is without a limit.",
        read_budget,
    )
    budget: int = setting("CHAT_BUDGET_TOKENS", "0", "The same for all users together.", read_budget)
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
    mcp_patience: float = setting(
        "CHAT_MCP_PATIENCE_S",
        "55",
        "Seconds for which a client of `/api/mcp` waits for an answer; then it is told how to ask again.",
        read_positive,
    )
    max_body_bytes: int = setting(
        "CHAT_MAX_BODY_BYTES", str(1024 * 1024), "The largest request body, in bytes.", read_count
    )
    max_message_bytes: int = setting(
        "CHAT_MAX_MESSAGE_BYTES", str(256 * 1024), "The longest message, in bytes of UTF-8.", read_count
    )


@dataclass(frozen=True, kw_only=True)
class Settings(TurnSettings, SocketSettings, SignInSettings, ToolSettings, ModelSettings, StorageSettings):
    """The settings of one process. Durations are seconds, whatever unit the setting's name says.

    The table has the rows of the last part first: in this order dataclasses take the fields of what they inherit from.
    """
