"""Reads requests: bodies as JSON whatever their content type, and fields with errors that name them."""

from typing import Any

import orjson
import pydantic
from fastapi import Request

from chat.errors import InvalidBody, TooLarge
from chat.schemas.fields import validate


async def read_object(request: Request, *, limit: int, empty: bytes = b"null") -> dict[str, Any]:
    """The body as a JSON object; `empty` is what no body stands for. InvalidBody, TooLarge (over `limit` bytes)."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge(f"The body is larger than {limit} bytes", details={"limit": limit})
    try:
        value = orjson.loads(bytes(body) or empty)
    except orjson.JSONDecodeError as error:
        raise InvalidBody(f"The body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidBody("The body must be a JSON object")
    return value


async def read_body[Body: pydantic.BaseModel](
    request: Request, model: type[Body], *, limit: int, empty: bytes = b"null"
) -> Body:
    """Both of the above."""
    return validate(model, await read_object(request, limit=limit, empty=empty))


def read_query[Query: pydantic.BaseModel](request: Request, model: type[Query]) -> Query:
    """The query string as its schema; unknown names are ignored."""
    return validate(model, dict(request.query_params))


def nonce_of(request: Request) -> str:
    """The caller's Idempotency-Key, as far as it can be a key."""
    return request.headers.get("idempotency-key", "")[:255]
