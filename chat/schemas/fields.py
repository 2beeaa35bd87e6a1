"""Fields that HTTP bodies and the frames of sockets share, and errors that name them."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from chat.errors import TooLarge, ValidationError


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("Message content cannot be empty")
    return text


type Content = Annotated[str, pydantic.AfterValidator(_said)]


def validate[Body: pydantic.BaseModel](model: type[Body], value: Mapping[str, Any]) -> Body:
    """The body as its schema. ValidationError names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise ValidationError(field, first["msg"].removeprefix("Value error, ")) from None


def check_size(field: str, text: str, *, limit: int) -> None:
    """TooLarge when the text has more than `limit` bytes as UTF-8."""
    if len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit):
        raise TooLarge(f"{field} is larger than {limit} bytes", details={"field": field, "limit": limit})
