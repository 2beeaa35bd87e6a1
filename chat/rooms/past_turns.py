"""Turns that ended, for sockets that want to see them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.errors import ChatError, EventsGone, PushRefused
from chat.events import TERMINAL_NUMBER, NumberedEvent
from chat.push.base import PushService
from chat.rooms.ends import shown_once
from chat.rooms.joiners import shown_to
from chat.rooms.room_news import Filling
from chat.store.conversation_store import ConversationStore
from chat.store.instance_store import Join
from chat.store.presence_store import PresenceStore
from chat.store.turn_store import TurnStore
from chat.telemetry import record, record_error
from chat.turns.tasks import TaskSet


class PastTurns:
    """Shows them from the store. `saw` says who was shown all of a turn, where that is known; `enter` puts a socket
    into the group of its session and dialect."""

    def __init__(
        self,
        *,
        push: PushService,
        presence: PresenceStore,
        conversations: ConversationStore,
        turns: TurnStore,
        dialects: Mapping[str, Dialect],
        fill: Filling,
        saw: Callable[[str], set[str] | None],
        enter: Callable[[str, str, str], Awaitable[bool]],
    ) -> None:
        self._push, self._presence, self._turns = push, presence, turns
        self._conversations = conversations
        self._dialects, self._fill, self._saw, self._enter = dialects, fill, saw, enter
        self._resumed: dict[tuple[str, str], Join] = {}  # by socket and turn, what is wished of it
        self._showing: set[tuple[str, str]] = set()
        self._tasks = TaskSet()

    async def show(self, join: Join) -> None:
        """The turn ended before the socket could be shown it, or nobody makes it: the store knows all there is. Of one
        that asks again meanwhile only the newest wish counts: an answer is far larger than a wish.
        EventsGone, StoreUnavailable, PushError."""
        if join.after in (None, TERMINAL_NUMBER):
            return await self._show_whole(join)
        wish = join.connection_id, join.turn_id
        shows, self._resumed[wish] = wish in self._resumed, join
        if shows:
            return None
        try:
            await self._show_whole(join)
        finally:
            newest = self._resumed.pop(wish, join)
        if newest is not join:
            self._tasks.spawn(self.show_later(newest))
        return None

    async def show_later(self, join: Join) -> None:
        """The same, for who shall not wait for it."""
        name = (join.turn_id, join.connection_id)
        if name in self._showing:
            return
        self._showing.add(name)
        try:
            await self.show(join)
        except ChatError as error:
            record("turn_not_shown", turn_id=join.turn_id, code=error.code)
        except Exception as error:
            record_error("turn_not_shown", error, turn_id=join.turn_id)
        finally:
            self._showing.discard(name)

    async def _show_whole(self, join: Join) -> None:
        turn = await self._turns.load_turn(join.turn_id)
        stored = await self._presence.find(turn.session_id, join.connection_id)
        coming = join.after in (None, TERMINAL_NUMBER)
        saw = self._saw(turn.id)  # it may be in the group by the turn after this one
        asked_twice = join.after is not None or saw is None or join.connection_id in saw
        if coming and stored is not None and stored.joined and asked_twice:
            return None
        if join.after is None and saw is not None and join.connection_id in saw:
            # Its gate let it in, which could not be noted: it was shown the end with the others.
            await self._enter(turn.session_id, join.dialect, join.connection_id)
            return None
        events = await self._turns.read_events(turn)
        if not events:
            raise EventsGone(details=turn.ids)
        if stored is None or not coming:
            return await self._send_to(join, turn, events)
        await shown_once(self._presence, stored, turn.id, lambda: self._send_to(join, turn, events))
        await self._enter(turn.session_id, join.dialect, join.connection_id)
        return None

    async def _send_to(self, join: Join, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        dialect = self._dialects[join.dialect]
        lacking = dialect.face.lacks is not None
        known = await self._conversations.load_message(turn.id) if lacking else None
        for payload in shown_to(turn, dialect, events, join):
            with suppress(PushRefused):  # what comes after it is not refused
                filled = await self._fill(dialect, payload, known)
                await self._push.send_to_connection(join.connection_id, filled)

    async def aclose(self, seconds: float) -> None:
        """Let what is on its way go out, and stop."""
        await self._tasks.settle(seconds)
        await self._tasks.close()
