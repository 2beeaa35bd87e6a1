"""What a request asks for beside its message, as JSON: so that a message that waits loses nothing of it. No I/O."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from chat.calls import ToolDefinition
from chat.events import JSON, JSONObject
from chat.reply_options import options_from_json, options_to_json
from chat.requests import TurnRequest


def request_to_json(request: TurnRequest) -> JSONObject:
    """`{"pipeline", "input", "client", "settings", "options", "tools", "on_behalf_of"}`, each only where there is
    something."""
    tools: list[JSON] = [_tool(each) for each in request.tools]
    every: JSONObject = {
        "pipeline": request.pipeline,
        "input": request.input,
        "client": request.client,
        "settings": request.settings,
        "options": options_to_json(request.options),
        "tools": tools,
        "on_behalf_of": request.on_behalf_of,
    }
    return {name: value for name, value in every.items() if value}


def request_from_json(asked: Mapping[str, JSON], request: TurnRequest) -> TurnRequest:
    """The request with all of that. `wire` is what `input` was called before 0.1.0."""
    return replace(
        request,
        pipeline=str(asked.get("pipeline") or ""),
        input=_object(asked.get("input") or asked.get("wire")),
        client=_object(asked.get("client")),
        settings=_object(asked.get("settings")),
        options=options_from_json(_object(asked.get("options"))),
        tools=tuple(map(_definition, cast("list[JSONObject]", asked.get("tools") or []))),
        on_behalf_of=str(asked.get("on_behalf_of") or ""),
    )


def _tool(tool: ToolDefinition) -> JSONObject:
    told: JSONObject = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {**told, "needs_approval": True} if tool.needs_approval else told


def _definition(told: JSONObject) -> ToolDefinition:
    return ToolDefinition(
        str(told["name"]),
        str(told["description"]),
        _object(told["parameters"]),
        needs_approval=told.get("needs_approval") is True,
    )


def _object(value: JSON) -> JSONObject:
    return value if isinstance(value, dict) else {}
