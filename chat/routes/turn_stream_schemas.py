"""What is asked and told of turns as streams (docs/protocols.md)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from chat.dialects.shape_schemas import Shown, Time
from chat.events import JSONObject
from chat.schemas.fields import Body, Id, Whole, examples

HOUR, WEEK = 3600, 7 * 24 * 3600


class TurnStreamQuery(BaseModel):
    """`?cursor=&dialect=&key=&live=&offset=`"""

    offset: Id = Field("", description="What `Stream-Next-Offset` said; `-1` is the start, `now` the end.")
    live: Literal["long-poll", "sse"] | None = Field(None, description="How to wait for what comes.")
    cursor: Id = Field("", description="What `Stream-Cursor` said.")
    dialect: Id = Field("", description="In which the turn is shown.")
    key: Id | None = Field(None, description="That of a link: it needs no other credential.")


class LinkBody(Body):
    """`POST /api/streams/turns/{turn_id}/links`"""

    model_config = examples({"dialect": "delta", "seconds": HOUR})

    dialect: Id = "delta"
    seconds: Annotated[Whole, Field(ge=60, le=WEEK)] = HOUR


class TurnLink(Shown):
    """Where whoever has it may read the turn, and until when."""

    url: str  # without scheme and host
    expires_at: Time


class TurnMessages(RootModel[list[JSONObject]]):
    """The frames of a dialect."""
