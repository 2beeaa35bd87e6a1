"""What callers of the trip planner say (docs/protocol.md, section 4)."""

from typing import Annotated, Literal

import orjson
from pydantic import BeforeValidator, Field

from chat.events import JSONObject
from chat.schemas.fields import Body, Content, Id

LIST_BYTES = 64 * 1024  # of each list that a caller gives, as JSON


def _small(value: object) -> object:
    """They are stored with the turn. Asked before their types are checked, which takes far longer."""
    try:
        size = len(orjson.dumps(value))
    except TypeError:
        raise ValueError("Too deeply nested, or a number is too large") from None
    if size > LIST_BYTES:
        raise ValueError(f"Larger than {LIST_BYTES} bytes of JSON")
    return value


type Objects = Annotated[list[JSONObject], Field(max_length=200), BeforeValidator(_small)]


class PlanBody(Body):
    """`POST /chat`. The three lists are what the caller has from before."""

    message: Content
    pois: Objects = Field(default_factory=list)
    requirements: Objects = Field(default_factory=list)
    plan: Objects = Field(default_factory=list)
    session_id: Id | None = None


class RerunBody(Body):
    """`POST /api/v1/chat/turns/{id}/rerun`"""

    from_stage: Literal["intents", "pois", "requirements", "plan"]
