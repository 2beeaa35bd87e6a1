"""The chunks of dialect `completions` as models."""

from typing import Literal

from pydantic import Field, RootModel

from chat.dialects.openai_error_schemas import OpenAIError
from chat.dialects.shape_schemas import Shown
from chat.events import JSON


class CompletionUsage(Shown):
    """Tokens. What no service counted is estimated."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class FunctionPiece(Shown):
    name: str = ""
    arguments: str


class CallPiece(Shown):
    """A call of the caller's own tool, or a piece of it, by its `index`."""

    index: int
    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionPiece


class CompletionDelta(Shown):
    role: Literal["assistant"] = "assistant"
    content: str = ""
    reasoning_content: str = ""
    tool_calls: list[CallPiece] = Field(default_factory=list[CallPiece])


type FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class ChunkChoice(Shown):
    index: Literal[0]
    delta: CompletionDelta
    finish_reason: FinishReason | None


class RunCall(Shown):
    """A call of one of our tools: nobody else runs it."""

    id: str
    name: str
    arguments: str


class RunOutput(Shown):
    """What came of it."""

    id: str
    name: str
    output: str
    is_error: bool


class StageResult(Shown):
    name: str
    result: JSON


class WaitingCall(Shown):
    """A call that waits for an approval: answer with `approvals` in that session."""

    call_id: str
    name: str
    arguments: str
    session_id: str
    turn_id: str


class CompletionChunk(Shown):
    """The next piece of the answer. What stands beside `choices` is not of the protocol."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
    tool_call: RunCall | None = None
    tool_output: RunOutput | None = None
    stage: StageResult | None = None
    approval: WaitingCall | None = None


class CompletionsFrame(RootModel[CompletionChunk | OpenAIError]):
    """What follows `data: `, but for the last frame of each stream, `[DONE]`."""


class MadeFunction(Shown):
    name: str
    arguments: str


class MadeCall(Shown):
    """A call of the caller's own tool."""

    id: str
    type: Literal["function"]
    function: MadeFunction


class CompletionAnswer(Shown):
    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: str = ""
    tool_calls: list[MadeCall] = Field(default_factory=list[MadeCall])


class CompletionChoice(Shown):
    index: Literal[0]
    message: CompletionAnswer
    finish_reason: FinishReason
    logprobs: JSON


class Completion(Shown):
    """The whole answer. What stands beside `choices` and `usage` is not of the protocol."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage
    tool_call: list[RunCall] = Field(default_factory=list[RunCall])
    tool_output: list[RunOutput] = Field(default_factory=list[RunOutput])
    stage: list[StageResult] = Field(default_factory=list[StageResult])
    approval: list[WaitingCall] = Field(default_factory=list[WaitingCall])


OUT = CompletionsFrame
WHOLE = Completion
REFUSED = OpenAIError
