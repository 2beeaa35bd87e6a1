"""The welcome of a socket comes before anything that its client brings about, which may send at once: the event of its
message then overtakes, or goes to another process than, the one that says that it opened."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from chat.errors import ChatError
from chat.rooms.attendance import Attendance
from chat.store.presence_store import Connection
from chat.telemetry import record, record_error
from chat.turns.tasks import TaskSet

PATIENCE = 2.0  # seconds for which what a socket says waits for its welcome
LOOK = 0.1  # seconds between two looks whether another process has sent it
KEPT = 10_000  # sockets


@dataclass(eq=False, slots=True)
class _Welcome:
    said: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)  # or nobody waits for it any more
    looking: bool = False


class Welcomes:
    """By connection, as far as this process knows. What others have sent is told by the user's row: a socket is open
    there once it was welcomed."""

    def __init__(self, attendance: Attendance) -> None:
        self._is_open = attendance.is_open
        self._known = OrderedDict[str, _Welcome]()
        self._tasks = TaskSet()

    def is_said(self, connection_id: str) -> bool:
        """Whether it was sent here. If not, it is about to be."""
        return self._of(connection_id).said

    def say(self, connection_id: str) -> None:
        """It was sent."""
        welcome = self._of(connection_id)
        welcome.said = True
        welcome.over.set()

    async def over(self, connection: Connection, *, listed: bool) -> None:
        """Wait for it, PATIENCE seconds at most. A socket that is not `listed` stands in no row: if its welcome is not
        known here, another process has it, and need not ask anybody to send it. All that wait go on in their order."""
        if not listed and connection.id not in self._known:
            return
        welcome = self._of(connection.id)
        if not welcome.over.is_set():
            if not welcome.looking:
                welcome.looking = True
                self._tasks.spawn(self._look(welcome, connection, listed=listed))
            await welcome.over.wait()

    async def aclose(self) -> None:
        await self._tasks.close()

    async def _look(self, welcome: _Welcome, connection: Connection, *, listed: bool) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not (welcome.said or (listed and await self._is_open(connection))):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK)
        except (ChatError, TimeoutError) as error:
            record("welcome_not_awaited", connection_id=connection.id, error=type(error).__name__)
        except Exception as error:
            record_error("welcome_not_awaited", error, connection_id=connection.id)
        finally:
            welcome.over.set()

    def _of(self, connection_id: str) -> _Welcome:
        welcome = self._known.setdefault(connection_id, _Welcome())
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return welcome
