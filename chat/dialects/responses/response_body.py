"""The body of a request for a response (https://platform.openai.com/docs/api-reference/responses/create, read November
2026). What is not named here is passed over; what is named, and cannot be done, is refused in `response_request.py`."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from chat.events import JSONObject
from chat.schemas.fields import TOOL, Body, Flag, Id, Number, Whole, check_json_size, examples, json_text

MAX_ITEMS = 2000
MAX_PARTS = 1000  # of one message
MAX_TOOLS = 64
TOOL_BYTES = 16 * 1024  # of the parameters of a tool, as JSON
FORMAT_BYTES = 32 * 1024  # of the schema of an answer
METADATA_BYTES = 16 * 1024


def _parts(kind: str) -> Any:
    """A text stands for a list with one part."""

    def read(value: Any) -> Any:
        return [{"type": kind, "text": value}] if isinstance(value, str) else value

    return read


def _items(value: Any) -> Any:
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def _small(limit: int) -> Any:
    def check(value: object) -> object:
        return check_json_size(value, limit)

    return BeforeValidator(check)


def _text(value: Any) -> Any:
    """Some clients send arguments as the object that they are."""
    return json_text(value).decode() if isinstance(value, dict) else value


type Name = Annotated[str, Field(pattern=TOOL)]  # of a function
type Word = Annotated[str, Field(max_length=64)]  # one of those that a field may have


class Part(Body):
    """A piece of a message; only what has a text can be carried."""

    type: Word = "input_text"
    text: str | None = None
    refusal: str | None = None


type Parts = Annotated[
    list[Part],
    Field(max_length=MAX_PARTS),
    BeforeValidator(_parts("input_text"), json_schema_input_type=str | list[Part]),
]


class InputItem(Body):
    """A message, or a call with what came of it, by its `type`."""

    type: Word = "message"
    id: Id = ""
    role: Word = ""
    content: Parts | None = None
    call_id: Id = ""
    name: Name | None = None
    arguments: Annotated[str, BeforeValidator(_text)] = ""
    output: Parts | None = None
    error: Any = None
    approval_request_id: Id = ""
    approve: Flag | None = None
    reason: Annotated[str, Field(max_length=4096)] = ""


class FunctionTool(Body):
    """A tool that the caller runs; of any other type it is refused."""

    type: Word
    name: Name | None = None
    description: Annotated[str, Field(max_length=4096)] = ""
    parameters: Annotated[JSONObject, _small(TOOL_BYTES)] = Field(default_factory=dict)
    strict: Any = None


class ChosenTool(Body):
    type: Word
    name: Name | None = None


def _chosen(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class ConversationParam(Body):
    id: Annotated[Id, Field(min_length=1)]


def _conversation(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


class TextFormat(Body):
    type: Word = "text"
    name: Name = "answer"
    schema_: Annotated[JSONObject, _small(FORMAT_BYTES)] = Field(default_factory=dict, alias="schema")
    strict: Any = None


class TextParam(Body):
    format: TextFormat = Field(default_factory=TextFormat)


class ResponsesBody(Body):
    """`POST /api/openai/v1/responses`"""

    model_config = examples(
        {"model": "default", "input": "What is our total revenue?"},
        {
            "model": "default",
            "instructions": "Answer in one sentence.",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
            "stream": True,
            "metadata": {"page": "home"},
        },
    )

    model: Annotated[str, Field(max_length=255)] = ""
    input: Annotated[
        list[InputItem],
        BeforeValidator(_items, json_schema_input_type=str | list[InputItem]),
        Field(max_length=MAX_ITEMS),
    ] = Field(default_factory=list)
    stream: Flag = False
    background: Flag = False
    store: Flag = True
    previous_response_id: Id | None = None
    conversation: (
        Annotated[
            ConversationParam,
            BeforeValidator(_conversation, json_schema_input_type=Id | ConversationParam),
        ]
        | None
    ) = None
    instructions: str | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS)] = Field(default_factory=list)
    tool_choice: Annotated[ChosenTool, BeforeValidator(_chosen, json_schema_input_type=Word | ChosenTool)] = (
        Field(default_factory=lambda: ChosenTool(type="auto"))
    )
    text: TextParam = Field(default_factory=TextParam)
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[Whole, Field(ge=1, le=10**9)] | None = None
    metadata: Annotated[dict[str, str], _small(METADATA_BYTES)] = Field(default_factory=dict)
    truncation: Word | None = None
    reasoning: Annotated[JSONObject, _small(METADATA_BYTES)] | None = None
    parallel_tool_calls: Flag | None = None
    user: Id | None = None
    prompt: Any = None
    include: Annotated[list[Word], Field(max_length=64)] = Field(default_factory=list[str])
    top_logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
