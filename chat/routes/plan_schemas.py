"""The request bodies of the trip planner (docs/protocol.md, section 4)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from chat.events import JSONObject
from chat.routes.schemas import Content

type Objects = Annotated[list[JSONObject], Field(max_length=200)]


class PlanBody(BaseModel):
    """`POST /chat`. The three lists are what the caller has from before."""

    message: Content
    pois: Objects = Field(default_factory=list)
    requirements: Objects = Field(default_factory=list)
    plan: Objects = Field(default_factory=list)
    session_id: str | None = None


class RerunBody(BaseModel):
    """`POST /api/v1/chat/turns/{id}/rerun`"""

    from_stage: Literal["intents", "pois", "requirements", "plan"]
