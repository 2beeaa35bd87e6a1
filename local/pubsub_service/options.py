"""What the stand-in is told when it starts, and may be told later for a test."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

# The key of Microsoft's emulator, so that either can serve the same settings.
KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"
KEY_SETTING = "PARLEY_PUBSUB_KEY"  # in the environment, where other users of the machine do not see it
HANDLER_SETTING = "PARLEY_PUBSUB_HANDLER"
SYSTEM_EVENTS = ("connect", "connected", "disconnected")
MAX_FRAME = 1024 * 1024  # bytes of one client frame


@dataclass(frozen=True, slots=True)
class Handler:
    """Where a hub's events go. `{hub}` and `{event}` in the URL are filled in.

    Several URLs, with spaces between, are called in turn, as a load balancer before several instances would.
    """

    url: str
    system_events: Sequence[str] = SYSTEM_EVENTS
    user_events: str = "*"  # all of them, or names with commas between

    def takes(self, kind: str, name: str) -> bool:
        """Whether events of that kind (`sys` or `user`) and name are for this handler."""
        names = self.system_events if kind == "sys" else self.user_events.split(",")
        return "*" in names or name.lower() in (each.strip().lower() for each in names)


@dataclass(slots=True)
class Options:
    """Times are seconds. `control.py` says which of them tests may change while it runs."""

    key: str = KEY
    host: str = "127.0.0.1"
    port: int = 0
    handlers: Mapping[str, Sequence[Handler]] = field(default_factory=dict[str, Sequence[Handler]])
    anonymous: Collection[str] = ()  # hubs with `anonymousConnectPolicy: allow`: their clients need no token
    recovery: float = 30.0  # for which a reliable client that was cut off is remembered
    max_queued: int = 1000  # messages that a client has not taken yet
    max_queued_bytes: int = 16 * 1024 * 1024
    retry_pauses: Sequence[float] = (1.0, 3.0, 5.0)  # between calls of a handler that fails
    handler_timeout: float = 100.0
    failed_events: Literal["ack", "drop"] = "ack"  # what a client sees of an event whose handler failed
    send_delay: float = 0.0  # before a REST send is carried out
    ack_delay: float = 0.0

    def connection_string(self, url: str) -> str:
        """As an app's settings want it."""
        return f"Endpoint={url};AccessKey={self.key};Version=1.0;"
