"""Tools that the caller runs, and calls that somebody approves: how a request names them, and what it says to them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from chat.calls import CallAnswer, CallOutput, ToolDefinition
from chat.errors import ValidationError
from chat.events import JSONObject
from chat.schemas.approvals import MAX_ANSWERS, CallApproval, read_approvals
from chat.schemas.fields import TOOL, Body, Flag, check_json_size, check_size
from chat.turns.decisions import OUTPUTS

MAX_TOOLS = 64  # that one request may name
SCHEMA_BYTES = 16 * 1024  # of the parameters of one tool, as JSON
OUTPUT_BYTES = 64 * 1024  # of the output of one call


def _small(value: object) -> object:
    return check_json_size(value, SCHEMA_BYTES)


def _schema(value: JSONObject) -> JSONObject:
    if value.get("type", "object") != "object":
        raise ValueError("Must be the schema of an object")
    return {"type": "object", "properties": {}, **value}


class ClientFunction(Body):
    """As in OpenAI's chat completions (v1)."""

    name: Annotated[str, Field(pattern=TOOL)]
    description: Annotated[str, Field(max_length=1024)] = ""
    parameters: Annotated[JSONObject, BeforeValidator(_small), AfterValidator(_schema)] = Field(
        default_factory=lambda: _schema({})
    )
    strict: Any = None


class ClientTool(Body):
    """`{"type": "function", "function": {...}}`"""

    type: Literal["function"]
    function: ClientFunction


class ClientToolOutput(Body):
    """What came of a call."""

    call_id: Annotated[str, Field(min_length=1, max_length=500)]
    output: str
    is_error: Flag = False


type ClientTools = Annotated[list[ClientTool], Field(max_length=MAX_TOOLS)]
type ClientToolOutputs = Annotated[list[ClientToolOutput], Field(min_length=1, max_length=MAX_ANSWERS)]


def read_tools(tools: Sequence[ClientTool], ours: Sequence[ToolDefinition]) -> tuple[ToolDefinition, ...]:
    """The tools as the model is told of them. ValidationError for a name that is taken."""
    taken = {each.name: "This name is one of our tools'" for each in ours}
    for number, each in enumerate(tools):
        name = each.function.name
        if name in taken:
            raise ValidationError(f"tools.{number}.function.name", taken[name])
        taken[name] = "Two tools have this name"
    functions = [each.function for each in tools]
    return tuple(ToolDefinition(each.name, each.description, each.parameters) for each in functions)


def read_answers(
    outputs: Sequence[ClientToolOutput] | None, approvals: Sequence[CallApproval] | None
) -> list[CallAnswer]:
    """What is said to calls. TooLarge for an output that is larger than the model should be shown."""
    for number, each in enumerate(outputs or ()):
        check_size(f"{OUTPUTS}.{number}.output", each.output, limit=OUTPUT_BYTES)
    return [
        *(CallOutput(each.call_id, each.output, each.is_error) for each in outputs or ()),
        *read_approvals(approvals or ()),
    ]
