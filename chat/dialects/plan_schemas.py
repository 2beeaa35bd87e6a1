"""The frames of dialect `plan` as models (docs/protocol.md, section 4)."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from chat.dialects.frames import CancelFields
from chat.dialects.plan import PlanBody
from chat.dialects.shape_schemas import Intent, Poi, Seq, Shown, TripOption, TripRequirement
from chat.schemas.fields import Body, Id


class _OfATurn(Shown):
    """The first frame of a turn has `session_id`. `snapshot`: what there was before one came."""

    turn_id: str
    seq: Seq
    session_id: str = ""
    snapshot: bool = False


class PlanIntents(_OfATurn):
    """What the message wants."""

    type: Literal["intents"]
    data: list[Intent]


class PlanPoi(_OfATurn):
    """A place, as it is found."""

    type: Literal["poi"]
    data: Poi


class PlanPois(_OfATurn):
    """All places of the trip."""

    type: Literal["pois"]
    data: list[Poi]


class PlanRequirements(_OfATurn):
    """All requirements of the trip."""

    type: Literal["requirements"]
    data: list[TripRequirement]


class PlanOptions(_OfATurn):
    """The plans to choose among."""

    type: Literal["plan"]
    data: list[TripOption]


class PlanProgress(_OfATurn):
    """How much is done."""

    type: Literal["progress"]
    percent: Annotated[int, Field(ge=0, le=100)]


class PlanDone(_OfATurn):
    """The last frame, where nothing failed."""

    type: Literal["done"]


class PlanError(Shown):
    """The last frame of a turn that failed or was stopped; without `turn_id` something else failed. `field` is what
    was wrong in a frame of the client's."""

    type: Literal["error"]
    message: str
    code: str
    retryable: bool = False
    field: str = ""
    retry_after: float = 0  # seconds
    turn_id: str = ""
    seq: Seq = 0
    session_id: str = ""
    snapshot: bool = False


class Pong(Shown):
    type: Literal["pong"]


type _Frame = (
    PlanIntents
    | PlanPoi
    | PlanPois
    | PlanRequirements
    | PlanOptions
    | PlanProgress
    | PlanDone
    | PlanError
    | Pong
)


class PlanFrame(RootModel[Annotated[_Frame, Field(discriminator="type")]]):
    """What the app says."""


class Cancel(CancelFields):
    """Stop the turn that runs, or the one that is named."""

    type: Literal["cancel"]


class Resume(Body):
    """Show me that turn behind the frame with that `seq`."""

    type: Literal["resume"]
    turn_id: Annotated[Id, Field(min_length=1)]
    after: Seq = 0


class Ping(Body):
    type: Literal["ping"]


class PlanClientFrame(RootModel[PlanBody | Cancel | Resume | Ping]):
    """What a client says on a socket: a message, which has no `type`, or one of the others."""


OUT = PlanFrame
IN = PlanClientFrame
