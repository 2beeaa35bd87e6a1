"""What the Table service keeps, held before anything is sent: so a stand-in, which lets some of it pass, refuses the
same as the service does, and no write is tried again that can never land.

Source: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

import re
from collections.abc import Sequence
from datetime import datetime

from chat.errors import StoreRefused
from chat.store.tables.table_properties import CHUNK_UNITS, Entity, Value, utf16_units

KEY_UNITS = 512  # UTF-16 units, the 1 KiB that a key may have
BINARY_BYTES = 64 * 1024
ENTITY_BYTES = 1024 * 1024
OPERATIONS = 100  # in one batch
REQUEST_BYTES = 4 * 1024 * 1024
INT32, INT64 = range(-(2**31), 2**31), range(-(2**63), 2**63)
# Halves of characters have no UTF-8, and a key stands in a URL.
BAD_IN_KEYS = re.compile("[\x00-\x1f\x7f-\x9f/\\\\#?\ud800-\udfff]")
KEYS = ("PartitionKey", "RowKey")


def check_batch(entities: Sequence[Entity]) -> None:
    """StoreRefused when the service would not take these rows as one batch."""
    if len(entities) > OPERATIONS:
        raise StoreRefused(details={"limit": f"{OPERATIONS} rows in a batch"})
    for entity in entities:
        check_entity(entity)


def check_entity(entity: Entity) -> None:
    """StoreRefused when the service would not take this row. The values are named, never shown."""
    size = 4
    for name, value in entity.items():
        limit = _broken(name, value)
        if limit:
            raise StoreRefused(details={"property": name, "limit": limit})
        size += 8 + 2 * len(name) + _bytes(value)
    if size > ENTITY_BYTES:
        raise StoreRefused(details={"limit": f"{ENTITY_BYTES} bytes in a row"})


def _broken(name: str, value: Value) -> str:
    """The limit that the value is beyond; "" when it is beyond none."""
    match value:
        case str() if name in KEYS:
            return _broken_key(value)
        case str() if len(value) * 2 > CHUNK_UNITS and utf16_units(value) > CHUNK_UNITS:
            return f"{CHUNK_UNITS} UTF-16 units in a text"
        case bytes() if len(value) > BINARY_BYTES:
            return f"{BINARY_BYTES} bytes"
        case int() if value not in INT32:
            return "32 bits in a number"
        case (int() as number, _) if number not in INT64:
            return "64 bits in a number"
        case _:
            return ""


def can_be_key(text: str) -> bool:
    """Whether there can be a row of that key."""
    return not _broken_key(text)


def _broken_key(key: str) -> str:
    if utf16_units(key) > KEY_UNITS:
        return f"{KEY_UNITS} UTF-16 units in a key"
    return "letters that a key may have" if BAD_IN_KEYS.search(key) else ""


def _bytes(value: Value) -> int:
    match value:
        case str():
            return 4 + 2 * (len(value) if value.isascii() else utf16_units(value))
        case bytes():
            return 4 + len(value)
        case datetime() | tuple() | float():
            return 8
        case _:
            return 4
