"""Everything of an app that has sockets."""

from dataclasses import dataclass, field

from chat.push.base import PushService
from chat.rooms.attendance import Attendance
from chat.rooms.flood import FloodGuard
from chat.rooms.recent import Recent
from chat.rooms.rooms import Rooms
from chat.store.presence_base import PresenceStore


@dataclass(slots=True)
class Sockets:
    """The service that holds the sockets, who is there, and what they are shown."""

    push: PushService
    presence: PresenceStore
    rooms: Rooms
    attendance: Attendance
    flood: FloodGuard
    host: str = ""  # of the service, in lower case
    keys: tuple[str, ...] = ()  # by which it signs its events; none where an identity is used
    closing: bool = False  # events that still come are for another process
    texts: Recent[str] = field(default_factory=Recent[str])  # by turn, what it said so far

    async def aclose(self) -> None:
        """Let what was said last go out."""
        self.closing = True
        await self.texts.aclose()
        await self.rooms.aclose()
        await self.attendance.aclose()
        await self.push.aclose()
