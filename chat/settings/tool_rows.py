"""The settings of the tools that a model is offered."""

from dataclasses import dataclass

from chat.settings.mcp_servers import McpServer, read_mcp_servers
from chat.settings.setting_row import setting
from chat.settings.values import (
    TOOLS,
    read_approved_tools,
    read_count,
    read_output_size,
    read_positive,
    read_tools,
)


@dataclass(frozen=True, kw_only=True)
class ToolSettings:
    """Part of `Settings`."""

    tools: tuple[str, ...] = setting(
        "CHAT_TOOLS", ",".join(TOOLS), "The tools that the model is offered, or none.", read_tools
    )
    approve_tools: tuple[str, ...] = setting(
        "CHAT_APPROVE_TOOLS",
        "",
        "Those of them whose calls wait until somebody who may write in the session approves; `*` for all, "
        "those of CHAT_MCP_SERVERS among them.",
        read_approved_tools,
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
    mcp_servers: tuple[McpServer, ...] = setting(
        "CHAT_MCP_SERVERS",
        "",
        "Servers of the Model Context Protocol whose tools the model is offered, as a JSON list: [tools](tools.md).",
        read_mcp_servers,
        secret=True,
    )
    databricks_client_id: str = setting(
        "DATABRICKS_CLIENT_ID",
        "",
        "A service principal that asks Databricks in place of DATABRICKS_TOKEN, with",
    )
    databricks_client_secret: str = setting("DATABRICKS_CLIENT_SECRET", "", "its secret.", secret=True)
    databricks_profile: str = setting(
        "DATABRICKS_CONFIG_PROFILE", "", "Or a profile of databricks-sdk's own file, `~/.databrickscfg`."
    )
    databricks_auth_type: str = setting(
        "DATABRICKS_AUTH_TYPE",
        "",
        "The way in which databricks-sdk signs in, as it names it, where there are several.",
    )
    overpass_url: str = setting(
        "CHAT_OVERPASS_URL",
        "",
        "An Overpass endpoint that knows places, for example `https://overpass-api.de/api/interpreter`; by default a "
        "bundled list of sights in 36 cities.",
    )
