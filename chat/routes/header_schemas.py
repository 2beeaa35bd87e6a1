"""The headers of replies, in the OpenAPI document."""

from collections.abc import Mapping
from typing import Literal

from chat.routes.json_schemas import Schema

type HeaderKind = Literal["turn", "later", "limit"]

TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
ABOUT: Mapping[tuple[HeaderKind, str], tuple[str, Schema]] = {
    ("turn", "x-session-id"): ("The session it belongs to.", TEXT),
    ("turn", "x-turn-id"): ("By which it is followed and stopped.", TEXT),
    ("later", "retry-after"): ("Seconds.", COUNT),
    ("limit", "ratelimit"): ("What is left: draft-ietf-httpapi-ratelimit-headers.", TEXT),
    ("limit", "ratelimit-policy"): ("Of how much in which time: as in the same draft.", TEXT),
    ("limit", "x-ratelimit-limit-requests"): ("Requests that may come at once.", COUNT),
    ("limit", "x-ratelimit-remaining-requests"): ("How many of them are left.", COUNT),
    ("limit", "x-ratelimit-reset-requests"): ("Until all of them are there again: `1h2m3s`.", TEXT),
    ("limit", "x-ratelimit-limit-tokens"): ("Tokens of a day.", COUNT),
    ("limit", "x-ratelimit-remaining-tokens"): ("How many of them are left.", COUNT),
    ("limit", "x-ratelimit-reset-tokens"): ("Until the day ends: `1h2m3s`.", TEXT),
}

HEADERS: Mapping[str, Schema] = {
    name: {"description": about, "schema": schema} for (_, name), (about, schema) in ABOUT.items()
}
"""`components.headers`"""


def headers_of(*kinds: HeaderKind) -> Schema:
    """References to those of these kinds; any of them may be missing in a reply."""
    return {name: {"$ref": f"#/components/headers/{name}"} for kind, name in ABOUT if kind in kinds}
