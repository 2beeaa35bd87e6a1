"""Cursors of lists: the key of the last row that was shown, as text that callers need not understand."""

import base64
import binascii
import re

import orjson

from chat.errors import ValidationError


def cursor_after(key: str) -> str:
    """The cursor for what comes after this row."""
    return base64.urlsafe_b64encode(orjson.dumps({"k": key})).decode().rstrip("=")


def read_cursor(cursor: str | None, form: re.Pattern[str]) -> str:
    """The key; "" for the beginning. ValidationError for a cursor that no row of this form gave."""
    if cursor is None:
        return ""
    try:
        value = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
        key = value["k"]
    except (ValueError, TypeError, KeyError, binascii.Error):
        key = None
    if not isinstance(key, str) or not form.fullmatch(key):
        raise ValidationError("cursor", "This is not a cursor of this list")
    return key
