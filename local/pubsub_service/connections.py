"""A client as the service knows it. It outlives its socket when the protocol is the reliable one."""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from http.cookies import SimpleCookie

from local.pubsub_service.frames import JSON_PROTOCOL, PONG, RELIABLE_PROTOCOL, Message
from local.pubsub_service.lines import SLOW, Line
from local.pubsub_service.options import Options
from local.pubsub_service.permissions import Permissions

ACKS_KEPT = 10_000  # ack ids of a connection that are told from new ones


class Connection:
    """One client: `protocol` is "" for a simple one."""

    def __init__(
        self, options: Options, *, hub: str, user_id: str, protocol: str, permissions: Permissions
    ) -> None:
        self.id = secrets.token_urlsafe(18)
        self.hub, self.user_id, self.protocol = hub, user_id, protocol
        self.permissions = permissions
        self.groups: dict[str, None] = {}
        self.state = ""  # opaque: what handlers keep with the connection
        self.cookies = SimpleCookie()
        self.expiring: asyncio.TimerHandle | None = None
        self.line: Line | None = None
        self._options = options
        self._acked: OrderedDict[int, None] = OrderedDict()
        self._events = 0
        self._sequence = 0
        self._unacked: deque[tuple[int, str]] = deque()
        self._unacked_bytes = 0

    @property
    def has_frames(self) -> bool:
        """Whether it speaks a JSON protocol, and gets more than payloads."""
        return self.protocol in (JSON_PROTOCOL, RELIABLE_PROTOCOL)

    @property
    def reliable(self) -> bool:
        return self.protocol == RELIABLE_PROTOCOL

    @property
    def queued(self) -> int:
        """Messages that the client has not taken yet."""
        return len(self._unacked) if self.reliable else self.line.behind if self.line else 0

    def next_event(self) -> int:
        """The number of its next upstream event: `connect` is 0."""
        self._events += 1
        return self._events

    def deliver(self, message: Message) -> None:
        """Give it a message: at once, or when it is back."""
        if self.reliable:
            self._keep(message)
        elif self.line is not None:
            self.line.put(message.frame() if self.has_frames else message.bare)

    def put(self, frame: str) -> None:
        """A frame that is not kept: acks, pongs, system frames."""
        if self.line is not None:
            self.line.put(frame)

    def pong(self) -> None:
        self.put(PONG)

    def attach(self, line: Line) -> None:
        """A socket for it: what the client did not acknowledge comes again."""
        if self.expiring is not None:
            self.expiring.cancel()
            self.expiring = None
        self.line = line
        for _, frame in self._unacked:
            line.put(frame)

    def acknowledge(self, sequence_id: int) -> None:
        """The client has everything up to this message."""
        while self._unacked and self._unacked[0][0] <= sequence_id:
            self._unacked_bytes -= len(self._unacked.popleft()[1])

    @property
    def overflowed(self) -> bool:
        """Whether more is queued for it than the service keeps."""
        return (
            len(self._unacked) > self._options.max_queued
            or self._unacked_bytes > self._options.max_queued_bytes
        )

    def is_done(self, ack_id: int) -> bool:
        """Whether what has this ack id was done before."""
        return ack_id in self._acked

    def done(self, ack_id: int) -> None:
        self._acked[ack_id] = None
        if len(self._acked) > ACKS_KEPT:
            self._acked.popitem(last=False)

    def close(self, code: int, reason: str) -> None:
        if self.line is not None:
            self.line.close(code, reason)

    def shown(self) -> Mapping[str, object]:
        """For tests to look at."""
        return {
            "connectionId": self.id,
            "userId": self.user_id or None,
            "hub": self.hub,
            "protocol": self.protocol,
            "groups": list(self.groups),
            "queued": self.queued,
            "alive": self.line is not None,
        }

    def _keep(self, message: Message) -> None:
        if self.overflowed:
            return
        self._sequence += 1
        frame = message.frame(self._sequence)
        self._unacked.append((self._sequence, frame))
        self._unacked_bytes += len(frame)
        if self.line is not None:
            self.line.put(frame)
        if self.overflowed:
            self.close(SLOW, "The message queue is full")
