"""The model services that speak a protocol of OpenAI's: what the settings of each are called.

Plain rows, which join those of `rows.py` in one table. How the services differ on the wire is `providers/presets.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Where one service is, and how long it is waited for, in seconds."""

    endpoint: str
    key: str
    model: str
    protocol: str  # "chat", "responses" or "agent"
    first_token_timeout: float
    token_gap_timeout: float


class ServiceRow(NamedTuple):
    """One setting of a service. A default of "" means: not set; `needed` says that it then counts as missing."""

    name: str
    default: str
    help: str
    needed: bool = False


type ServiceRows = Mapping[str, ServiceRow]
"""One row for each field of `ServiceSettings`."""


PROTOCOL = "The protocol that it is asked by: `chat` (chat completions) or `responses`."


def _rows(
    prefix: str,
    *,
    endpoint: ServiceRow,
    key: ServiceRow,
    model: ServiceRow,
    protocol: tuple[str, str] = ("chat", PROTOCOL),
    think: str = "60",
    pause: str = "30",
) -> ServiceRows:
    """The rows of a service; those of its protocol and timeouts begin with `prefix`. It may `think` that long, and
    `pause`."""
    first = ServiceRow(
        f"{prefix}_FIRST_TOKEN_TIMEOUT_S", think, "Seconds that model may think before its first word."
    )
    gap = ServiceRow(
        f"{prefix}_TOKEN_GAP_TIMEOUT_S", pause, "Seconds that model may pause between two words."
    )
    return {
        "endpoint": endpoint,
        "key": key,
        "model": model,
        "protocol": ServiceRow(f"{prefix}_PROTOCOL", *protocol),
        "first_token_timeout": first,
        "token_gap_timeout": gap,
    }


SERVICES: Mapping[str, ServiceRows] = {
    "LOCAL": _rows(
        "LOCAL_AI",
        endpoint=ServiceRow(
            "LOCAL_AI_ENDPOINT",
            "",
            "LOCAL is any OpenAI-compatible server, such as Ollama, llama.cpp, vLLM or Foundry Local: its URL, for "
            "example `http://localhost:11434/v1`.",
            needed=True,
        ),
        key=ServiceRow("LOCAL_AI_KEY", "", "Its key, where it asks for one."),
        model=ServiceRow("LOCAL_AI_MODEL", "", "The model to ask, as that server names it.", needed=True),
        think="120",  # a model may have to be loaded first
    ),
    "OPENROUTER": _rows(
        "OPENROUTER_AI",
        endpoint=ServiceRow(
            "OPENROUTER_AI_ENDPOINT", "https://openrouter.ai/api/v1", "Where OPENROUTER is asked."
        ),
        key=ServiceRow("OPENROUTER_AI_KEY", "", "Its key.", needed=True),
        model=ServiceRow(
            "OPENROUTER_AI_MODEL",
            "openrouter/auto",
            "The model to ask: `publisher/name`, or one of its routers.",
        ),
    ),
    "DATABRICKS": _rows(
        "DATABRICKS_AI",
        endpoint=ServiceRow(
            "DATABRICKS_HOST",
            "",
            "DATABRICKS is a serving endpoint, such as a multi-agent supervisor: the workspace, for example "
            "`https://adb-1.2.azuredatabricks.net`, or the whole URL of an endpoint up to `/invocations`; by default "
            "that of the profile.",
        ),
        key=ServiceRow(
            "DATABRICKS_TOKEN",
            "",
            "A token for it. Without one, databricks-sdk signs in as its `WorkspaceClient` does.",
        ),
        model=ServiceRow("MAS_ENDPOINT_NAME", "", "The serving endpoint to ask.", needed=True),
        protocol=(
            "agent",
            "The protocol that it is asked by: `agent` (Responses, to an agent that has its own tools and is offered "
            "no others), `responses` (to a model) or `chat` (chat completions).",
        ),
        think="120",
        pause="120",  # an agent says nothing while it asks others
    ),
    "GITHUB": _rows(
        "GITHUB_AI",
        endpoint=ServiceRow(
            "GITHUB_AI_ENDPOINT",
            "https://models.github.ai/inference",
            "Where GITHUB is asked (GitHub Models).",
        ),
        key=ServiceRow("GITHUB_AI_KEY", "", "A token that may read models (`models:read`).", needed=True),
        model=ServiceRow(
            "GITHUB_AI_MODEL",
            "",
            "The model to ask: `publisher/name`, for example `openai/gpt-4.1`.",
            needed=True,
        ),
    ),
}
