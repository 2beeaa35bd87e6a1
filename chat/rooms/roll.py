"""Who is in a room, read once for all who ask at the same moment."""

import asyncio
from collections import OrderedDict

from chat.clock import Clock
from chat.store.presence_store import Presence, PresenceStore
from chat.turns.tasks import TaskSet

ROWS = 2000.0  # rows of one room that a process reads in a second, however many ask
ROOMS = 1000  # whose last reading is remembered


class RollCall:
    """Reads the rows of rooms. Whoever comes to a room of 1,000 would otherwise read 1,000 rows."""

    def __init__(self, presence: PresenceStore, clock: Clock) -> None:
        self._presence, self._clock = presence, clock
        self._rooms: OrderedDict[str, _Room] = OrderedDict()
        self._tasks = TaskSet()

    async def present(self, session_id: str) -> Presence:
        """Who is there, by a reading that began after this was asked."""
        room = self._rooms.setdefault(session_id, _Room())
        self._rooms.move_to_end(session_id)
        if len(self._rooms) > ROOMS:
            self._rooms.popitem(last=False)
        if room.next is None:
            room.next = self._tasks.spawn(self._read(session_id, room))
        return await asyncio.shield(room.next)

    async def aclose(self) -> None:
        await self._tasks.close()

    async def _read(self, session_id: str, room: "_Room") -> Presence:
        async with room.lock:
            await asyncio.sleep(max(0.0, room.due - self._clock.monotonic()))
            room.next = None  # who asks from here on gets the next one
            began = self._clock.monotonic()
            present = await self._presence.present(session_id)
            rows = len(present.connections) + len(present.last_seen)
            room.due = began + rows / ROWS
            return present


class _Room:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.next: asyncio.Task[Presence] | None = None
        self.due = 0.0  # when it may be read again
