"""Keeps out who was taken out of a session, everybody when it is deleted, and who came by a key that is revoked.

Each eviction is noted in the store before the membership changes, and struck out when no socket can be left: so it
survives a socket service that is away and the end of this process. The timer goes on with what others left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import chain
from typing import Protocol

from chat.dialects.base import Dialect, spoken, watching
from chat.errors import ChatError, CredentialEnded, NotFound
from chat.news import Notice
from chat.push.base import PushService, group_of, key_group, room_of
from chat.rooms.attendance import Attendance
from chat.rooms.rooms import Rooms
from chat.store.conversation_store import ConversationStore
from chat.store.errand_store import Errand, ErrandStore
from chat.store.presence_store import Connection, PresenceStore
from chat.telemetry import record, record_warning
from chat.turns.tasks import TaskSet

AT_ONCE = 5.0  # seconds that the request which takes somebody out waits for their sockets to be closed
AGAIN = (0.3, 1.0, 2.0, 5.0, 10.0, 20.0)  # seconds before each further look: one may just be opening
SETTLED = 60.0  # seconds after which nothing that began before the eviction is still on its way
HOPELESS = 86_400.0  # seconds after which the timer tries no more what the service refuses
TAKEN_OUT = Notice("warning", "You are no longer a member of this session.")
DELETED = Notice("warning", "The session was deleted.")


class Evictor(Protocol):
    """Closes sockets."""

    async def evict(self, errand: Errand, connection_id: str = "") -> None:
        """Those of the user, or of everybody, whom the errand names, and this one, which may stand in no list any more;
        unless they are members all the same. Of a key those that were opened with it. ChatError."""
        ...


class Evictions:
    """Takes sockets out of a session. Those who follow over HTTP are the business of `chat/turns/readers.py`."""

    def __init__(self, errands: ErrandStore, evictor: Evictor) -> None:
        self._errands, self._evictor = errands, evictor
        self._tasks = TaskSet()

    async def during[T](self, session_id: str, user_id: str, change: Callable[[], Awaitable[T]]) -> T:
        """Make the change that takes a user (or "", everybody) out, and close their sockets. What `change` raises."""
        return await self._during(Errand("evict", session_id, user_id), change)

    async def revoke[T](self, key_id: str, change: Callable[[], Awaitable[T]]) -> T:
        """Make the change by which a key opens nothing any more, and close what it opened. What `change` raises."""
        return await self._during(Errand("revoke", key_id), change)

    async def _during[T](self, errand: Errand, change: Callable[[], Awaitable[T]]) -> T:
        await self._errands.note_errand(errand)
        changed = await change()
        try:
            async with asyncio.timeout(AT_ONCE):
                await self._evictor.evict(errand)
        except (ChatError, TimeoutError) as error:
            record("not_evicted_yet", session_id=errand.session_id, error=type(error).__name__)
        self._tasks.spawn(self._again(errand))
        return changed

    def expel(self, connection: Connection) -> None:
        """A socket is there of somebody who is no member: it came in while they were taken out, or it stands in no list
        and no group any more and was not closed."""
        self._tasks.spawn(self._expel(connection))

    async def work_off(self) -> None:
        """Go on with what is noted. StoreError."""
        noted = await self._errands.list_errands("evict"), await self._errands.list_errands("revoke")
        for errand in chain.from_iterable(noted):
            evicted = await self._tried(errand)
            if not evicted and errand.age > HOPELESS:
                record_warning("eviction_given_up", session_id=errand.session_id, user_id=errand.user_id)
            if errand.age > (SETTLED if evicted else HOPELESS):
                await self._errands.end_errand(errand)

    async def aclose(self) -> None:
        """What is not done is left to the timer."""
        await self._tasks.close()

    async def _expel(self, connection: Connection) -> None:
        errand = Errand("evict", connection.session_id, connection.user_id)
        for pause in (0.0, *AGAIN):
            await asyncio.sleep(pause)
            await self._tried(errand, connection.id)

    async def _again(self, errand: Errand) -> None:
        for pause in AGAIN:
            await asyncio.sleep(pause)
            await self._tried(errand)

    async def _tried(self, errand: Errand, connection_id: str = "") -> bool:
        try:
            await self._evictor.evict(errand, connection_id)
        except ChatError as error:
            record("not_evicted_yet", session_id=errand.session_id, error=type(error).__name__)
            return False
        return True


class SocketEvictor(Evictor):
    """Takes sockets out of their groups, and then closes them."""

    def __init__(
        self,
        push: PushService,
        presence: PresenceStore,
        attendance: Attendance,
        conversations: ConversationStore,
        rooms: Rooms,
        dialects: Mapping[str, Dialect],
    ) -> None:
        self._push, self._presence, self._attendance = push, presence, attendance
        self._conversations, self._rooms, self._dialects = conversations, rooms, spoken(dialects)

    async def evict(self, errand: Errand, connection_id: str = "") -> None:
        if errand.kind == "revoke":
            return await self._close_key(errand.session_id)
        push, session_id, user_id = self._push, errand.session_id, errand.user_id
        groups = [each(session_id, name) for each in (room_of, group_of) for name in watching(self._dialects)]
        try:
            session = await self._conversations.load_session(session_id)
        except NotFound:  # whoever is left in a group is found by the group alone, since the rows are gone
            await self._rooms.news.tell(session_id, DELETED)
            await _close_all(push, groups)
        else:  # they may have been let in again meanwhile, or were never taken out
            if not user_id or session.role_of(user_id) is not None:
                return None
            await self._evict_user(errand, groups)
        if connection_id:
            await push.close(connection_id, TAKEN_OUT.text)
        return None

    async def _close_key(self, key_id: str) -> None:
        ended = CredentialEnded()
        for name, dialect in self._dialects.items():
            await self._push.send_to_group(key_group(key_id, name), dialect.face.error(ended))
            await self._push.close_group(key_group(key_id, name), ended.message)

    async def _evict_user(self, errand: Errand, groups: Iterable[str]) -> None:
        """The list is read first: should the session be deleted meanwhile, those who are in no group any more are found
        by nothing else."""
        push = self._push
        listed = await self._presence.connections(errand.session_id)
        await asyncio.gather(*(push.remove_user(errand.user_id, group) for group in groups))
        for each in listed:
            if each.user_id == errand.user_id:
                await self._rooms.news.notice(each, TAKEN_OUT)
                await push.close(each.id, TAKEN_OUT.text)
                await self._attendance.left(each)


async def _close_all(push: PushService, groups: Iterable[str]) -> None:
    for group in groups:
        await push.close_group(group, DELETED.text)
