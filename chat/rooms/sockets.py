"""The sockets of an app: those who watch sessions, and the service that holds them; or none of it."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from chat.dialects.base import Dialect
from chat.errors import PushError
from chat.messages import Message
from chat.news import News, Notice
from chat.push.base import PushService
from chat.rooms.attendance import Attendance
from chat.rooms.census import Census
from chat.rooms.evictions import Evictor, SocketEvictor
from chat.rooms.expiries import Expiries
from chat.rooms.flood import FloodGuard
from chat.rooms.newcomers import Newcomers
from chat.rooms.recent import Recent
from chat.rooms.rooms import Rooms
from chat.rooms.welcomes import Welcomes
from chat.store.errand_store import Errand, ErrandStore
from chat.store.presence_store import Presence, PresenceStore
from chat.turns.base import NoWatcher, TurnWatcher
from chat.turns.ports import TurnPorts


class Audience(Evictor, Protocol):
    """Those who watch sessions over sockets, as those know them who do not speak with sockets."""

    @property
    def watcher(self) -> TurnWatcher:
        """Is told of turns, to show them."""
        ...

    def require(self, missing: str = "") -> "Sockets":
        """The sockets themselves. PushError, which says what is `missing`, where there are none."""
        ...

    def tell(self, session_id: str, news: News) -> None:
        """Show the room of a session what changed in it."""
        ...

    def tell_message(self, message: Message) -> None:
        """Show the room a message that was stored beside any turn."""
        ...

    async def tell_user(self, session_id: str, user_id: str, notice: Notice) -> None:
        """A word to all sockets that a user has in a session."""
        ...

    async def present(self, session_id: str) -> Presence:
        """Who is there."""
        ...

    async def count(self, *, anew: bool = False) -> int:
        """How many sockets are open in the whole app: as they were counted last, or `anew`. PushError, StoreError."""
        ...

    async def work_off(self, *, now: datetime) -> None:
        """Go on with what processes that ended left. StoreError."""
        ...

    async def aclose(self) -> None: ...


class NoSockets(Audience):
    """Where no service is configured that holds them: nobody watches."""

    @property
    def watcher(self) -> TurnWatcher:
        return NoWatcher()

    def require(self, missing: str = "") -> "Sockets":
        raise PushError(missing)

    def tell(self, session_id: str, news: News) -> None:
        return

    def tell_message(self, message: Message) -> None:
        return

    async def tell_user(self, session_id: str, user_id: str, notice: Notice) -> None:
        return

    async def present(self, session_id: str) -> Presence:
        return Presence()

    async def evict(self, errand: Errand, connection_id: str = "") -> None:
        return

    async def count(self, *, anew: bool = False) -> int:
        return 0

    async def work_off(self, *, now: datetime) -> None:
        return

    async def aclose(self) -> None:
        return


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
class Sockets(Audience):
    """The service that holds the sockets, who is there, and what they are shown."""

    push: PushService
    presence: PresenceStore
    rooms: Rooms
    attendance: Attendance
    evictor: Evictor
    expiries: Expiries
    flood: FloodGuard
    state_keys: StateKeys
    host: str = ""  # of the service, in lower case
    keys: tuple[str, ...] = ()  # by which it signs its events; none where an identity is used
    closing: bool = False  # events that still come are for another process
    newcomers: Newcomers = field(default_factory=Newcomers)
    texts: Recent[str] = field(default_factory=Recent[str])  # by turn, what it said so far
    census: Census = field(init=False)
    welcomes: Welcomes = field(init=False)

    def __post_init__(self) -> None:
        self.census = Census(self.push, self.presence)
        self.welcomes = Welcomes(self.attendance)

    @property
    def watcher(self) -> TurnWatcher:
        return self.rooms

    def require(self, missing: str = "") -> "Sockets":
        return self

    def tell(self, session_id: str, news: News) -> None:
        self.rooms.news.tell_later(session_id, news)

    def tell_message(self, message: Message) -> None:
        self.rooms.news.tell_message(message)

    async def tell_user(self, session_id: str, user_id: str, notice: Notice) -> None:
        await self.attendance.tell_user(session_id, user_id, notice)

    async def present(self, session_id: str) -> Presence:
        return await self.presence.present(session_id)

    async def evict(self, errand: Errand, connection_id: str = "") -> None:
        await self.evictor.evict(errand, connection_id)

    async def count(self, *, anew: bool = False) -> int:
        return await (self.census.take() if anew else self.census.known())

    async def work_off(self, *, now: datetime) -> None:
        await self.expiries.work_off(now=now)
        await self.rooms.work_off()
        await self.presence.purge_tickets(expired_before=now)

    async def aclose(self) -> None:
        """Let what was said last go out."""
        self.closing = True
        await self.expiries.aclose()
        await self.texts.aclose()
        await self.welcomes.aclose()
        await self.rooms.aclose()
        await self.attendance.aclose()
        await self.push.aclose()


def build_sockets(
    push: PushService,
    presence: PresenceStore,
    ports: TurnPorts,
    dialects: Mapping[str, Dialect],
    *,
    per_session: int,  # sockets
    per_user: int,  # of them in one session
    host: str = "",
    keys: tuple[str, ...] = (),
) -> Sockets:
    """Everything of the sockets over one service."""
    conversations, clock = ports.conversations, ports.clock
    rooms = Rooms(
        push=push,
        presence=presence,
        conversations=conversations,
        turns=ports.turns,
        instances=ports.instances,
        errands=ports.errands,
        dialects=dialects,
    )
    attendance = Attendance(presence, rooms, push, clock, per_session=per_session, per_user=per_user)
    return Sockets(
        push,
        presence,
        rooms,
        attendance,
        SocketEvictor(push, presence, attendance, conversations, rooms, dialects),
        Expiries(push, presence, attendance, dialects, clock),
        FloodGuard(clock.monotonic),
        StateKeys(keys, ports.errands),
        host,
        keys,
    )
