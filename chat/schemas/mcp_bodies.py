"""What clients of the Model Context Protocol say at `/api/mcp`, as models."""

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic import ValidationError as PydanticError

from chat.events import JSON
from chat.schemas.fields import MAX_ID, Body, Content, Id, Whole, examples

RPC_IDS = f"Must be a text of at most {MAX_ID} characters, or a whole number of at most 2^53"


def _rpc_id(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """One sentence for both types: pydantic's own tells of each of them, by names that no message has."""
    try:
        return validate(value)
    except PydanticError:
        raise ValueError(RPC_IDS) from None


type RpcId = Annotated[
    Annotated[StrictStr, Field(max_length=MAX_ID)] | Annotated[StrictInt, Field(ge=-(2**53), le=2**53)],
    WrapValidator(_rpc_id),
]
type Limit = Annotated[Whole, Field(ge=1, le=50)]


class McpMessage(BaseModel):
    """One message of JSON-RPC 2.0: with `id` a request, without one a notification. Lists of them are not taken."""

    model_config = examples(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "list_conversations", "arguments": {"limit": 10}},
        },
    )

    jsonrpc: Literal["2.0"]
    id: RpcId = ""
    method: Annotated[str, Field(min_length=1, max_length=200)]
    params: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def is_request(self) -> bool:
        """Whether it wants an answer."""
        return "id" in self.model_fields_set


class Arguments(Body):
    """Of a tool: a name that it does not know is refused, so that a model learns of it."""

    model_config = ConfigDict(extra="forbid")


class ListConversations(Arguments):
    """Lists the conversations of the one who asks, newest first."""

    limit: Annotated[Limit, Field(description="How many, at most 50.")] = 20
    cursor: Annotated[str, Field(description="next_cursor of the page before.", max_length=1000)] = ""


class GetConversation(Arguments):
    """One conversation with its newest messages, oldest first. What an answer that is being written says so far is
    shown, too."""

    conversation_id: Annotated[Id, Field(min_length=1, description="The id of the conversation.")]
    limit: Annotated[Limit, Field(description="How many messages, at most 50.")] = 20
    before: Annotated[Id, Field(description="The id of a message: the ones before it are shown.")] = ""


class Ask(Arguments):
    """Says something in a conversation, or begins one, and waits for the answer. What takes longer than about a minute
    is answered with state "running" and a turn_id: ask again with that turn_id alone. Who stops waiting stops nothing:
    that does the tool stop."""

    text: Annotated[Content | None, Field(description="What to say. Left out with turn_id.")] = None
    conversation_id: Annotated[Id, Field(description="Where to say it; left out begins a conversation.")] = ""
    turn_id: Annotated[
        Id, Field(description="An answer to go on waiting for, instead of saying something.")
    ] = ""


class Stop(Arguments):
    """Stops an answer that is being made; what was said so far is kept."""

    turn_id: Annotated[Id, Field(min_length=1, description="The turn_id of the answer.")]


def show_waiting(call_id: str, name: str, arguments: str, *, needs_approval: bool) -> dict[str, JSON]:
    """A call that waits for somebody, as results show it. `arguments` is JSON text, as the model wrote it."""
    return {
        "call_id": call_id,
        "name": name,
        "arguments": arguments or "{}",
        "needs_approval": needs_approval,
    }
