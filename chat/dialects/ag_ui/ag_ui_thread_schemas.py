"""A conversation as clients of AG-UI come back to it: its messages in AG-UI's form, and in that of TanStack AI."""

from typing import Literal

from pydantic import Field

from chat.dialects.shape_schemas import Shown, Time
from chat.events import JSON, JSONObject
from chat.schemas.fields import examples


class AgUiFunction(Shown):
    name: str
    arguments: str


class AgUiToolCall(Shown):
    id: str
    type: Literal["function"]
    function: AgUiFunction


class AgUiMessage(Shown):
    """A message, or with role `tool` what came of a call."""

    id: str
    role: Literal["user", "assistant", "system", "tool"]
    content: str = ""
    toolCalls: list[AgUiToolCall] = Field(default_factory=list[AgUiToolCall])
    toolCallId: str = ""
    error: str = ""


class AgUiPart(Shown):
    """A text, a call of a tool, or what came of one."""

    type: Literal["text", "tool-call", "tool-result"]
    content: str = ""
    id: str = ""
    name: str = ""
    arguments: str = ""
    state: Literal["", "input-complete", "approval-requested", "complete", "error"] = ""
    output: JSON = None
    toolCallId: str = ""
    error: str = ""
    approval: JSONObject = Field(default_factory=dict)


class AgUiShownMessage(Shown):
    id: str
    role: Literal["user", "assistant", "system"]
    parts: list[AgUiPart]
    createdAt: Time


class AgUiActiveRun(Shown):
    """By which `?offset=-1&runId=` joins it."""

    runId: str


class AgUiPage(Shown):
    """`cursor` comes back as `before`, for what is older."""

    truncated: bool
    cursor: str = ""


class AgUiPending(Shown):
    """The interrupts that wait, and the run that ended with them."""

    runId: str
    pending: list[JSONObject]


class AgUiThread(Shown):
    """A conversation as it stands. That of a run that goes on is not among the messages: the run tells it."""

    model_config = examples(
        {
            "messages": [
                {
                    "id": "01M7XPW0CR0G6VR995BYNKAPKH-00000001",
                    "role": "user",
                    "parts": [{"type": "text", "content": "Hello"}],
                    "createdAt": "2026-11-21T00:07:33.016Z",
                }
            ],
            "activeRun": {"runId": "run-1"},
            "interrupts": None,
            "page": {"truncated": False},
        }
    )

    messages: list[AgUiShownMessage]
    activeRun: AgUiActiveRun | None
    interrupts: AgUiPending | None
    page: AgUiPage
