"""The frames of dialect `session` as models (docs/protocol.md, section 5)."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from chat.dialects.plan_schemas import Cancel, Ping, Pong, Resume
from chat.dialects.session_frames import ApproveToolFields, SendMessageFields
from chat.dialects.shape_schemas import Failure, Member, Message, Seq, Session, Shown
from chat.events import JSON, JSONObject
from chat.schemas.fields import Body


class _OfATurn(Shown):
    """`snapshot`: what there was before one came."""

    session_id: str
    turn_id: str
    seq: Seq
    snapshot: bool = False


class RunningTurn(Shown):
    """The turn that runs when one comes, with the beginning of its text."""

    id: str
    user_message_id: str
    user_id: str
    text: str
    truncated: bool = False


class ConnectionEstablished(Shown):
    """The first frame of a socket."""

    type: Literal["connection_established"]
    session_id: str
    user_id: str
    connection_id: str
    members: list[Member]
    running_turn: RunningTurn | None


class UserJoined(Shown):
    """The first socket of a user opened, or the last one closed."""

    type: Literal["user_joined", "user_left"]
    session_id: str
    user_id: str
    connection_count: int


class MessageUpdate(Shown):
    """A whole message, whatever the action is: of a turn it has `turn_id` and `seq`."""

    type: Literal["message_update"]
    session_id: str
    message: Message
    action: Literal["new_message", "updated", "deleted", "completed", "failed", "cancelled"]
    turn_id: str = ""
    seq: Seq = 0
    snapshot: bool = False
    error: Failure | None = None
    truncated: bool = False


class MessageDelta(_OfATurn):
    """Text of an answer: `content[:offset] + delta`, in UTF-16 code units."""

    type: Literal["message_delta"]
    message_id: str
    delta: str
    offset: int


class MessageId(Shown):
    id: str


class ToolUpdate(_OfATurn):
    """A tool is called (`call`, with `args`), waits for a yes (`approval`), or has answered (`output`). `denied`:
    somebody said no."""

    type: Literal["tool_update"]
    message: MessageId
    id: str
    name: str
    action: Literal["call", "approval", "output"]
    args: JSON = None
    output: str = ""
    is_error: bool = False
    denied: bool = False


class StageUpdate(_OfATurn):
    """A stage of a plan."""

    type: Literal["stage_update"]
    message: MessageId
    action: Literal["started", "item", "finished", "progress"]
    stage: str = ""
    item: JSON = None
    result: JSON = None
    percent: int = 0


class SessionUpdate(Shown):
    """The session was changed, or who is in it."""

    type: Literal["session_update"]
    session_id: str
    action: Literal["updated", "members"]
    session: Session | None = None
    members: list[Member] | None = None


class TypingIndicator(Shown):
    type: Literal["typing_indicator"]
    session_id: str
    user_id: str
    is_typing: bool


class Notice(Shown):
    """A word to one user."""

    type: Literal["notice"]
    session_id: str
    level: Literal["info", "warning"]
    text: str


class Ack(Shown):
    """To whoever sent `request_id`. Without a turn, the message waits or is only stored."""

    type: Literal["ack"]
    request_id: str
    message_id: str
    turn_id: str | None


class SessionError(Shown):
    """What a client said cannot be done."""

    model_config = ConfigDict(extra="allow")

    type: Literal["error"]
    error: str
    error_code: str
    message: str
    details: JSONObject


type _Frame = (
    ConnectionEstablished
    | UserJoined
    | MessageUpdate
    | MessageDelta
    | ToolUpdate
    | StageUpdate
    | SessionUpdate
    | TypingIndicator
    | Notice
    | Ack
    | SessionError
    | Pong
)


class SessionFrame(RootModel[Annotated[_Frame, Field(discriminator="type")]]):
    """What a room is told."""


class SendMessage(SendMessageFields):
    """Store a message, and start the model unless `reply` is false."""

    type: Literal["send_message"]


class ApproveTool(ApproveToolFields):
    """Answer the calls that wait for an approval, all of them: a turn goes on with what comes of them."""

    type: Literal["approve_tool"]


class Typing(Body):
    type: Literal["typing_start", "typing_stop"]


class SessionClientFrame(
    RootModel[
        Annotated[SendMessage | ApproveTool | Typing | Cancel | Resume | Ping, Field(discriminator="type")]
    ]
):
    """What somebody in a room says."""


OUT = SessionFrame
IN = SessionClientFrame
