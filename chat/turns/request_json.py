"""What a request asks for beside its message, as JSON: so that a message that waits loses nothing of it."""

from collections.abc import Mapping
from typing import cast

from chat.events import JSON, JSONObject
from chat.providers.base import ToolDefinition
from chat.turns.base import TurnRequest


def request_to_json(request: TurnRequest) -> JSONObject:
    """`{"pipeline", "wire", "settings", "tools"}`, each only where there is something."""
    tools: list[JSON] = [
        {"name": each.name, "description": each.description, "parameters": each.parameters}
        for each in request.tools
    ]
    every: JSONObject = {
        "pipeline": request.pipeline,
        "wire": request.wire,
        "settings": request.settings,
        "tools": tools,
    }
    return {name: value for name, value in every.items() if value}


def request_from_json(asked: Mapping[str, JSON], request: TurnRequest) -> TurnRequest:
    """The request with all of that."""
    return TurnRequest(
        request.user_id,
        message_id=request.message_id,
        session_id=request.session_id,
        dialect=request.dialect,
        waited=request.waited,
        pipeline=str(asked.get("pipeline") or ""),
        wire=_object(asked.get("wire")),
        settings=_object(asked.get("settings")),
        tools=tuple(
            ToolDefinition(str(each["name"]), str(each["description"]), _object(each["parameters"]))
            for each in cast("list[JSONObject]", asked.get("tools") or [])
        ),
    )


def _object(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}
