"""Those who follow turns over HTTP, as long as they may: who is taken out of a session, or whose credential ends, hears
no further word.

A process asks, while anybody reads, what is noted of that: one query for all of them, however many there are. It asks
seldom where only owners read who were alone in their sessions (others must accept and take over first), and came by no
API key, which can be revoked.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from chat.auth.base import Principal
from chat.clock import Clock
from chat.conversation import Session
from chat.errors import ChatError, CredentialEnded, Forbidden, NotFound, StoreError
from chat.events import NumberedEvent
from chat.store.conversation_store import ConversationStore
from chat.store.errand_store import ErrandKind, ErrandStore
from chat.telemetry import record_error
from chat.turns.feed import Follower, LiveTurn
from chat.turns.tasks import TaskSet

LOOK = 0.4  # seconds between two looks for what is noted while somebody follows whom it may concern
SELDOM = 10.0  # seconds where they were alone in their session when its turn began; an eviction is noted for a minute


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one follows, and how they may lose it."""

    session_id: str
    user_id: str
    alone: bool  # in the session, when the turn began
    key_id: str

    @property
    def is_safe(self) -> bool:
        """For a while at least."""
        return self.alone and not self.key_id

    def is_out(self, session: Session | None) -> bool:
        """Who reads by a link is nobody, and stays until the session is deleted."""
        return session is None or (bool(self.user_id) and session.role_of(self.user_id) is None)


class Readers:
    """Who follows which session here."""

    def __init__(self, conversations: ConversationStore, errands: ErrandStore, clock: Clock) -> None:
        self._conversations, self._errands, self._clock = conversations, errands, clock
        self._reading: dict[Follower, _Reading] = {}
        self._tasks = TaskSet()
        self._watching = False
        self._hurry = asyncio.Event()  # one came who was not alone

    async def follow(
        self, live: LiveTurn, principal: Principal, *, after: int = 0, idle: float | None = None
    ) -> AsyncGenerator[Sequence[NumberedEvent]]:
        """As `EventFeed.follow`. Raises Forbidden as soon as the user is known to be no member any more, and
        CredentialEnded when what they came with ends, or is known to be revoked."""
        follower, user_id = Follower(), principal.user_id
        reading = _Reading(live.turn.session_id, user_id, user_id == live.alone, principal.key_id)
        timer = self._end_of(follower, principal)
        self._reading[follower] = reading
        if not reading.is_safe:
            self._hurry.set()
        if not self._watching:
            self._watching = True
            self._tasks.spawn(self._watch())
        try:
            async with aclosing(live.feed.follow(after=after, idle=idle, follower=follower)) as batches:
                async for batch in batches:
                    yield batch
        finally:
            self._reading.pop(follower, None)
            if timer is not None:
                timer.cancel()

    async def aclose(self) -> None:
        await self._tasks.close()

    def _end_of(self, follower: Follower, principal: Principal) -> asyncio.TimerHandle | None:
        if principal.expires is None:
            return None
        left = (principal.expires - self._clock.now()).total_seconds()
        return asyncio.get_running_loop().call_later(left, follower.send_away, CredentialEnded())

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
        if not all(each.is_safe for each in self._reading.values()):
            await asyncio.sleep(LOOK)
            return
        self._hurry.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(SELDOM):
                await self._hurry.wait()

    async def _look(self) -> None:
        sessions = {each.session_id for each in self._reading.values()}
        for session_id in await self._noted("evict") & sessions:
            await self._check(session_id)
        if any(each.key_id for each in self._reading.values()):
            revoked = await self._noted("revoke")
            for follower, reading in list(self._reading.items()):
                if reading.key_id in revoked:
                    follower.send_away(CredentialEnded())

    async def _noted(self, kind: ErrandKind) -> set[str]:
        """Of which sessions, or keys."""
        return {each.session_id for each in await self._errands.list_errands(kind)}

    async def _check(self, session_id: str) -> None:
        try:
            session = await self._conversations.load_session(session_id)
        except NotFound:
            session = None
        for follower, reading in list(self._reading.items()):
            if reading.session_id == session_id and reading.is_out(session):
                follower.send_away(_goodbye())


def _goodbye() -> ChatError:
    return Forbidden("You are no longer a member of this session.")
