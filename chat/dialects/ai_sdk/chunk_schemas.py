"""The chunks of dialect `ai-sdk` as models: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from chat.dialects.shape_schemas import Shown
from chat.events import JSON, JSONObject


class UIStart(Shown):
    """The message begins, or goes on. `messageMetadata` names the session and the turn."""

    type: Literal["start"]
    messageId: str
    messageMetadata: JSONObject


class UIStep(Shown):
    """A model call begins or ends."""

    type: Literal["start-step", "finish-step"]


class UITextEdge(Shown):
    """A text, or what the model thinks, begins or ends."""

    type: Literal["text-start", "text-end", "reasoning-start", "reasoning-end"]
    id: str


class UITextDelta(Shown):
    """The next words of it."""

    type: Literal["text-delta", "reasoning-delta"]
    id: str
    delta: str


class UIToolInput(Shown):
    """The model calls a tool: then come its arguments. Those of the page are not `dynamic`."""

    type: Literal["tool-input-start"]
    toolCallId: str
    toolName: str
    dynamic: bool = False
    providerExecuted: bool = False


class UIToolInputDelta(Shown):
    type: Literal["tool-input-delta"]
    toolCallId: str
    inputTextDelta: str


class UIToolCall(UIToolInput):
    """A whole call. A page runs its own."""

    type: Literal["tool-input-available"]  # pyright: ignore[reportIncompatibleVariableOverride]
    input: JSON


class UIToolCallError(UIToolInput):
    """A call that nobody runs."""

    type: Literal["tool-input-error"]  # pyright: ignore[reportIncompatibleVariableOverride]
    input: JSON
    errorText: str


class UIApprovalRequest(Shown):
    """The call waits for somebody's yes or no."""

    type: Literal["tool-approval-request"]
    approvalId: str
    toolCallId: str


class UIToolOutput(Shown):
    """What came of a call."""

    type: Literal["tool-output-available"]
    toolCallId: str
    output: JSON


class UIToolError(Shown):
    type: Literal["tool-output-error"]
    toolCallId: str
    errorText: str


class UIToolDenied(Shown):
    """Somebody said no."""

    type: Literal["tool-output-denied"]
    toolCallId: str


class UIStageData(Shown):
    stage: str
    status: Literal["running", "finished", "failed"]
    attempt: int = 1
    items: list[JSON] = Field(default_factory=list[JSON])
    result: JSON = None


class UIStage(Shown):
    """A stage of a pipeline, as far as it is: a later one takes the place of the one before."""

    type: Literal["data-stage"]
    id: str
    data: UIStageData


class UIPercent(Shown):
    percent: int


class UIProgress(Shown):
    """How far a pipeline is. No part of the message."""

    type: Literal["data-progress"]
    data: UIPercent
    transient: Literal[True]


class UIError(Shown):
    """The turn failed; without a `finish` after it the stream broke off, and the turn may go on."""

    type: Literal["error"]
    errorText: str


class UIAbort(Shown):
    """Somebody stopped the turn."""

    type: Literal["abort"]
    reason: str


class UIFinish(Shown):
    """The message ends. `interrupted` is said to clients of version 7 alone."""

    type: Literal["finish"]
    finishReason: Literal["stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted"]
    messageMetadata: JSONObject = Field(default_factory=dict[str, JSON])


class AiSdkFrame(
    RootModel[
        Annotated[
            UIStart
            | UIStep
            | UITextEdge
            | UITextDelta
            | UIToolInput
            | UIToolInputDelta
            | UIToolCall
            | UIToolCallError
            | UIApprovalRequest
            | UIToolOutput
            | UIToolError
            | UIToolDenied
            | UIStage
            | UIProgress
            | UIError
            | UIAbort
            | UIFinish,
            Field(discriminator="type"),
        ]
    ]
):
    """What follows `data: `, but for the last frame of each stream, `[DONE]`."""


OUT = AiSdkFrame
