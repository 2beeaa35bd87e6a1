"""What a caller may want of the model's replies, beside what they say. What is empty or None is left to the service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from chat.events import JSON, JSONObject

type ToolMode = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class ResponseSchema:
    """What the answer has to be: JSON of this schema."""

    name: str
    schema: JSONObject
    strict: bool = True


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may call tools, or must: any, or the one of that name."""

    mode: ToolMode
    name: str = ""


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """For one turn. A call that the model must make is made once: afterwards it may answer."""

    stop: tuple[str, ...] = ()  # texts before which the reply ends
    seed: int | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_schema: ResponseSchema | None = None
    json_object: bool = False  # the answer has to be any JSON object


def options_to_json(options: ReplyOptions) -> JSONObject:
    """What is given, alone."""
    choice, schema = options.tool_choice, options.response_schema
    every: JSONObject = {
        "stop": list(options.stop) or None,
        "seed": options.seed,
        "tool_choice": choice and {"mode": choice.mode, "name": choice.name},
        "parallel_tool_calls": options.parallel_tool_calls,
        "response_schema": schema and {"name": schema.name, "schema": schema.schema, "strict": schema.strict},
        "json_object": options.json_object or None,
    }
    return {name: value for name, value in every.items() if value is not None}


def options_from_json(value: Mapping[str, JSON]) -> ReplyOptions:
    """The reverse."""
    given = cast("dict[str, dict[str, str]]", value)
    choice, schema = given.get("tool_choice"), cast("JSONObject | None", value.get("response_schema"))
    return ReplyOptions(
        stop=tuple(cast("list[str]", value.get("stop") or ())),
        seed=cast("int | None", value.get("seed")),
        tool_choice=ToolChoice(cast("ToolMode", choice["mode"]), choice["name"]) if choice else None,
        parallel_tool_calls=cast("bool | None", value.get("parallel_tool_calls")),
        response_schema=_schema_from(schema) if schema else None,
        json_object=bool(value.get("json_object")),
    )


def _schema_from(value: JSONObject) -> ResponseSchema:
    schema = cast("JSONObject", value["schema"])
    return ResponseSchema(str(value["name"]), schema, strict=bool(value["strict"]))
