"""The port to a model service: one request in, one stream of pieces out.

An adapter raises only `ProviderError`s, and translates everything its SDK raises.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from chat.calls import ToolCall, ToolDefinition
from chat.events import JSONObject, empty_object
from chat.reply_options import ReplyOptions
from chat.reply_options import ResponseSchema as ResponseSchema
from chat.tokens import estimate_tokens


@dataclass(frozen=True, slots=True)
class ModelMessage:
    """One message of a model's window."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model call. None leaves a parameter to the service; `model` "" means the provider's own, `provider` "" the
    first that is configured. `blamed` are the services that the turn found down: all calls of a turn share it, so that
    a turn counts once however often it asks."""

    messages: tuple[ModelMessage, ...]
    model: str = ""
    provider: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    tools: tuple[ToolDefinition, ...] = ()
    response_schema: ResponseSchema | None = None
    options: ReplyOptions = field(default_factory=ReplyOptions)  # of its caller, without the schema
    extras: JSONObject = field(default_factory=empty_object)
    blamed: set[str] = field(default_factory=set[str], compare=False, repr=False)

    @property
    def estimated_tokens(self) -> int:
        """About how many tokens the messages have."""
        return estimate_tokens(
            *(message.content for message in self.messages),
            *(call.arguments for message in self.messages for call in message.tool_calls),
        )


@dataclass(frozen=True, slots=True)
class ModelChosen:
    """The first piece of every reply: who answers. A router's choice is in the reply, not in the request."""

    model: str
    provider: str = ""  # "" is the provider that was asked


@dataclass(frozen=True, slots=True)
class AttemptLost:
    """A call that failed before it said anything: from what stands above providers and asks again, never from a
    provider itself."""

    provider: str
    model: str
    code: str
    seconds: float
    wait: float = 0.0  # seconds until the next one
    next_provider: str = ""  # "" when the same one is asked again, or nobody
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TextPiece:
    text: str  # never empty


@dataclass(frozen=True, slots=True)
class ReasoningPiece:
    text: str  # never empty


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A piece of the index-th call of this reply; `id` and `name` come with its first piece, "" after. The call is ours
    to run unless a `ServiceOutputPiece` follows."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ServiceOutputPiece:
    """What came of a call that the service ran itself. Its `call_id` and `name` are those of the call's first piece."""

    call_id: str
    name: str
    output: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class UsageReport:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class StopReason:
    reason: Literal["stop", "length", "tool_calls", "content_filter"]


type ModelDelta = (
    ModelChosen
    | AttemptLost
    | TextPiece
    | ReasoningPiece
    | ToolCallPiece
    | ServiceOutputPiece
    | UsageReport
    | StopReason
)


class ModelProvider(Protocol):
    """A model service."""

    @property
    def name(self) -> str:
        """As in `CHAT_PROVIDERS`, for example AZURE."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelDelta]:
        """The reply, piece by piece: `ModelChosen`, then text, reasoning, calls and outputs of those that the
        service ran itself, `StopReason` exactly once, `UsageReport` at most once and last.

        Raises ProviderError. Closing the generator closes the HTTP stream to the service at once. A stream that
        ends without a stop reason is `BadProviderReply`: a cut is never taken for an end.
        """
        ...

    async def aclose(self) -> None:
        """Close what is pooled. Idempotent."""
        ...
