"""Who types in a room, told by whichever process hears of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from chat.clock import Clock
from chat.errors import ChatError
from chat.news import PersonTypes
from chat.rooms.rooms import Rooms
from chat.store.presence_store import Person, PresenceStore
from chat.telemetry import record
from chat.turns.tasks import TaskSet

TYPING = 5.0  # seconds after which nobody types any more who did not say so again


class Typists:
    """Until when somebody types stands in their row, which one process at a time changes: who changes it tells."""

    def __init__(self, presence: PresenceStore, rooms: Rooms, clock: Clock) -> None:
        self._presence, self._rooms, self._clock = presence, rooms, clock
        self._typing: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._tasks = TaskSet()

    async def heard(self, session_id: str, user_id: str, *, is_typing: bool) -> None:
        """Tell the others that somebody types; they are told that it ended after TYPING seconds at the latest. Which
        process hears the beginning and which the end does not matter. Lost when the store is away."""
        now = self._clock.now()
        until = now + timedelta(seconds=TYPING) if is_typing else None
        try:
            before, _ = await self._presence.change_person(
                session_id, user_id, lambda person: replace(person, types_until=until)
            )
        except ChatError as error:
            record("typing_lost", session_id=session_id, code=error.code)
            return
        self._look_later(session_id, user_id, is_typing=is_typing)
        typed = before.types_until is not None and before.types_until > now
        if is_typing != typed:
            await self.tell(session_id, user_id, is_typing)

    async def tell(self, session_id: str, user_id: str, is_typing: bool) -> None:
        """The others, whatever the row says."""
        await self._rooms.news.tell(session_id, PersonTypes(user_id, is_typing), but_user=user_id)

    async def aclose(self) -> None:
        for timer in self._typing.values():
            timer.cancel()
        await self._tasks.close()

    def _look_later(self, session_id: str, user_id: str, *, is_typing: bool) -> None:
        """Whether they still type. A little later than they said: clocks differ by that much in one process."""
        timer = self._typing.pop((session_id, user_id), None)
        if timer is not None:
            timer.cancel()
        if is_typing:
            self._typing[session_id, user_id] = asyncio.get_running_loop().call_later(
                TYPING + 0.05, lambda: self._tasks.spawn(self._stop_typing(session_id, user_id))
            )

    async def _stop_typing(self, session_id: str, user_id: str) -> None:
        """Unless they went on meanwhile, at any instance: who told that then tells the end, too."""
        self._typing.pop((session_id, user_id), None)
        now = self._clock.now()

        def stop(person: Person) -> Person:
            over = person.types_until is not None and person.types_until <= now
            return replace(person, types_until=None) if over else person

        try:
            before, after = await self._presence.change_person(session_id, user_id, stop)
        except ChatError as error:
            record("typing_lost", session_id=session_id, code=error.code)
            return
        if before != after:
            await self.tell(session_id, user_id, False)
