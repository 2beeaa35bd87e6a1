"""Queries and replies of the routes of responses that were made before, as OpenAI has them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from chat.events import JSONObject
from chat.schemas.fields import Id
from chat.schemas.openai_response import ResponseObject as ResponseObject


class ResponseQuery(BaseModel):
    """`GET /api/openai/v1/responses/{id}`"""

    stream: bool = False
    starting_after: Annotated[int, Field(ge=0, le=99_999_999)] | None = None


class ItemsQuery(BaseModel):
    """`GET /api/openai/v1/responses/{id}/input_items`"""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: Id = ""


class ResponseItems(BaseModel):
    """A page of items."""

    object: Literal["list"]
    data: list[JSONObject]
    first_id: str
    last_id: str
    has_more: bool


class ResponseDeleted(BaseModel):
    id: str
    object: Literal["response"]
    deleted: Literal[True]
