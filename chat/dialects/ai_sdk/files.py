"""Files in messages: text is read where it is, since a model is shown text alone."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

TEXTS = frozenset(
    f"application/{each}"
    for each in ("json", "xml", "yaml", "x-yaml", "toml", "sql", "javascript", "typescript", "x-ndjson")
)
"""Media types that are text, beside `text/...`, `.../...+json` and `.../...+xml`."""


def read_text_file(url: str, media_type: str = "") -> str:
    """The text of a `data:` URL (RFC 2397). ValueError says why there is none."""
    if url[:5].lower() != "data:":
        raise ValueError("Files are read from data: URLs alone")
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise ValueError("This data: URL has no data")
    named, *parameters = head.lower().split(";")
    kind = (media_type or named or "text/plain").lower().partition(";")[0].strip()
    if not _is_text(kind):
        raise ValueError(f"Only files of text can be read: this one is {kind[:100]}")
    try:
        content = base64.b64decode(data, validate=True) if "base64" in parameters else unquote_to_bytes(data)
        return content.decode("utf-8-sig")
    except (binascii.Error, ValueError):
        raise ValueError("This file is no text in UTF-8") from None


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in TEXTS or kind.endswith(("+json", "+xml"))
