"""Who is in a room: sockets that come and go, and who types."""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta

from chat.clock import Clock
from chat.conversation import MemberRole, Session
from chat.errors import ChatError, PushError, TooManyConnections
from chat.news import Member, Notice, PersonCame, PersonLeft
from chat.push.base import PushService
from chat.rooms.roll import RollCall
from chat.rooms.rooms import Rooms
from chat.rooms.typists import Typists
from chat.store.presence_store import Connection, Person, Presence, PresenceStore, Ticket
from chat.telemetry import record
from chat.turns.tasks import TaskSet

SEEN = 60.0  # seconds between two notes that a socket lives
STALE = timedelta(minutes=10)  # without a note, after which the service is asked whether a socket lives
NEAR = 0.9  # of the sockets that a session may have, from which on those who come are told
REMEMBERED = 10_000  # sockets
SWEPT = 60.0  # seconds between two looks for tickets of a session that nobody used

CLOSE_TO_LIMIT = Notice("warning", "This session is close to its limit of connections.")


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
        self._roll = RollCall(presence, clock)
        self._typists = Typists(presence, rooms, clock)
        self._noted: dict[str, float] = {}  # by connection, when it was last noted
        self._swept: dict[str, float] = {}  # by session, when old tickets were last removed
        self._haunted: set[str] = set()  # sessions in which ghosts are being looked for
        self._tasks = TaskSet()

    async def admit(self, ticket: Ticket, connection_id: str) -> Connection:
        """Note a socket that is about to open. TooManyConnections."""
        now = self._clock.now()
        connection = Connection(
            connection_id, ticket.session_id, ticket.user_id, ticket.dialect, since=now, seen=now
        )
        await self._presence.enter(connection)
        try:
            await self._take_place(connection)
        except ChatError:
            await self._give_up(connection)
            raise
        return connection

    async def present(self, session_id: str) -> Presence:
        """Who is there."""
        return await self._roll.present(session_id)

    async def is_open(self, connection: Connection) -> bool:
        """Whether the socket has arrived, by whichever process's word; also when it is gone."""
        person, _ = await self._change(connection, lambda each: each)
        return person.sockets.get(connection.id, True)

    async def arrived(self, connection: Connection, present: Presence | None = None) -> None:
        """The socket is open, and was welcomed. `present` is who was there just now, where that is known."""
        before, after = await self._change(connection, lambda person: _opened(person, connection.id))
        present = present or await self._roll.present(connection.session_id)
        others = [each for each in present.connections if each.id != connection.id]
        if after.online and not before.online:
            came = PersonCame(connection.user_id, len(others) + 1)
            await self._rooms.news.tell(connection.session_id, came, but_user=connection.user_id)
        if len(others) + 1 >= NEAR * self._per_session:
            await self._rooms.news.notice(connection, CLOSE_TO_LIMIT)
        old = self._clock.now() - STALE
        if any(each.seen < old for each in others):
            self._look_for_ghosts(connection.session_id)

    async def left(self, connection: Connection) -> None:
        """The socket is gone. Nothing of one that was in no session."""
        if not connection.session_id:
            return
        self._noted.pop(connection.id, None)
        now = self._clock.now()
        before, after = await self._change(connection, lambda person: _without(person, connection.id, now))
        await self._presence.leave(connection)
        if before.online and not after.online:
            present = await self._roll.present(connection.session_id)
            if before.types_until is not None and before.types_until > now:
                await self._typists.tell(connection.session_id, connection.user_id, False)
            gone = PersonLeft(connection.user_id, len(present.connections))
            await self._rooms.news.tell(connection.session_id, gone, but_user=connection.user_id)
        if connection.id in before.sockets:
            await self._forget_tickets(connection.session_id)

    def heard(self, connection: Connection) -> None:
        """The socket said something: it lives."""
        if not connection.session_id:
            return
        now = self._clock.monotonic()
        last = self._noted.setdefault(connection.id, now)
        if now - last >= SEEN:
            self._noted[connection.id] = now
            self._tasks.spawn(self._note(connection))
        if len(self._noted) > REMEMBERED:
            del self._noted[next(iter(self._noted))]

    async def typing(self, session_id: str, user_id: str, *, is_typing: bool) -> None:
        """Tell the others that somebody types, or does no more."""
        await self._typists.heard(session_id, user_id, is_typing=is_typing)

    async def tell_user(self, session_id: str, user_id: str, notice: Notice) -> None:
        """A word to all sockets that a user has in a session."""
        for each in await self._presence.connections(session_id):
            if each.user_id == user_id:
                await self._rooms.news.notice(each, notice)

    async def aclose(self) -> None:
        await self._typists.aclose()
        await self._tasks.close()
        await self._roll.aclose()

    async def _take_place(self, connection: Connection) -> None:
        """Its row is written: so of those who come at the same moment, wherever, each counts the others. Of a user's
        sockets one row tells, which one at a time may change."""
        user_id, session_id = connection.user_id, connection.session_id
        if not await self._is_one_of_the_users(connection):
            person, _ = await self._presence.change_person(session_id, user_id, lambda each: each)
            live = {each.id for each in await self._without_ghosts(session_id)}
            gone = person.sockets.keys() - live
            if not await self._is_one_of_the_users(connection, gone):
                raise TooManyConnections
        if await self._sorts_beyond(connection):
            await self._without_ghosts(session_id)
            if await self._sorts_beyond(connection):
                raise TooManyConnections

    async def _is_one_of_the_users(self, connection: Connection, gone: Collection[str] = ()) -> bool:
        """Whether there was a place for it, once those that are gone are left out."""

        def enter(person: Person) -> Person:
            sockets = {name: is_open for name, is_open in person.sockets.items() if name not in gone}
            if connection.id not in sockets and len(sockets) >= self._per_user:
                return person
            return replace(person, sockets={connection.id: False} | sockets)

        _, after = await self._change(connection, enter)
        return connection.id in after.sockets

    async def _sorts_beyond(self, connection: Connection) -> bool:
        """Whether the session is full without it. Among those who come at the same moment the first have a place."""
        present = await self._roll.present(connection.session_id)
        earlier = sum(
            (each.since, each.id) < (connection.since, connection.id) for each in present.connections
        )
        return earlier >= self._per_session

    async def _give_up(self, connection: Connection) -> None:
        """It does not open after all."""
        try:
            await self._change(connection, lambda person: _without(person, connection.id, person.seen))
            await self._presence.leave(connection)
        except ChatError as error:
            record("socket_not_forgotten", connection_id=connection.id, code=error.code)

    async def _change(
        self, connection: Connection, change: Callable[[Person], Person]
    ) -> tuple[Person, Person]:
        return await self._presence.change_person(connection.session_id, connection.user_id, change)

    async def _forget_tickets(self, session_id: str) -> None:
        """Once in a while: all are read."""
        now = self._clock.monotonic()
        if now - self._swept.get(session_id, -SWEPT) >= SWEPT:
            self._swept[session_id] = now
            if len(self._swept) > REMEMBERED:
                del self._swept[next(iter(self._swept))]
            await self._presence.forget_tickets(session_id, expired_before=self._clock.now())

    async def _note(self, connection: Connection) -> None:
        try:
            await self._presence.note(connection.session_id, connection.id, seen=self._clock.now())
        except ChatError as error:
            record("socket_not_noted", connection_id=connection.id, code=error.code)

    def _look_for_ghosts(self, session_id: str) -> None:
        """One look at a time is enough, however many come."""
        if session_id not in self._haunted:
            self._haunted.add(session_id)
            looking = self._tasks.spawn(self._without_ghosts(session_id))
            looking.add_done_callback(lambda _: self._haunted.discard(session_id))

    async def _without_ghosts(self, session_id: str) -> list[Connection]:
        """Who is there, once sockets whose end nobody told us of are gone."""
        old = self._clock.now() - STALE
        live: list[Connection] = []
        for each in (await self._roll.present(session_id)).connections:
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


def _opened(person: Person, name: str) -> Person:
    """With an open socket, unless that has left by now: its two events may overtake each other."""
    return replace(person, sockets={**person.sockets, name: True}) if name in person.sockets else person


def _without(person: Person, name: str, seen: datetime | None) -> Person:
    """Without a socket, if it was there; nobody types who has none."""
    if name not in person.sockets:
        return person
    left = {each: is_open for each, is_open in person.sockets.items() if each != name}
    types = person.types_until if any(left.values()) else None
    return Person(left, seen, types)


def members_of(session: Session, present: Presence) -> tuple[Member, ...]:
    """Who may be in a session, the owner first; nobody who is only invited."""
    online = {each.user_id for each in present.connections}
    everybody: dict[str, MemberRole] = {session.user_id: "owner", **session.members}
    return tuple(
        Member(user_id, role, user_id in online, present.last_seen.get(user_id))
        for user_id, role in everybody.items()
    )
