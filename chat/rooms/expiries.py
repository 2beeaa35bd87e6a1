"""Closes sockets when the credential ends that they were opened with.

When that is stands in an index by time before the socket opens. The process that greets it has a timer for it, which is
exact; the timer function works off what is left, whichever process took the socket and whether it lives.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from chat.clock import Clock
from chat.dialects.base import Dialect
from chat.errors import ChatError, CredentialEnded
from chat.push.base import PushService
from chat.rooms.attendance import Attendance
from chat.store.presence_store import Connection, PresenceStore
from chat.telemetry import record
from chat.turns.tasks import TaskSet

NEAR = 3600.0  # seconds ahead for which a process has timers; the timer function closes later ones, up to a minute late
TIMERS = 10_000  # that one process has


class Expiries:
    """The ends of sockets. None of its calls does anything for one whose credential has no end."""

    def __init__(
        self,
        push: PushService,
        presence: PresenceStore,
        attendance: Attendance,
        dialects: Mapping[str, Dialect],
        clock: Clock,
    ) -> None:
        self._push, self._presence, self._attendance = push, presence, attendance
        self._dialects, self._clock = dialects, clock
        self._timers: dict[str, asyncio.TimerHandle] = {}  # by connection
        self._tasks = TaskSet()

    async def note(self, connection: Connection, ends: datetime | None) -> None:
        """It is about to open. StoreError."""
        if ends is not None:
            await self._presence.note_end(connection, ends)

    def watch(self, connection: Connection, ends: datetime | None) -> None:
        """It is open."""
        left = (ends - self._clock.now()).total_seconds() if ends else NEAR
        if left < NEAR and len(self._timers) < TIMERS:
            self._cancel(connection.id)
            self._timers[connection.id] = asyncio.get_running_loop().call_later(
                max(left, 0.0), lambda: self._tasks.spawn(self.close(connection))
            )

    async def forget(self, connection: Connection, ends: datetime | None) -> None:
        """It left. StoreError."""
        self._cancel(connection.id)
        if ends is not None:
            await self._presence.forget_end(connection, ends)

    async def close(self, connection: Connection) -> bool:
        """Tell it why, and close it. False where a service is away: then the timer function does."""
        self._cancel(connection.id)
        ended = CredentialEnded()
        known = self._dialects.get(connection.dialect)
        try:
            if known is not None:
                await self._push.send_to_connection(connection.id, known.face.error(ended))
            await self._push.close(connection.id, ended.message)
            await self._attendance.left(connection)
        except ChatError as error:
            record("socket_not_ended", connection_id=connection.id, code=error.code)
            return False
        return True

    async def work_off(self, *, now: datetime) -> None:
        """Close those whose end has come. StoreError."""
        await self._presence.work_off_ends(now, self.close)

    async def aclose(self) -> None:
        """What is left is left to the timer function."""
        for connection_id in list(self._timers):
            self._cancel(connection_id)
        await self._tasks.close()

    def _cancel(self, connection_id: str) -> None:
        timer = self._timers.pop(connection_id, None)
        if timer is not None:
            timer.cancel()
