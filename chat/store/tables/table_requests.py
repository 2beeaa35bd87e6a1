"""What waiting messages ask for, to rows and back: `q-{seq}-{part}`, UTF-8 JSON in binary properties. No I/O."""

from collections.abc import Iterable

from chat.errors import TooLarge
from chat.events import JSONObject
from chat.requests import TurnRequest
from chat.store.conversation_store import WAITING_SIZE
from chat.store.request_json import request_to_json
from chat.store.tables.table_events import PROPERTIES, PROPERTY_BYTES, binary, bytes_of
from chat.store.tables.table_keys import request_key, seq_of
from chat.store.tables.table_properties import Entity, Stored, dumped, loaded

ROW = PROPERTY_BYTES * PROPERTIES  # bytes


def request_to_rows(session_id: str, seq: int, request: TurnRequest) -> list[Entity]:
    """No row for a request that asks for nothing beside its message. TooLarge."""
    asked = request_to_json(request)
    data = dumped(asked) if asked else b""
    if len(data) > WAITING_SIZE:
        raise TooLarge("The request is larger than what can wait")
    return [
        {"PartitionKey": session_id, "RowKey": request_key(seq, part)} | binary(data[at : at + ROW])
        for part, at in enumerate(range(0, len(data), ROW))
    ]


def requests_from_rows(rows: Iterable[Stored]) -> dict[int, JSONObject]:
    """By the number of the message. The rows come in the order of their keys."""
    found: dict[int, list[bytes]] = {}
    for row in rows:
        found.setdefault(seq_of(row["RowKey"]), []).append(bytes_of(row))
    values = {seq: loaded(b"".join(pieces)) for seq, pieces in found.items()}
    return {seq: value for seq, value in values.items() if isinstance(value, dict)}
