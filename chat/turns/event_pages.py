"""A growing list of events whose older part is kept packed.

Every reader in the process may begin at a turn's first event, but nearly all of them read the newest: the rest waits
as compressed JSON, a tenth of the size of the objects (docs/decisions/0007).
"""

import zlib

import orjson

from chat.events import NumberedEvent, TurnEvent, event_from_json, event_to_json

PAGE = 64  # events that are packed together; as many again stay as they are
LEVEL = 1  # of compression: 9 takes twice the time for a few bytes


class EventPages:
    """Events by their place, from 0."""

    def __init__(self) -> None:
        self._packed: list[bytes] = []  # a PAGE of events each
        self._recent: list[TurnEvent] = []

    def __len__(self) -> int:
        return len(self._packed) * PAGE + len(self._recent)

    @property
    def last(self) -> TurnEvent:
        """The newest event. IndexError when there is none."""
        return self._recent[-1]

    def append(self, event: TurnEvent) -> None:
        """Add an event."""
        self._recent.append(event)
        if len(self._recent) == 2 * PAGE:
            self._packed.append(_pack(self._recent[:PAGE]))
            del self._recent[:PAGE]

    def since(self, place: int) -> list[TurnEvent]:
        """The events from that place on."""
        first = len(self._packed) * PAGE  # the place of the first that is not packed
        if place >= first:
            return self._recent[place - first :]
        page, skipped = divmod(place, PAGE)
        older = [event for packed in self._packed[page:] for event in _unpack(packed)]
        return older[skipped:] + self._recent


def _pack(events: list[TurnEvent]) -> bytes:
    return zlib.compress(orjson.dumps([event_to_json(NumberedEvent(0, event)) for event in events]), LEVEL)


def _unpack(packed: bytes) -> list[TurnEvent]:
    return [event_from_json(row).event for row in orjson.loads(zlib.decompress(packed))]
