"""Events to rows and back: UTF-8 JSON in binary properties, many events a row, each row named by its last event."""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from chat.errors import StoreRefused
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, event_from_json, event_to_json
from chat.store.tables.table_keys import events_key
from chat.store.tables.table_properties import Entity, Stored, dumped, loaded

PROPERTY_BYTES = 60 * 1024  # of the 64 KiB that a binary property may have
PROPERTIES = 12  # 720 KiB; in base 64, as Azurite measures an entity, 960 KiB of the 1 MiB it may have


def events_to_rows(
    session_id: str, seq: int, events: Sequence[NumberedEvent], *, follows: int = 0
) -> list[Entity]:
    """As few rows as the events fit into. StoreRefused for an event that no row can hold. The last row of a turn says
    after which event the turn ended, `follows`, when that cannot be told from the numbers in it."""
    rows = [
        {"PartitionKey": session_id, "RowKey": events_key(seq, last)} | binary(data)
        for last, data in _batches(events)
    ]
    if len(events) == 1 and events[0].number == TERMINAL_NUMBER:
        rows[0]["follows"] = follows
    return rows


def events_from_rows(rows: Iterable[Stored], *, after: int) -> list[NumberedEvent]:
    """The events above `after`, each once: a batch whose reply got lost may come again inside a longer one."""
    found: list[NumberedEvent] = []
    for row in rows:
        events = [event_from_json(item) for item in cast(list[JSONObject], loaded(bytes_of(row)))]
        follows = row.get("follows", events[0].number - 1 if events else 0)
        while found and found[-1].number > follows:
            found.pop()  # the later row counts: an end fences what a dead process wrote late
        found += [event for event in events if event.number > after]
    return found


def _batches(events: Sequence[NumberedEvent]) -> Iterator[tuple[int, bytes]]:
    """The number of each batch's last event, and the batch as a JSON array."""
    pieces: list[bytes] = []
    size, last = 1, 0
    for event in events:
        piece = dumped(event_to_json(event))
        if pieces and size + len(piece) + 1 > PROPERTY_BYTES:
            yield last, b"[" + b",".join(pieces) + b"]"
            pieces, size = [], 1
        pieces.append(piece)
        size += len(piece) + 1
        last = event.number
    if pieces:
        yield last, b"[" + b",".join(pieces) + b"]"


def binary(data: bytes) -> Entity:
    """Bytes in as many properties as they need. TooLarge for more than a row has."""
    if len(data) > PROPERTY_BYTES * PROPERTIES:
        raise StoreRefused("An event is larger than the store can keep")
    cuts = range(0, len(data), PROPERTY_BYTES)
    return {f"d{index}": data[at : at + PROPERTY_BYTES] for index, at in enumerate(cuts)}


def bytes_of(row: Stored) -> bytes:
    """The reverse of `binary`."""
    pieces: list[bytes] = []
    while (piece := row.get(f"d{len(pieces)}")) is not None:
        pieces.append(piece)
    return b"".join(pieces)
