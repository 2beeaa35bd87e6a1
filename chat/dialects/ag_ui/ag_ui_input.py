"""What a client of AG-UI sends: `RunAgentInput` (https://ag-ui.com/spec/1.0/schema.json), as far as it is read here.

Python clients write `thread_id` where others write `threadId`, and leave out lists that are empty.
"""

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, FailFast, Field, model_validator
from pydantic.alias_generators import to_camel

from chat.events import JSONObject
from chat.schemas.fields import TOOL, Body, Id, check_json_size

MAX_TOOLS = 64  # that one request may name
SCHEMA_BYTES = 16 * 1024  # of the parameters of one tool, as JSON
STATE_BYTES = 16 * 1024  # of what a page keeps in its state beside a trip, as JSON
MAX_RESUMED = 128  # more than one answer can wait for


class Spelled(Body):
    """Keys in camelCase or in snake_case; of a key that comes in both, the former. `null` is as if left out, and so is
    what is not known."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    @model_validator(mode="before")
    @classmethod
    def leave_out_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, Any]", value)
        known = ((field.alias or name, name) for name, field in cls.model_fields.items())
        found = (
            (alias, given[alias] if given.get(alias) is not None else given.get(name))
            for alias, name in known
        )
        return {alias: each for alias, each in found if each is not None}


def _small_schema(value: object) -> object:
    return check_json_size(value, SCHEMA_BYTES)


def _of_an_object(value: JSONObject) -> JSONObject:
    if value.get("type", "object") != "object":
        raise ValueError("Must be the schema of an object")
    return {"type": "object", "properties": {}, **value}


class PageTool(Spelled):
    """A tool that the page runs."""

    name: Annotated[str, Field(pattern=TOOL)]
    description: Annotated[str, Field(max_length=1024)] = ""
    parameters: Annotated[JSONObject, BeforeValidator(_small_schema), AfterValidator(_of_an_object)] = Field(
        default_factory=lambda: _of_an_object({})
    )


class RunMessage(Spelled):
    """A message that the page shows. `content` is a text or a list of parts, of which texts are taken."""

    id: Any = None
    role: Literal["developer", "system", "user", "assistant", "tool", "activity", "reasoning"]
    content: Any = None
    tool_call_id: Annotated[str, Field(max_length=500)] = ""
    error: Annotated[str | None, Field(max_length=64 * 1024)] = None


class ResumeEntry(Spelled):
    """The answer to an interrupt."""

    interrupt_id: Annotated[str, Field(min_length=1, max_length=600)]
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(Spelled):
    """`POST /api/ag-ui`"""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "threadId": "thread-1",
                    "runId": "run-1",
                    "messages": [{"id": "1", "role": "user", "content": "What is our total revenue?"}],
                },
                {
                    "threadId": "thread-2",
                    "runId": "run-2",
                    "messages": [{"id": "2", "role": "user", "content": "plan a 3 day trip to Tokyo"}],
                    "state": {"pois": []},
                    "forwardedProps": {"pipeline": "trip"},
                },
            ]
        }
    )

    thread_id: Annotated[Id, Field(min_length=1)]
    run_id: Annotated[Id, Field(min_length=1)]
    parent_run_id: Id = ""
    messages: Annotated[list[RunMessage], FailFast()] = Field(default_factory=list[RunMessage])
    state: Any = None
    tools: Annotated[list[PageTool], Field(max_length=MAX_TOOLS)] = Field(default_factory=list[PageTool])
    context: Any = None
    forwarded_props: Any = None
    resume: Annotated[list[ResumeEntry], Field(max_length=MAX_RESUMED)] = Field(
        default_factory=list[ResumeEntry]
    )
