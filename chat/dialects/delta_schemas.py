"""The frames of dialect `delta` as models (docs/protocol.md, section 2)."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from chat.dialects.shape_schemas import Problem, Seq, Shown
from chat.events import JSONObject


class TextDelta(Shown):
    """The next words of the answer."""

    type: Literal["text.delta"]
    delta: str
    seq: Seq


class ToolCall(Shown):
    """The model calls a tool. `arguments_text` is what it wrote, where that is no object."""

    type: Literal["tool.call"]
    name: str
    args: JSONObject
    id: str
    seq: Seq
    arguments_text: str = ""


class ToolApproval(Shown):
    """The call of the same `id` waits until somebody approves it: the turn ends without its output."""

    type: Literal["tool.approval"]
    name: str
    id: str
    seq: Seq


class ToolOutput(Shown):
    """What came of the call of the same `id`. `denied`: somebody said no, and it was not run."""

    type: Literal["tool.output"]
    name: str
    output: str
    id: str
    seq: Seq
    denied: bool = False


class DeltaError(Shown):
    """Before `[DONE]`, where the turn failed. Without `seq` the stream broke off, and the turn may go on."""

    type: Literal["error"]
    message: str
    code: str
    retryable: bool
    retry_after: float = 0  # seconds
    seq: Seq = 0


class DeltaFailure(DeltaError, Problem):
    """The same at the dialect's own door, where the turn failed before it said anything: with all keys of a problem."""


class DeltaFrame(
    RootModel[
        Annotated[TextDelta | ToolCall | ToolApproval | ToolOutput | DeltaError, Field(discriminator="type")]
    ]
):
    """What follows `data: `, but for the last frame of each stream, `[DONE]`."""


OUT = DeltaFrame
FAILED = DeltaFailure
