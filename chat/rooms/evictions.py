"""Keeps out who was taken out of a session, and everybody when it is deleted.

Each eviction is noted in the store before the membership changes, and struck out when no socket can be left: so it
survives a socket service that is away and the end of this process. The timer goes on with what others left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from chat.errors import ChatError, NotFound
from chat.push.base import PushService, group_of, room_of
from chat.rooms.attendance import Attendance
from chat.rooms.sockets import Sockets
from chat.store.base import ConversationStore
from chat.store.errands_base import Errand, ErrandStore
from chat.telemetry import record
from chat.turns.tasks import TaskSet

AT_ONCE = 5.0  # seconds that the request which takes somebody out waits for their sockets to be closed
AGAIN = (0.3, 1.0, 2.0, 5.0, 10.0, 20.0)  # seconds before each further look: one may just be opening
SETTLED = 60.0  # seconds after which nothing that began before the eviction is still on its way
TAKEN_OUT = "You are no longer a member of this session."
DELETED = "The session was deleted."


class Evictions:
    """Takes sockets out of a session. Those who follow over HTTP are the business of `chat/turns/readers.py`."""

    def __init__(
        self,
        conversations: ConversationStore,
        errands: ErrandStore,
        sockets: Sockets | None,
        dialects: Iterable[str],
    ) -> None:
        self._conversations, self._errands, self._sockets = conversations, errands, sockets
        self._dialects = tuple(dialects)
        self._tasks = TaskSet()

    async def during[T](self, session_id: str, user_id: str, change: Callable[[], Awaitable[T]]) -> T:
        """Make the change that takes a user (or "", everybody) out, and close their sockets. What `change` raises."""
        errand = Errand("evict", session_id, user_id)
        await self._errands.note_errand(errand)
        changed = await change()
        try:
            async with asyncio.timeout(AT_ONCE):
                await self._evict(errand)
        except (ChatError, TimeoutError) as error:
            record("not_evicted_yet", session_id=session_id, error=type(error).__name__)
        self._tasks.spawn(self._again(errand))
        return changed

    def expel(self, session_id: str, user_id: str) -> None:
        """A socket is there of somebody who is no member: it came in while they were taken out."""
        self._tasks.spawn(self._again(Errand("evict", session_id, user_id), at_once=True))

    async def work_off(self) -> None:
        """Go on with what is noted. StoreError."""
        for errand in await self._errands.list_errands("evict"):
            if await self._tried(errand) and errand.age > SETTLED:
                await self._errands.end_errand(errand)

    async def aclose(self) -> None:
        """What is not done is left to the timer."""
        await self._tasks.close()

    async def _again(self, errand: Errand, *, at_once: bool = False) -> None:
        for pause in (0.0, *AGAIN) if at_once else AGAIN:
            await asyncio.sleep(pause)
            await self._tried(errand)

    async def _tried(self, errand: Errand) -> bool:
        try:
            await self._evict(errand)
        except ChatError as error:
            record("not_evicted_yet", session_id=errand.session_id, error=type(error).__name__)
            return False
        return True

    async def _evict(self, errand: Errand) -> None:
        if self._sockets is None or not await self._is_out(errand):
            return
        groups = [room_of(errand.session_id), *(group_of(errand.session_id, each) for each in self._dialects)]
        if errand.user_id:
            await self._evict_user(self._sockets, errand, groups)
        else:
            await _close_all(self._sockets.push, groups)

    async def _is_out(self, errand: Errand) -> bool:
        """They may have been let in again meanwhile, or were never taken out."""
        try:
            session = await self._conversations.load_session(errand.session_id)
        except NotFound:
            return True
        return bool(errand.user_id) and session.role_of(errand.user_id) is None

    async def _evict_user(self, sockets: Sockets, errand: Errand, groups: Iterable[str]) -> None:
        """The groups first: that is quick, and does not depend on the rows of sockets."""
        push, attendance = sockets.push, sockets.attendance
        await asyncio.gather(*(push.remove_user(errand.user_id, group) for group in groups))
        for each in await sockets.presence.connections(errand.session_id):
            if each.user_id == errand.user_id:
                await _close(attendance, push, each.id)
                await attendance.left(each)


async def _close(attendance: Attendance, push: PushService, connection_id: str) -> None:
    await attendance.notice(connection_id, "warning", TAKEN_OUT)
    await push.close(connection_id, TAKEN_OUT)


async def _close_all(push: PushService, groups: Iterable[str]) -> None:
    for group in groups:
        await push.send_to_group(group, {"type": "notice", "level": "warning", "text": DELETED})
        await push.close_group(group, DELETED)
