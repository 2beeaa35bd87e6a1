"""Tools as a model is told of them, and the calls that it makes."""

from dataclasses import dataclass

from chat.events import JSONObject


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool the model may call; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: JSONObject


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What the model asked for; `arguments` is JSON text as it came."""

    id: str
    name: str
    arguments: str
