"""The frames of dialect `chat` as models (docs/protocol.md, section 3)."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from chat.dialects.frames import CancelFields
from chat.dialects.shape_schemas import Seq, Shown
from chat.schemas.fields import Body, Content, Id


class NoPayload(Shown):
    """`{}`"""


class Chunk(Shown):
    """Text is added; with `done` there is no more."""

    text: str
    done: bool


class ChatFailure(Shown):
    """`field` is what was wrong in a frame of the client's."""

    error: str
    code: str
    retryable: bool
    field: str = ""
    retry_after: float = 0  # seconds


class _OfATurn(Shown):
    """`snapshot`: what was said before one came."""

    turn_id: str
    seq: Seq
    snapshot: bool = False


class ChatStart(_OfATurn):
    """The answer begins."""

    type: Literal["chat_start"]
    payload: NoPayload
    session_id: str


class ChatChunk(_OfATurn):
    """Its next words, or its end."""

    type: Literal["chat_chunk"]
    payload: Chunk


class ChatError(Shown):
    """The turn failed; without `turn_id` something else did, which was said on this socket."""

    type: Literal["chat_error"]
    payload: ChatFailure
    turn_id: str = ""
    seq: Seq = 0
    snapshot: bool = False


class ChatFrame(RootModel[Annotated[ChatStart | ChatChunk | ChatError, Field(discriminator="type")]]):
    """What the app says. Other JSON than a client's frames comes back to it as a text, `Echo: ` before it."""


class Said(Body):
    text: Content


class ChatSay(Body):
    """A message to the model."""

    type: Literal["chat"]
    payload: Said


class ChatCancel(Body):
    """Stop the turn that runs, or the one that is named."""

    type: Literal["chat_cancel"]
    payload: CancelFields = Field(default_factory=CancelFields)


class ResumeAfter(Body):
    turn_id: Annotated[Id, Field(min_length=1)]
    after: Seq = 0


class ChatResume(Body):
    """Show me that turn behind the frame with that `seq`."""

    type: Literal["chat_resume"]
    payload: ResumeAfter


class ChatClientFrame(RootModel[Annotated[ChatSay | ChatCancel | ChatResume, Field(discriminator="type")]]):
    """What a client says on a socket."""


OUT = ChatFrame
IN = ChatClientFrame
