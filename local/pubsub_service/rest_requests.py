"""What the calls of the REST API read of a request."""

import orjson
from aiohttp import web

from local.pubsub_service.frames import DATA_TYPES, Payload
from local.pubsub_service.options import MAX_FRAME

METADATA = "x-webpubsub-metadata-"


class Wrong(Exception):
    """A request that cannot be carried out."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_payload(request: web.Request) -> Payload:
    kinds = {media: kind for kind, media in DATA_TYPES.items()}
    kind = kinds.get(request.content_type)
    if kind is None:
        raise Wrong(415, f"{request.content_type} cannot be sent.")
    raw = await request.read()
    if len(raw) > MAX_FRAME:
        raise Wrong(413, f"A message has at most {MAX_FRAME} bytes.")
    if kind == "json":
        try:
            raw = orjson.dumps(orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            raise Wrong(400, f"The body is not JSON: {error}") from None
    lifetime = read_number(request, "messageTtlSeconds", 0)
    if lifetime > 300:
        raise Wrong(400, "messageTtlSeconds is at most 300.")
    metadata = {
        name.lower().removeprefix(METADATA): value
        for name, value in request.headers.items()
        if name.lower().startswith(METADATA)
    }
    return Payload(kind, raw, metadata)


def read_groups(body: bytes) -> tuple[list[str], str]:
    """The groups and the filter of a request for many of them. Wrong."""
    try:
        asked = orjson.loads(body)
        groups, text = asked["groups"], asked.get("filter") or ""
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise Wrong(400, "The body is an object with groups.") from None
    if not isinstance(groups, list) or not all(isinstance(each, str) and each for each in groups):
        raise Wrong(400, "groups is a list of names.")
    return groups, str(text)


def read_number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or (int(text) < 1 and name != "messageTtlSeconds"):
        raise Wrong(400, f"{name} must be a number.")
    return int(text)
