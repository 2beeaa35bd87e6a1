"""What is asked and answered beside the door of the AI SDK."""

from typing import Annotated

from pydantic import BaseModel, Field

from chat.dialects.shape_schemas import Shown
from chat.schemas.fields import Body, Id, examples


class UIStopBody(Body):
    """`POST /api/chat/{id}/stop`; may be empty."""

    model_config = examples({"activeStreamId": "01M7XNHA5XT5A9JSFT52QBJFGY-00000002"})

    activeStreamId: Id = Field("", description="The turn that is meant: another one is not stopped.")


class UIStopped(Shown):
    """It runs no more, or never did."""

    success: bool


class UIResumeQuery(BaseModel):
    """`?startIndex=`"""

    startIndex: Annotated[int, Field(ge=-(10**9), le=10**9)] | None = Field(
        None, description="How many chunks the client has; a negative number counts from the newest."
    )
