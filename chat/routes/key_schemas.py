"""What a request for an API key may say."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from chat.credentials import Scope
from chat.schemas.fields import Body, Whole, examples, read_time


def _time(value: object) -> object:
    when = read_time(value) if isinstance(value, str) else value
    if not isinstance(when, datetime):
        raise ValueError("Must be a time in ISO 8601")
    return when


class KeyBody(Body):
    """`POST /api/v1/chat/keys`"""

    model_config = examples({"name": "nightly report", "scopes": ["read"], "days": 30})

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=9)] | None = None
    days: Annotated[Whole, Field(ge=1)] | None = None
    expires_at: Annotated[datetime, BeforeValidator(_time)] | None = None
