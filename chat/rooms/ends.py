"""The ends of turns, told although the process that made or ended them dies.

Before a turn is shown to anybody it is noted that its end is to be told, and struck out when it was. What is left of a
process that died is told by whoever finds the turn dead, or by the timer; one of them at a time.
"""

import asyncio
import functools
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.errors import ChatError, NotFound, PushRefused, StoreError
from chat.events import JSONObject
from chat.push.base import PushService
from chat.rooms.joiners import snapshot_of
from chat.rooms.resending import patiently
from chat.store.errand_store import Errand, ErrandStore
from chat.store.instance_store import InstanceStore
from chat.store.presence_store import Connection, PresenceStore
from chat.store.turn_store import TurnStore
from chat.telemetry import record
from chat.turns.lease import lives
from chat.turns.tasks import TaskSet

NOTING = (0.0, 0.5, 2.0, 5.0)  # seconds before each try to note or strike out an end
YOUNG = 3.0  # seconds for which an end is left to whoever noted it
AT_ONCE = 16  # ends that the timer tells side by side
SENDING = 60.0  # seconds for which a frame is tried again; then the timer goes on


type Enter = Callable[[str, str, str], Awaitable[bool]]  # session, dialect, connection


class Ends:
    """Ends that are owed to sockets."""

    def __init__(
        self,
        *,
        push: PushService,
        presence: PresenceStore,
        turns: TurnStore,
        instances: InstanceStore,
        errands: ErrandStore,
        dialects: Mapping[str, Dialect],
        fill: Callable[[Dialect, JSONObject], Awaitable[JSONObject]],
        enter: Enter,
    ) -> None:
        self._push, self._presence, self._turns = push, presence, turns
        self._instances, self._errands = instances, errands
        self._dialects = dialects
        self._fill, self._enter = fill, enter
        self._noting: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskSet()

    def watch(self, turn: Turn) -> None:
        """Somebody is shown the turn: its end is owed."""
        noting = self._noting[turn.id] = self._tasks.spawn(
            _tried(self._errands.note_errand, turn, "end_not_noted")
        )
        noting.add_done_callback(lambda _: self._noting.pop(turn.id, None))

    def told(self, turn: Turn) -> None:
        """Its gates have sent it."""
        self._tasks.spawn(self._strike_out(turn))

    async def tell(self, turn: Turn, listed: Errand | None = None) -> None:
        """The end of a turn whose process died, to everybody who saw it begin, unless it was `listed` as owed and was
        told since. What fails is left to the timer."""
        errand = listed or _errand(turn)
        try:
            if await self._errands.claim_errand(errand):
                await self._tell(turn)
                await self._errands.end_errand(_errand(turn))
        except ChatError as error:
            record("end_not_told", turn_id=turn.id, code=error.code)

    def died(self) -> None:
        """An instance was found dead: what it owed is told now, and not with the timer's next round."""
        self._tasks.spawn(self._after_a_death())

    async def work_off(self) -> None:
        """Tell what is noted, and nobody alive tells. StoreError."""
        owed = [each for each in await self._errands.list_errands("tell") if each.age >= YOUNG]
        for group in itertools.batched(owed, AT_ONCE, strict=False):
            await asyncio.gather(*(self._work_off(each) for each in group))

    async def aclose(self) -> None:
        await self._tasks.settle(0.5)
        await self._tasks.close()

    async def _work_off(self, errand: Errand) -> None:
        try:
            turn = await self._turns.load_turn(errand.turn_id)
        except NotFound:
            await self._errands.end_errand(errand)
            return
        if not turn.running and not await lives(self._instances, turn.instance_id):
            await self.tell(turn, errand)

    async def _after_a_death(self) -> None:
        try:
            await self.work_off()
        except StoreError as error:
            record("ends_not_told", code=error.code)

    async def _strike_out(self, turn: Turn) -> None:
        if (noting := self._noting.get(turn.id)) is not None:
            await noting
        await _tried(self._errands.end_errand, turn, "end_not_struck_out")

    async def _tell(self, turn: Turn) -> None:
        """As a snapshot: nobody knows how much of it each socket saw. To each by itself, since they come and go
        meanwhile; who came when it had ended needs no word of it."""
        events, ended_at = await self._turns.read_events(turn), turn.ended_at
        frames: dict[str, list[JSONObject]] = {}
        owed = [
            each
            for each in await self._presence.connections(turn.session_id)
            if self._dialects.get(each.dialect) and (ended_at is None or each.since <= ended_at)
        ]
        for name in {each.dialect for each in owed}:
            frames[name] = [
                await self._fill(self._dialects[name], each)
                for each in snapshot_of(turn, self._dialects[name], events)
            ]
        for group in itertools.batched(owed, AT_ONCE, strict=False):
            await asyncio.gather(*(self._tell_one(turn, each, frames[each.dialect]) for each in group))

    async def _tell_one(self, turn: Turn, listed: Connection, frames: Iterable[JSONObject]) -> None:
        socket = await self._presence.find(turn.session_id, listed.id)
        if socket is None:
            return
        send = functools.partial(self._push.send_to_connection, socket.id)
        await shown_once(self._presence, socket, turn.id, lambda: _send(frames, send))
        if not socket.joined:
            await self._enter(turn.session_id, socket.dialect, socket.id)


async def shown_once(
    presence: PresenceStore, socket: Connection, turn_id: str, show: Callable[[], Awaitable[None]]
) -> None:
    """Show a socket the end of a turn, unless somebody else did or is about to: each notes it first."""
    if not await presence.learn(socket.session_id, socket.id, turn_id):
        return
    try:
        await show()
    except BaseException:
        with suppress(ChatError):
            await presence.note(socket.session_id, socket.id, knows=socket.knows)
        raise


async def _send(frames: Iterable[JSONObject], send: Callable[[JSONObject], Awaitable[object]]) -> None:
    for frame in frames:
        with suppress(PushRefused):  # what comes after it is not refused
            await patiently(lambda frame=frame: send(frame), SENDING)


async def _tried(write: Callable[[Errand], Awaitable[None]], turn: Turn, failure: str) -> None:
    for pause in NOTING:
        await asyncio.sleep(pause)
        try:
            return await write(_errand(turn))
        except StoreError as error:
            record(failure, turn_id=turn.id, code=error.code)
    return None


def _errand(turn: Turn) -> Errand:
    return Errand("tell", turn.session_id, turn_id=turn.id)
