"""What dialect `ag-ui` says, as models: the events of AG-UI 1.0 that there are (docs/protocols.md)."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from chat.dialects.ag_ui.ag_ui_thread_schemas import AgUiMessage, AgUiThread
from chat.dialects.shape_schemas import Shown
from chat.events import JSON, JSONObject


class AgUiRunStarted(Shown):
    """`metadata` has the ids by which Parley knows the conversation and the run."""

    type: Literal["RUN_STARTED"]
    threadId: str
    runId: str
    protocolVersion: str
    parentRunId: str = ""
    metadata: dict[str, str]


class AgUiUsage(Shown):
    """What one model used."""

    provider: str = ""
    model: str = ""
    inputTokens: int
    outputTokens: int
    totalTokens: int


class AgUiInterrupt(Shown):
    """A call that somebody has to allow: the next run answers it, by its id, in `resume`."""

    id: str
    reason: str
    message: str
    toolCallId: str
    responseSchema: JSONObject
    metadata: JSONObject


class AgUiSuccess(Shown):
    """`pendingToolCallIds`: calls of tools of the page, whose results the next run brings."""

    type: Literal["success"]
    pendingToolCallIds: list[str] = Field(default_factory=list)


class AgUiInterrupted(Shown):
    type: Literal["interrupt"]
    interrupts: list[AgUiInterrupt]


class AgUiCancelled(Shown):
    type: Literal["cancelled"]


class AgUiRunFinished(Shown):
    """The last event, where nothing failed."""

    type: Literal["RUN_FINISHED"]
    threadId: str
    runId: str
    outcome: Annotated[AgUiSuccess | AgUiInterrupted | AgUiCancelled, Field(discriminator="type")]
    usage: list[AgUiUsage] = Field(default_factory=list[AgUiUsage])


class AgUiRunError(Shown):
    """The last event, where something failed. Without an `id:` the stream broke off, and the run may go on."""

    type: Literal["RUN_ERROR"]
    message: str
    code: str
    usage: list[AgUiUsage] = Field(default_factory=list[AgUiUsage])


class AgUiStepStarted(Shown):
    """A model call, or a stage."""

    type: Literal["STEP_STARTED"]
    stepName: str
    metadata: dict[str, str] = Field(default_factory=dict)


class AgUiStepFinished(Shown):
    type: Literal["STEP_FINISHED"]
    stepName: str


class AgUiTextStart(Shown):
    """More of a message that ended may follow under its id."""

    type: Literal["TEXT_MESSAGE_START"]
    messageId: str
    role: Literal["assistant"]


class AgUiTextContent(Shown):
    type: Literal["TEXT_MESSAGE_CONTENT"]
    messageId: str
    delta: str


class AgUiTextEnd(Shown):
    type: Literal["TEXT_MESSAGE_END"]
    messageId: str


class AgUiReasoning(Shown):
    type: Literal["REASONING_START", "REASONING_MESSAGE_END", "REASONING_END"]
    messageId: str


class AgUiReasoningStart(Shown):
    type: Literal["REASONING_MESSAGE_START"]
    messageId: str
    role: Literal["reasoning"]


class AgUiReasoningContent(Shown):
    type: Literal["REASONING_MESSAGE_CONTENT"]
    messageId: str
    delta: str


class AgUiToolCallStart(Shown):
    type: Literal["TOOL_CALL_START"]
    toolCallId: str
    toolCallName: str
    parentMessageId: str


class AgUiToolCallArgs(Shown):
    type: Literal["TOOL_CALL_ARGS"]
    toolCallId: str
    delta: str


class AgUiToolCallEnd(Shown):
    type: Literal["TOOL_CALL_END"]
    toolCallId: str


class AgUiToolCallResult(Shown):
    """`metadata.isError`: the tool failed; `metadata.denied`: somebody said no."""

    type: Literal["TOOL_CALL_RESULT"]
    messageId: str
    toolCallId: str
    content: str
    role: Literal["tool"]
    metadata: JSONObject = Field(default_factory=dict)


class AgUiStateSnapshot(Shown):
    """The state as a run of a pipeline begins."""

    type: Literal["STATE_SNAPSHOT"]
    snapshot: JSON


class AgUiPatch(Shown):
    """An operation of RFC 6902."""

    op: Literal["add", "replace"]
    path: str
    value: JSON


class AgUiStateDelta(Shown):
    type: Literal["STATE_DELTA"]
    delta: list[AgUiPatch]


class AgUiMessagesSnapshot(Shown):
    """What was said before the run that a stream joins."""

    type: Literal["MESSAGES_SNAPSHOT"]
    messages: list[AgUiMessage]


class AgUiCustom(Shown):
    """`progress`: how much of a pipeline is done; `tool-input-available`: for TanStack AI, which runs the tool then."""

    type: Literal["CUSTOM"]
    name: Literal["progress", "tool-input-available"]
    value: JSONObject


type _Frame = (
    AgUiRunStarted
    | AgUiRunFinished
    | AgUiRunError
    | AgUiStepStarted
    | AgUiStepFinished
    | AgUiTextStart
    | AgUiTextContent
    | AgUiTextEnd
    | AgUiReasoning
    | AgUiReasoningStart
    | AgUiReasoningContent
    | AgUiToolCallStart
    | AgUiToolCallArgs
    | AgUiToolCallEnd
    | AgUiToolCallResult
    | AgUiStateSnapshot
    | AgUiStateDelta
    | AgUiMessagesSnapshot
    | AgUiCustom
)


class AgUiFrame(RootModel[Annotated[_Frame, Field(discriminator="type")]]):
    """What follows `data: `."""


OUT = AgUiFrame
WHOLE = AgUiThread
