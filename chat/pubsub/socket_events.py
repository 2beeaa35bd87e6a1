"""An event of a socket as a value, and what is answered to it.

How they travel is `trigger_json.py` and `cloud_events.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chat.events import JSONObject

type EventKind = Literal["connect", "connected", "disconnected", "user"]

SYSTEM: Mapping[str, EventKind] = {
    "connect": "connect",
    "connected": "connected",
    "disconnected": "disconnected",
}


@dataclass(frozen=True, slots=True)
class SocketEvent:
    """What happened to one socket, or what its client said."""

    kind: EventKind
    name: str
    connection_id: str
    user_id: str
    id: str = ""  # of the event among those of its socket: the same when the service sends it again
    data: str = ""  # of a user event
    states: Mapping[str, str] = field(
        default_factory=dict[str, str]
    )  # what we gave the socket when it connected
    query: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])  # of `connect`
    subprotocols: Sequence[str] = field(default_factory=list[str])  # that the client offers, likewise
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Of `connect`: those of the client's handshake, with names in lower case."""

    def asked(self, name: str) -> str:
        """What `connect` has under this name in its query; "" when there is nothing. The first of several counts that
        is not empty: a gateway adds what is usual behind what a client says."""
        return next(filter(None, self.query.get(name, ())), "")


def lower_names(headers: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Headers, whose names may come in any case."""
    return {name.lower(): values for name, values in headers.items()}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The socket may open."""

    user_id: str
    groups: Sequence[str]
    subprotocol: str
    states: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Said:
    """A frame to the socket that sent the event: an object, or plain text. None says nothing."""

    frame: JSONObject | str | None = None


type Reply = Accepted | Said
