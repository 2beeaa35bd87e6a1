"""What a dialect is: the payloads of one wire protocol, made from events and from nothing else.

Encoders are pure. They read no clock, no random number and no setting, so "go on after payload N" is "encode again and
skip N", on any instance and at any time.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chat.events import JSONObject, NumberedEvent
from chat.messages import Turn


class Encoder(Protocol):
    """Encodes one turn, from its first event on."""

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        """The payloads of one event; often none."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire protocol. `done_marker` is the last frame of its SSE form, if it has one."""

    name: str
    encoder: Callable[[Turn], Encoder]
    done_marker: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
