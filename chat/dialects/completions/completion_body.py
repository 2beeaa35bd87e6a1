"""The body of a request for a completion (https://platform.openai.com/docs/api-reference/chat/create, read November
2026). What is not named here is passed over; what is named, and cannot be done, is refused by who reads it."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, FailFast, Field

from chat.events import JSONObject
from chat.schemas.fields import TOOL, Body, Flag, Id, Number, Whole, check_json_size, examples, json_text

MAX_TOOLS = 64  # that one request may name
MAX_CALLS = 128  # of one message, and more than one answer can make
MAX_PARTS = 100  # of one message
TOOL_BYTES = 16 * 1024  # of the parameters of one tool, as JSON
SCHEMA_BYTES = 32 * 1024  # of the schema of an answer, as JSON
METADATA_BYTES = 16 * 1024
MOST_TOKENS = 1_000_000
INTEGER = 2**63 - 1


def _parts(value: Any) -> Any:
    """A text stands for a list with one part."""
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _arguments(value: Any) -> Any:
    """Some clients send arguments as the object that they are."""
    return json_text(value).decode() if isinstance(value, dict) else value


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _choice(value: Any) -> Any:
    """One of its texts stands for the object that has it as its type."""
    return {"type": value} if isinstance(value, str) else value


def _small(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: check_json_size(value, limit))


StopText = Annotated[str, Field(min_length=1, max_length=256)]
StopTexts = Annotated[list[StopText], Field(max_length=4)]


class CompletionPart(Body):
    """A piece of a message. Only what has a text can be carried."""

    type: Annotated[str, Field(max_length=64)] = "text"
    text: str = ""
    refusal: str = ""


class CompletionCalledFunction(Body):
    name: Annotated[str, Field(pattern=TOOL)]
    arguments: Annotated[str, BeforeValidator(_arguments, json_schema_input_type=str)] = "{}"


class CompletionCall(Body):
    """A call that the model made."""

    id: Annotated[Id, Field(min_length=1)]
    type: Annotated[str, Field(max_length=64)] = "function"
    function: CompletionCalledFunction


class CompletionMessage(Body):
    """A message of the conversation, or, with role `tool`, what came of a call."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[
        list[CompletionPart],
        BeforeValidator(_parts, json_schema_input_type=str | list[CompletionPart]),
        Field(max_length=MAX_PARTS),
    ] = Field(default_factory=list[CompletionPart])
    tool_calls: Annotated[list[CompletionCall], Field(max_length=MAX_CALLS)] = Field(
        default_factory=list[CompletionCall]
    )
    tool_call_id: Id = ""


class CompletionFunction(Body):
    name: Annotated[str, Field(pattern=TOOL)]
    description: Annotated[str, Field(max_length=4096)] = ""
    parameters: Annotated[JSONObject, _small(TOOL_BYTES)] = Field(default_factory=dict)


class CompletionTool(Body):
    """A tool that the caller runs."""

    type: Literal["function"]
    function: CompletionFunction


class CompletionNamedFunction(Body):
    name: Annotated[str, Field(pattern=TOOL)]


class CompletionToolChoice(Body):
    """`auto`, `none`, `required`, or the function that has to be called."""

    type: Literal["auto", "none", "required", "function"]
    function: CompletionNamedFunction | None = None


class CompletionSchema(Body):
    name: Annotated[str, Field(pattern=TOOL)] = "answer"
    schema_: Annotated[JSONObject, _small(SCHEMA_BYTES)] = Field(default_factory=dict, alias="schema")
    strict: Flag = False


class CompletionFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: CompletionSchema | None = None


class CompletionStreamOptions(Body):
    include_usage: Flag = False


class CompletionApproval(Body):
    """An answer to a call that waits for an approval, which is not of the protocol: `{"call_id", "approved"}`, with
    other `arguments` or a `reason` for the model where they are wanted, and with the `turn_id` that came with it where
    several turns have a call of this id."""

    call_id: Annotated[Id, Field(min_length=1)]
    approved: Flag
    arguments: Annotated[
        str, BeforeValidator(_arguments, json_schema_input_type=str), Field(max_length=TOOL_BYTES)
    ] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""
    turn_id: Id = ""


class CompletionsBody(Body):
    """`POST /api/openai/v1/chat/completions`"""

    model_config = examples(
        {"model": "default", "messages": [{"role": "user", "content": "What is our total revenue?"}]},
        {
            "model": "default",
            "messages": [
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": "Hello"},
            ],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
    )

    messages: Annotated[list[CompletionMessage], FailFast(), Field(min_length=1)]
    model: Annotated[str, Field(max_length=255)] = ""
    stream: Flag = False
    stream_options: CompletionStreamOptions = Field(default_factory=CompletionStreamOptions)
    n: Annotated[Whole, Field(ge=1, le=1)] = 1
    tools: Annotated[list[CompletionTool], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list[CompletionTool]
    )
    tool_choice: (
        Annotated[
            CompletionToolChoice,
            BeforeValidator(
                _choice, json_schema_input_type=Literal["auto", "none", "required"] | CompletionToolChoice
            ),
        ]
        | None
    ) = None
    parallel_tool_calls: Flag | None = None
    response_format: CompletionFormat | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=MOST_TOKENS)] | None = None
    max_completion_tokens: Annotated[Whole, Field(ge=1, le=MOST_TOKENS)] | None = None
    stop: Annotated[StopTexts, BeforeValidator(_texts, json_schema_input_type=StopText | StopTexts)] = Field(
        default_factory=list[str]
    )
    logprobs: Flag = False
    modalities: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=16)] = Field(
        default_factory=list[str]
    )
    seed: Annotated[Whole, Field(ge=-INTEGER, le=INTEGER)] | None = None
    user: Annotated[str, Field(max_length=255)] | None = None
    metadata: Annotated[JSONObject, _small(METADATA_BYTES)] = Field(default_factory=dict)
    approvals: Annotated[list[CompletionApproval], Field(max_length=MAX_CALLS)] = Field(
        default_factory=list[CompletionApproval]
    )
