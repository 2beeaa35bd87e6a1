"""What clients of the AI SDK send: https://ai-sdk.dev/docs/reference/ai-sdk-core/ui-message."""

from typing import Annotated, Any, Literal, cast

from pydantic import AliasChoices, BeforeValidator, Discriminator, FailFast, Field

from chat.schemas.fields import TOOL, Body, Flag, Id, check_json_size, examples, kind_of

MAX_TOOLS = 64
SCHEMA_BYTES = 16 * 1024  # of the parameters of one tool, as JSON

type CallId = Annotated[str, Field(min_length=1, max_length=500)]


class TextPart(Body):
    """What was said."""

    type: Literal["text"]
    text: str = ""


class FilePart(Body):
    """A file, in its URL."""

    type: Literal["file"]
    url: str
    mediaType: Id = ""
    filename: Annotated[str, Field(max_length=500)] = ""


class PartApproval(Body):
    """What somebody said to a call."""

    id: Annotated[str, Field(max_length=600)] = ""
    approved: Flag | None = None
    reason: Annotated[str, Field(max_length=4000)] = ""


class ToolPart(Body):
    """A call of a tool, `tool-<name>` or `dynamic-tool`, as far as it got."""

    type: Id
    toolCallId: CallId
    state: Id = ""
    output: Any = None
    errorText: Annotated[str, Field(max_length=64 * 1024)] = ""
    approval: PartApproval | None = None


class OtherPart(Body):
    """What is for the page alone: reasoning, sources, data, the beginning of a step."""

    type: Id


def _kind(part: Any) -> str:
    kind = cast("dict[str, Any]", part).get("type") if isinstance(part, dict) else getattr(part, "type", None)
    if kind in ("text", "file"):
        return f"<{kind}>"
    is_tool = isinstance(kind, str) and (kind.startswith("tool-") or kind == "dynamic-tool")
    return "<tool>" if is_tool else "<other>"


type Part = Annotated[
    Annotated[TextPart, kind_of("text")]
    | Annotated[FilePart, kind_of("file")]
    | Annotated[ToolPart, kind_of("tool")]
    | Annotated[OtherPart, kind_of("other")],
    Discriminator(_kind),
]


class UIMessage(Body):
    """One message of a page. Those of version 4 have `content`."""

    role: Literal["system", "user", "assistant"]
    id: Id = ""
    parts: Annotated[list[Part], FailFast()] = Field(default_factory=list[Part])
    content: Any = None

    @property
    def text(self) -> str:
        """All of it that was said, as one text."""
        said = "".join(part.text for part in self.parts if isinstance(part, TextPart))
        return said or (self.content if isinstance(self.content, str) else "")


def _small(value: object) -> object:
    return check_json_size(value, SCHEMA_BYTES)


class UITool(Body):
    """A tool that the page runs; `parameters`, or `inputSchema`, is the JSON schema of an object."""

    description: Annotated[str, Field(max_length=1024)] = ""
    parameters: Annotated[dict[str, Any], BeforeValidator(_small)] = Field(
        default_factory=dict[str, Any], validation_alias=AliasChoices("parameters", "inputSchema")
    )


type ToolName = Annotated[str, Field(pattern=TOOL)]


class UIChatBody(Body):
    """`POST /api/chat`: all messages of the page, or the new one alone."""

    model_config = examples(
        {
            "id": "chat-1",
            "trigger": "submit-message",
            "messages": [
                {
                    "id": "m1",
                    "role": "user",
                    "parts": [{"type": "text", "text": "What is our total revenue?"}],
                }
            ],
        },
        {"id": "chat-1", "message": {"role": "user", "parts": [{"type": "text", "text": "And per month?"}]}},
    )

    id: Id = Field("", description="The page's own name of the chat, a session's id, or nothing.")
    messages: Annotated[list[UIMessage], FailFast()] = Field(default_factory=list[UIMessage])
    message: UIMessage | None = None
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    messageId: Id = ""
    tools: Annotated[dict[ToolName, UITool], Field(max_length=MAX_TOOLS)] = Field(
        default_factory=dict[str, UITool], description="Those that the page runs, by their names."
    )
    pipeline: Literal["trip"] | None = None
    uiMessageStream: Literal["v6", "v7"] = Field(
        "v6", description="`v7` says that the client also reads what version 7 of the AI SDK has beyond 6."
    )

    @property
    def listed(self) -> list[UIMessage]:
        """The messages, the new one last."""
        return [*self.messages, self.message] if self.message else self.messages
