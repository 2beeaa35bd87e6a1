"""Those who follow turns over HTTP, as long as they may: who is taken out of a session hears no further word.

A process asks, while anybody reads, which evictions are noted: one query for all of them, however many there are. It
asks seldom where only owners read who were alone in their sessions: others must accept and take over first.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress

from chat.errors import ChatError, Forbidden, NotFound, StoreError
from chat.events import NumberedEvent
from chat.store.conversation_store import ConversationStore
from chat.store.errand_store import ErrandStore
from chat.telemetry import record_error
from chat.turns.feed import Follower, LiveTurn
from chat.turns.tasks import TaskSet

LOOK = 0.4  # seconds between two looks for evictions while somebody follows who may be taken out
SELDOM = 10.0  # seconds where they were alone in their session when its turn began; an eviction is noted for a minute


class Readers:
    """Who follows which session here."""

    def __init__(self, conversations: ConversationStore, errands: ErrandStore) -> None:
        self._conversations, self._errands = conversations, errands
        self._reading: dict[Follower, tuple[str, str]] = {}  # the session and the user
        self._alone: set[Follower] = set()  # those of them who were alone in their session
        self._tasks = TaskSet()
        self._watching = False
        self._hurry = asyncio.Event()  # one came who was not alone

    async def follow(
        self, live: LiveTurn, user_id: str, *, idle: float | None = None
    ) -> AsyncGenerator[Sequence[NumberedEvent]]:
        """As `EventFeed.follow`. Raises Forbidden as soon as the user is known to be no member any more."""
        follower = Follower()
        self._reading[follower] = live.turn.session_id, user_id
        if user_id == live.alone:
            self._alone.add(follower)
        else:
            self._hurry.set()
        if not self._watching:
            self._watching = True
            self._tasks.spawn(self._watch())
        try:
            async with aclosing(live.feed.follow(idle=idle, follower=follower)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._reading.pop(follower, None)
            self._alone.discard(follower)

    async def aclose(self) -> None:
        await self._tasks.close()

    async def _watch(self) -> None:
        try:
            await self._pause()
            while self._reading:
                try:
                    await self._look()
                except StoreError:
                    pass  # nobody can tell: as soon as the store answers again
                except Exception as error:
                    record_error("evictions_not_read", error)
                await self._pause()
        finally:
            self._watching = False

    async def _pause(self) -> None:
        """Until the next look, sooner when one comes for whose sake looks are more frequent."""
        if len(self._alone) < len(self._reading):
            await asyncio.sleep(LOOK)
            return
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(SELDOM):
                await self._hurry.wait()

    async def _look(self) -> None:
        evicted = {each.session_id for each in await self._errands.list_errands("evict")}
        for session_id in evicted & {session_id for session_id, _ in self._reading.values()}:
            await self._check(session_id)

    async def _check(self, session_id: str) -> None:
        try:
            session = await self._conversations.load_session(session_id)
        except NotFound:
            session = None
        for follower, (read, user_id) in list(self._reading.items()):
            if read == session_id and (session is None or session.role_of(user_id) is None):
                follower.send_away(_goodbye())


def _goodbye() -> ChatError:
    return Forbidden("You are no longer a member of this session.")
