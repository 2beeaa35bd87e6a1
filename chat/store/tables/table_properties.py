"""What a property can hold: text in chunks, JSON as text, moments, numbers. No I/O and no SDK."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from chat.events import JSON, JSONObject

type Value = str | int | float | bool | bytes | datetime | tuple[int, str]
type Entity = dict[str, Value]
type Stored = Mapping[str, Any]

CHUNK_UNITS = 32_768  # UTF-16 units in a string property


def split_text(text: str) -> Iterator[str]:
    """Pieces that fit into a property each; a surrogate pair is never torn. None for the empty text."""
    start = 0
    while start < len(text):
        piece = text[start : start + CHUNK_UNITS]
        if not piece.isascii() and (excess := utf16_units(piece) - CHUNK_UNITS) > 0:
            piece = _shortened(piece, excess)
        yield piece
        start += len(piece)


def _shortened(piece: str, excess: int) -> str:
    """The piece without so much of its end as takes `excess` units or one more."""
    end = len(piece)
    while excess > 0:
        end -= 1
        excess -= 2 if piece[end] > "\uffff" else 1
    return piece[:end]


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def named(name: str, chunks: Sequence[str]) -> Entity:
    """`name`, `name1`, `name2`, ... for the chunks of a text."""
    return {f"{name}{index or ''}": chunk for index, chunk in enumerate(chunks)}


def chunked(name: str, text: str) -> Entity:
    """A text in as many properties as it needs."""
    return named(name, list(split_text(text)))


def joined(row: Stored, name: str) -> str:
    """The reverse of `chunked`; "" when nothing was stored."""
    chunks = [row.get(name, "")]
    while (chunk := row.get(f"{name}{len(chunks)}")) is not None:
        chunks.append(chunk)
    return "".join(chunks)


def json_chunked(name: str, value: JSON) -> Entity:
    return chunked(name, dumped(value).decode())


def json_object(row: Stored, name: str) -> JSONObject:
    """The object that was stored under this name; {} when there was none."""
    value = loaded(joined(row, name) or "{}")
    return value if isinstance(value, dict) else {}


def dumped(value: JSON) -> bytes:
    """Compact UTF-8 JSON. Lone surrogates, which orjson cannot write, json can; integers of more than 64 bits are
    read back as floats."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def loaded(text: str | bytes) -> JSON:
    """The reverse of `dumped`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def moment(value: datetime) -> datetime:
    """A plain datetime in UTC: the SDK gives a subclass that remembers the text it was read from."""
    value = value.astimezone(UTC)
    return datetime.combine(value.date(), value.timetz())


def integer(value: Any) -> int:
    """An Int32, or an Int64 as the SDK gives it."""
    return int(value[0]) if isinstance(value, tuple) else int(value)


def weight(entity: Entity) -> int:
    """About how many bytes the row takes in a request: the SDK sends JSON in ASCII, and bytes in base 64."""
    return 400 + sum(_value_weight(value) + len(name) + 40 for name, value in entity.items())


def text_weight(text: str) -> int:
    return len(json.dumps(text))


def _value_weight(value: Value) -> int:
    if isinstance(value, str):
        return text_weight(value)
    if isinstance(value, bytes):
        return len(value) * 4 // 3 + 4
    return 40
