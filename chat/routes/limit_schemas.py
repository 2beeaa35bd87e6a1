"""The bodies of the routes of limits."""

from typing import Annotated

from pydantic import Field

from chat.schemas.fields import Body, Number, Whole, examples


class LimitsBody(Body):
    """`PUT /api/v1/chat/limits/{user_id}`: what is not given, or null, is as the settings say; 0 requests, or
    0 tokens, is without a limit."""

    model_config = examples({"requests": 60, "per_seconds": 60, "tokens_per_day": 100000})

    requests: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    per_seconds: Annotated[Number, Field(ge=0.001, le=31_536_000, allow_inf_nan=False)] | None = None
    tokens_per_day: Annotated[Whole, Field(ge=0, le=10**15)] | None = None
