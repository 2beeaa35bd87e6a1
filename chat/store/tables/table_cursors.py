"""Where the next page of a user's sessions begins: a key of the directory as opaque text."""

import base64
import binascii
import re

import orjson

from chat.errors import ValidationError

DIRECTORY_KEY = re.compile(r"\d{13}-[A-Za-z0-9_-]{1,128}")


def show_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"k": key})).decode().rstrip("=")


def read_cursor(cursor: str | None) -> str:
    """The key; "" for None. ValidationError."""
    if cursor is None:
        return ""
    try:
        value = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        key = value["k"]
    except (ValueError, TypeError, KeyError, binascii.Error):
        key = None
    if not isinstance(key, str) or not DIRECTORY_KEY.fullmatch(key):
        raise ValidationError("cursor", "This is not a cursor of this list")
    return key
