"""What is said of this dialect in the document: its chunks, and the frames of its sockets around them."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from chat.dialects.ai_sdk.chunk_schemas import OUT as OUT
from chat.dialects.ai_sdk.chunk_schemas import AiSdkFrame
from chat.dialects.ai_sdk.socket_face import AbortFrame, ResumeFrame, SendFrame
from chat.dialects.shape_schemas import Shown


class AiSdkClientFrame(
    RootModel[Annotated[SendFrame | ResumeFrame | AbortFrame, Field(discriminator="type")]]
):
    """What a client says on a socket: WebSocketChatTransport of the AI SDK 7."""


class SocketStart(Shown):
    """The turn is there that a `resume` wants to see."""

    type: Literal["start"]
    requestId: str


class SocketChunk(Shown):
    """`sequence` counts the chunks of the request from 0, without a hole."""

    type: Literal["chunk"]
    requestId: str
    sequence: int
    chunk: AiSdkFrame


class SocketEnd(Shown):
    """There are no more chunks."""

    type: Literal["end"]
    requestId: str


class SocketIdle(Shown):
    """Nothing runs in the chat that a `resume` names."""

    type: Literal["no-active"]
    requestId: str


class SocketError(Shown):
    """The request was refused, or cannot be answered any more: a turn that fails has an `error` chunk instead.
    `requestId` is "" where a frame names none."""

    type: Literal["error"]
    requestId: str
    errorText: str


class AiSdkSocketFrame(
    RootModel[
        Annotated[
            SocketStart | SocketChunk | SocketEnd | SocketIdle | SocketError, Field(discriminator="type")
        ]
    ]
):
    """What a socket says."""


IN = AiSdkClientFrame
SAYS = AiSdkSocketFrame
