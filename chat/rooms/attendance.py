"""Who is in a room: sockets that come and go, and who types."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from chat.clock import Clock, iso
from chat.errors import ChatError, PushError, TooManyConnections
from chat.events import JSON, JSONObject
from chat.messages import Session
from chat.push.base import PushService
from chat.rooms.rooms import Rooms
from chat.store.presence_base import Connection, Presence, PresenceStore, Ticket
from chat.telemetry import record
from chat.turns.tasks import TaskSet

TYPING = 5.0  # seconds after which nobody types any more who did not say so again
SEEN = 60.0  # seconds between two notes that a socket lives
STALE = timedelta(minutes=10)  # without a note, after which the service is asked whether a socket lives
NEAR = 0.9  # of the sockets that a session may have, from which on those who come are told
REMEMBERED = 10_000  # sockets


class Attendance:
    """Keeps the rows of sockets, and tells the room about people. A user who has several sockets comes with the
    first of them and leaves with the last."""

    def __init__(
        self,
        presence: PresenceStore,
        rooms: Rooms,
        push: PushService,
        clock: Clock,
        *,
        per_session: int,
        per_user: int,
    ) -> None:
        self._presence, self._rooms, self._push, self._clock = presence, rooms, push, clock
        self._per_session, self._per_user = per_session, per_user
        self._typing: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._noted: dict[str, float] = {}  # by connection, when it was last noted
        self._tasks = TaskSet()

    async def admit(self, ticket: Ticket, connection_id: str) -> Connection:
        """Note a socket that is about to open. TooManyConnections."""
        live = await self._presence.connections(ticket.session_id)
        others = [each for each in live if each.id != connection_id]
        if self._is_full(others, ticket.user_id):
            live = await self._without_ghosts(ticket.session_id)
            others = [each for each in live if each.id != connection_id]
        if self._is_full(others, ticket.user_id):
            raise TooManyConnections
        now = self._clock.now()
        connection = Connection(
            connection_id, ticket.session_id, ticket.user_id, ticket.dialect, since=now, seen=now
        )
        await self._presence.enter(connection)
        return connection

    async def arrived(self, connection: Connection) -> Presence:
        """The socket is open. Who is there, with it."""
        present = await self._presence.present(connection.session_id)
        others = [each for each in present.connections if each.id != connection.id]
        if all(each.user_id != connection.user_id for each in others):
            await self._tell_of(connection, "user_joined", len(others) + 1)
        if len(others) + 1 >= NEAR * self._per_session:
            await self.notice(connection.id, "warning", "This session is close to its limit of connections.")
        old = self._clock.now() - STALE
        if any(each.seen < old for each in others):
            self._tasks.spawn(self._without_ghosts(connection.session_id))
        return present

    async def left(self, connection: Connection) -> None:
        """The socket is gone."""
        self._noted.pop(connection.id, None)
        if not await self._presence.leave(connection, self._clock.now()):
            return
        live = await self._presence.connections(connection.session_id)
        if all(each.user_id != connection.user_id for each in live):
            self._stop_typing(connection.session_id, connection.user_id)
            await self._tell_of(connection, "user_left", len(live))
        await self._presence.forget_tickets(connection.session_id, expired_before=self._clock.now())

    def heard(self, connection: Connection) -> None:
        """The socket said something: it lives."""
        now = self._clock.monotonic()
        last = self._noted.setdefault(connection.id, now)
        if now - last >= SEEN:
            self._noted[connection.id] = now
            self._tasks.spawn(self._note(connection))
        if len(self._noted) > REMEMBERED:
            del self._noted[next(iter(self._noted))]

    async def typing(self, session_id: str, user_id: str, *, is_typing: bool) -> None:
        """Tell the others that somebody types; they are told that it ended after TYPING seconds at the latest."""
        before = self._stop_typing(session_id, user_id)
        if is_typing:
            loop = asyncio.get_running_loop()
            self._typing[session_id, user_id] = loop.call_later(
                TYPING, self._typing_ended, session_id, user_id
            )
        if is_typing != before:
            await self._tell_typing(session_id, user_id, is_typing)

    async def notice(self, connection_id: str, level: str, text: str) -> None:
        """A word to one socket. Lost when the service is away."""
        try:
            await self._push.send_to_connection(
                connection_id, {"type": "notice", "level": level, "text": text}
            )
        except PushError as error:
            record("notice_lost", connection_id=connection_id, code=error.code)

    async def tell_user(self, session_id: str, user_id: str, level: str, text: str) -> None:
        """A word to all sockets that a user has in a session."""
        for each in await self._presence.connections(session_id):
            if each.user_id == user_id:
                await self.notice(each.id, level, text)

    async def aclose(self) -> None:
        for timer in self._typing.values():
            timer.cancel()
        await self._tasks.close()

    def _is_full(self, others: list[Connection], user_id: str) -> bool:
        mine = sum(each.user_id == user_id for each in others)
        return len(others) >= self._per_session or mine >= self._per_user

    async def _tell_of(self, connection: Connection, kind: str, count: int) -> None:
        frame: JSONObject = {"type": kind, "user_id": connection.user_id, "connection_count": count}
        await self._rooms.tell(connection.session_id, frame, but_user=connection.user_id)

    async def _tell_typing(self, session_id: str, user_id: str, is_typing: bool) -> None:
        frame: JSONObject = {"type": "typing_indicator", "user_id": user_id, "is_typing": is_typing}
        await self._rooms.tell(session_id, frame, but_user=user_id)

    def _typing_ended(self, session_id: str, user_id: str) -> None:
        if self._stop_typing(session_id, user_id):
            self._tasks.spawn(self._tell_typing(session_id, user_id, False))

    def _stop_typing(self, session_id: str, user_id: str) -> bool:
        """Whether they did."""
        timer = self._typing.pop((session_id, user_id), None)
        if timer is not None:
            timer.cancel()
        return timer is not None

    async def _note(self, connection: Connection) -> None:
        try:
            await self._presence.enter(replace(connection, seen=self._clock.now()))
        except ChatError as error:
            record("socket_not_noted", connection_id=connection.id, code=error.code)

    async def _without_ghosts(self, session_id: str) -> list[Connection]:
        """Who is there, once sockets whose end nobody told us of are gone."""
        old = self._clock.now() - STALE
        live: list[Connection] = []
        for each in await self._presence.connections(session_id):
            if each.seen < old and not await self._lives(each):
                await self.left(each)
            else:
                live.append(each)
        return live

    async def _lives(self, connection: Connection) -> bool:
        try:
            lives = await self._push.exists(connection.id)
        except PushError:
            return True  # nobody can tell
        if lives:
            await self._note(connection)
        return lives


def show_members(session: Session, present: Presence) -> list[JSON]:
    """`[{"user_id", "role", "online", "last_seen"}]`, the owner first."""
    online = {each.user_id for each in present.connections}
    everybody = {session.user_id: "owner", **session.members}
    return [
        {
            "user_id": user_id,
            "role": role,
            "online": user_id in online,
            "last_seen": iso(present.last_seen[user_id]) if user_id in present.last_seen else None,
        }
        for user_id, role in everybody.items()
    ]
