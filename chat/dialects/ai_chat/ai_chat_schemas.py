"""What dialect `ai-chat` takes and says, as models (docs/protocols.md)."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, FailFast, Field, RootModel

from chat.dialects.shape_schemas import Shown
from chat.events import JSON
from chat.schemas.fields import Body, Id, examples


class AiChatMessage(Body):
    """One message of those that the caller has on the screen. Its `context` is the caller's own, and `files` are
    refused."""

    role: Literal["user", "assistant", "system"]
    content: str = ""
    context: Any = None
    files: Any = None


class AiChatBody(Body):
    """`POST /api/ai-chat` and `POST /api/ai-chat/stream`. What stands in `context` is not looked at."""

    model_config = examples({"messages": [{"role": "user", "content": "What is our total revenue?"}]})

    messages: Annotated[list[AiChatMessage], FailFast(), Field(min_length=1)]
    session_state: Annotated[
        Id | None, Field(validation_alias=AliasChoices("sessionState", "session_state"))
    ] = None
    context: Any = None


class AiChatStage(Shown):
    """What a stage of a pipeline came to."""

    name: str
    result: JSON


class AiChatToolCall(Shown):
    """The model calls a tool. `arguments` are a text where what it wrote is no JSON."""

    id: str
    name: str
    arguments: JSON


class AiChatToolOutput(Shown):
    """What came of the call of the same `id`."""

    id: str
    name: str
    output: str


class AiChatApproval(Shown):
    """The call of this `id` waits for somebody's yes or no, which this protocol has no word for."""

    id: str
    name: str


class AiChatUsage(Shown):
    """Tokens of the turn."""

    promptTokens: int
    completionTokens: int


class AiChatContext(Shown):
    """What the protocol has no word for. `turnId` stands in the first line, `status` and `usage` in the last."""

    turnId: str = ""
    status: Literal["finished", "cancelled"] = "finished"
    usage: AiChatUsage | None = None
    stage: AiChatStage | None = None
    progress: int = 0  # percent
    toolCall: AiChatToolCall | None = None
    toolOutput: AiChatToolOutput | None = None
    approval: AiChatApproval | None = None


class AiChatDelta(Shown):
    """What is added to the message."""

    role: Literal["assistant"] = "assistant"
    content: str = ""


class AiChatPiece(Shown):
    """What is added to the answer."""

    delta: AiChatDelta
    sessionState: str = ""
    context: AiChatContext | None = None


class AiChatFault(Shown):
    """A code of docs/errors.md, and a sentence."""

    code: str
    message: str


class AiChatError(Shown):
    """Why there is no answer, or no more of it."""

    error: AiChatFault


class AiChatFrame(RootModel[AiChatPiece | AiChatError]):
    """A line of a stream."""


class AiChatAnswer(Shown):
    """The message of a whole reply."""

    role: Literal["assistant"]
    content: str


class AiChatWholeContext(Shown):
    """The same of a whole reply."""

    turnId: str
    status: Literal["finished", "cancelled"]
    usage: AiChatUsage | None = None
    stages: list[AiChatStage] = Field(default_factory=list)
    toolCalls: list[AiChatToolCall] = Field(default_factory=list)
    approvals: list[AiChatApproval] = Field(default_factory=list)
    toolOutputs: list[AiChatToolOutput] = Field(default_factory=list)


class AiChatCompletion(Shown):
    """A whole reply."""

    message: AiChatAnswer
    sessionState: str
    context: AiChatWholeContext


OUT = AiChatFrame
REFUSED = AiChatError
