"""Sockets on their way in: each is shown the turn that runs, and then what comes."""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from chat.conversation import Turn
from chat.errors import ChatError, EventsGone, NotFound, PushError
from chat.events import TERMINAL_NUMBER
from chat.push.base import PushService
from chat.store.conversation_store import ConversationStore
from chat.store.instance_store import Join
from chat.store.presence_store import Connection, PresenceStore
from chat.store.turn_store import TurnStore
from chat.telemetry import record, record_error
from chat.turns.tasks import TaskSet

LOOKS = (
    1.5,
    1.0,
    2.0,
    4.0,
    8.0,
    15.0,
    30.0,
    60.0,
    60.0,
    120.0,
    120.0,
    180.0,
)  # seconds between looks whether it is in


class Door(Protocol):
    """What lets sockets in."""

    def show(self, turn: Turn, join: Join, *, by_maker: bool) -> Awaitable[None]: ...

    def enter(self, session_id: str, dialect: str, connection_id: str) -> Awaitable[bool]: ...


class Arrivals:
    """Whoever takes the event of a socket that opened looks until it is in, whatever becomes of the process that makes
    the turn. It gives up after ten minutes; the next turn of the session finds the socket by its row."""

    def __init__(
        self,
        door: Door,
        push: PushService,
        presence: PresenceStore,
        conversations: ConversationStore,
        turns: TurnStore,
    ) -> None:
        self._door, self._push, self._presence = door, push, presence
        self._conversations, self._turns = conversations, turns
        self._tasks = TaskSet()

    def let_in(self, connection: Connection, turn_id: str, *, whole: bool) -> None:
        """Show a socket a turn (or, if not `whole`, wait for its end), and all that come after it; without a turn those
        alone. Returns at once."""
        self._tasks.spawn(self._let_in(connection, turn_id, whole=whole))

    async def aclose(self) -> None:
        await self._tasks.close()

    async def _let_in(self, connection: Connection, turn_id: str, *, whole: bool) -> None:
        for tries, pause in enumerate(LOOKS):
            try:
                if tries:  # another one may run by now
                    session = await self._conversations.load_session(connection.session_id)
                    whole = whole or bool(session.running_turn)
                    turn_id = session.running_turn or turn_id
                join = Join(turn_id, connection.id, connection.dialect, None if whole else TERMINAL_NUMBER)
                if await self._is_in(connection, join):
                    return
            except NotFound:  # the session was deleted
                await self._close(connection)
                return
            except ChatError as error:
                record("socket_not_let_in", connection_id=connection.id, code=error.code)
            except Exception as error:
                record_error("socket_not_let_in", error, connection_id=connection.id)
            await asyncio.sleep(pause)
        record("socket_given_up", connection_id=connection.id)

    async def _is_in(self, connection: Connection, join: Join) -> bool:
        """Whether it is in, or gone. Else whoever can is asked to let it in, which takes a moment."""
        stored = await self._presence.find(connection.session_id, connection.id)
        if stored is None:  # it left, or was taken out before it was in: then it is still open
            await self._close(connection)
            return True
        if stored.joined:
            return True
        if join.turn_id:
            try:
                turn = await self._turns.load_turn(join.turn_id)
                await self._door.show(turn, join, by_maker=True)
                return False
            except (EventsGone, NotFound):
                pass  # there is nothing to show of it
        return await self._door.enter(connection.session_id, connection.dialect, connection.id)

    async def _close(self, connection: Connection) -> None:
        try:
            await self._push.close(connection.id, "You are not in this session.")
        except PushError as error:
            record("socket_not_closed", connection_id=connection.id, code=error.code)
