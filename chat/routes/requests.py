"""Reads requests: bodies as JSON whatever their content type, and fields with errors that name them."""

import asyncio
from typing import Any

import pydantic
from fastapi import Request

from chat.errors import (
    AddressTooLong,
    EncodedBody,
    HeadersTooLarge,
    NotAnObject,
    SlowBody,
    TooLarge,
    ValidationError,
    WithFiles,
)
from chat.schemas.fields import check_id, read_json, validate

# Those of Kestrel, which is before the worker in Azure: what it lets through is not refused here.
MAX_HEADERS = 100  # header lines of a request
MAX_HEADER_BYTES = 32 * 1024  # of all of them, as they are sent
MAX_PATH_BYTES = 4096  # a user id takes up to 3,060
MAX_QUERY_BYTES = 4096  # likewise
BODY = 60.0  # seconds in which a whole body must come

PEEKED = "chat.peeked"  # in the scope of a request, a body that was read before its time


def check_head(request: Request) -> None:
    """AddressTooLong, HeadersTooLarge: asked before anything else is."""
    scope = request.scope
    for name, part, limit in (
        ("path", scope.get("raw_path") or b"", MAX_PATH_BYTES),
        ("query", scope["query_string"], MAX_QUERY_BYTES),
    ):
        if len(part) > limit:
            raise AddressTooLong(f"The {name} is longer than {limit} bytes", details={"limit": limit})
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS:
        raise HeadersTooLarge(f"There are more than {MAX_HEADERS} headers", details={"limit": MAX_HEADERS})
    if (
        sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEADER_BYTES
    ):  # ": " and the line's end
        limit = MAX_HEADER_BYTES
        raise HeadersTooLarge(f"The headers are larger than {limit} bytes", details={"limit": limit})


async def read_bytes(request: Request, *, limit: int) -> bytes:
    """The body. EncodedBody, WithFiles; TooLarge (over `limit` bytes), before it is read where its length is told;
    SlowBody."""
    if (peeked := request.scope.pop(PEEKED, None)) is not None:
        return peeked
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise EncodedBody
    if request.headers.get("content-type", "").strip().lower().startswith("multipart/"):
        raise WithFiles
    too_large = TooLarge(f"The body is larger than {limit} bytes", details={"limit": limit})
    told = request.headers.get("content-length", "")
    if told.isdecimal() and (len(told) > 18 or int(told) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise SlowBody(f"The body did not come within {BODY:.0f} s") from None
    return bytes(body)


async def peek_object(request: Request, *, limit: int) -> dict[str, Any]:
    """The body as a JSON object, where there is one, for whoever is not the one to read it: it can be read once more.
    Raises as `read_object`."""
    body = await read_bytes(request, limit=limit)
    request.scope[PEEKED] = body
    return _object(body or b"{}")


def forget_peeked(request: Request) -> None:
    """What nobody read again, so that it is not kept as long as a stream."""
    request.scope.pop(PEEKED, None)


async def read_object(request: Request, *, limit: int, empty: bytes = b"null") -> dict[str, Any]:
    """The body as a JSON object; `empty` is what no body stands for. Raises as `read_bytes` and `read_json`."""
    return _object(await read_bytes(request, limit=limit) or empty)


def _object(body: bytes) -> dict[str, Any]:
    value = read_json(body, refusal="The body is not JSON")
    if not isinstance(value, dict):
        raise NotAnObject
    return value


async def read_body[Body: pydantic.BaseModel](
    request: Request, model: type[Body], *, limit: int, empty: bytes = b"null"
) -> Body:
    """Both of the above."""
    return validate(model, await read_object(request, limit=limit, empty=empty))


def read_query[Query: pydantic.BaseModel](request: Request, model: type[Query]) -> Query:
    """The query string as its schema; unknown names are ignored, and an empty value is as if it were left out."""
    return validate(model, {name: value for name, value in request.query_params.items() if value})


def read_header(request: Request, name: str) -> str:
    """A header that is a key or a place; "" when it is not there. ValidationError."""
    value = request.headers.get(name, "")
    check_id(name, value)
    return value


def nonce_of(request: Request) -> str:
    """The caller's Idempotency-Key; "" without one. ValidationError."""
    key = read_header(request, "idempotency-key")
    if not key and "idempotency-key" in request.headers:
        raise ValidationError("idempotency-key", "Must not be empty")
    return key


def check_path(request: Request) -> None:
    """ValidationError for an id in the path that can be none. User ids have rules of their own."""
    for name, value in request.path_params.items():
        if name != "user_id":
            check_id(name, str(value))
