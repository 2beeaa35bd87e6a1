"""Everything of an app that has sockets."""

import hashlib
import hmac
from dataclasses import dataclass, field

from chat.push.base import PushService
from chat.rooms.attendance import Attendance
from chat.rooms.flood import FloodGuard
from chat.rooms.newcomers import Newcomers
from chat.rooms.recent import Recent
from chat.rooms.rooms import Rooms
from chat.store.errand_store import ErrandStore
from chat.store.presence_store import PresenceStore


class StateKeys:
    """By what the state of a socket is signed: a key made from the service's, or where an identity leaves us none, from
    a secret that all instances share."""

    def __init__(self, keys: tuple[str, ...], errands: ErrandStore) -> None:
        self._secret = keys[0] if keys else ""
        self._errands = errands
        self._key = b""

    async def key(self) -> bytes:
        """StoreUnavailable."""
        if not self._key:
            secret = self._secret or await self._errands.secret("socket-state")
            self._key = hmac.digest(secret.encode(), b"parley: the state of a socket, 1", hashlib.sha256)
        return self._key


@dataclass(slots=True)
class Sockets:
    """The service that holds the sockets, who is there, and what they are shown."""

    push: PushService
    presence: PresenceStore
    rooms: Rooms
    attendance: Attendance
    flood: FloodGuard
    state_keys: StateKeys
    host: str = ""  # of the service, in lower case
    keys: tuple[str, ...] = ()  # by which it signs its events; none where an identity is used
    closing: bool = False  # events that still come are for another process
    newcomers: Newcomers = field(default_factory=Newcomers)
    texts: Recent[str] = field(default_factory=Recent[str])  # by turn, what it said so far

    async def aclose(self) -> None:
        """Let what was said last go out."""
        self.closing = True
        await self.texts.aclose()
        await self.rooms.aclose()
        await self.attendance.aclose()
        await self.push.aclose()
