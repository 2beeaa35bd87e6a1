"""Fills the feed of one turn from the store, while another process makes the turn."""

import asyncio
from contextlib import suppress

from chat.conversation import Turn
from chat.errors import EventsGone, StoreError, StoreUnavailable
from chat.events import TERMINAL_NUMBER, NumberedEvent
from chat.turns.feed import EventFeed
from chat.turns.lease import BEAT, LeaseObserver
from chat.turns.ports import TurnPorts
from chat.turns.sweep import TurnSweeper

POLL = 0.25  # seconds between two reads of a turn's events
MARK = 10.0  # seconds between two words to the runner that its turn is followed here
PATIENCE = 30.0  # seconds of store errors after which followers are told
LINGER = 5.0  # seconds a poller goes on when nobody wants its feed


class TurnPoller:
    """Runs until the turn ended, nobody wants it, or nothing can be learned about it."""

    def __init__(
        self,
        turn: Turn,
        feed: EventFeed,
        ports: TurnPorts,
        *,
        observer: LeaseObserver,
        sweeper: TurnSweeper,
    ) -> None:
        self._turn, self._feed = turn, feed
        self._turns, self._instances, self._clock = ports.turns, ports.instances, ports.clock
        self._observer, self._sweeper = observer, sweeper
        self._marked = float("-inf")
        self._checked = self._clock.monotonic()
        self._failing_since: float | None = None
        self._looked = asyncio.Event()
        self.want()

    def want(self) -> None:
        """Somebody has the feed in hand and will follow it."""
        self._wanted = self._clock.monotonic()

    async def first_look(self) -> None:
        """Until the feed has what is stored so far, or the store did not tell."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._looked.wait()

    async def run(self) -> None:
        """TurnNotFound when the session was deleted, EventsGone when the end was purged, StoreUnavailable after
        PATIENCE seconds of errors, or when nobody wanted the feed: whoever comes with it after all asks again."""
        while not self._feed.ended:
            began = self._clock.monotonic()
            if self._feed.followers:
                self.want()
            if began - self._wanted > LINGER:
                raise StoreUnavailable
            try:
                await self._look(began)
                self._failing_since = None
            except StoreError:
                self._failing_since = self._failing_since or began
                if self._clock.monotonic() - self._failing_since > PATIENCE:
                    raise
            if not self._feed.ended:
                await asyncio.sleep(POLL)

    async def _look(self, now: float) -> None:
        await self._read()
        if not self._feed.ended and now - self._marked >= MARK:
            await self._instances.post_watch(self._turn.instance_id, self._turn.id)
            self._marked = now
        if not self._feed.ended and now - self._checked >= BEAT:
            await self._check()
            self._checked = now
        if not self._feed.ended and await self._observer.expired(self._turn.instance_id):
            await self._sweeper.interrupt(self._turn)

    async def _check(self) -> None:
        """Whether there is still something to wait for. A deleted session has no events, and no end either."""
        if not (await self._turns.load_turn(self._turn.id)).running:
            await self._read()
            if not self._feed.ended:
                raise EventsGone(details=self._turn.ids)

    async def _read(self) -> None:
        try:
            events = await self._turns.read_events(self._turn, after=self._feed.last_number)
            self._feed.publish(_contiguous(events, self._feed.last_number))
        finally:
            self._looked.set()


def _contiguous(events: list[NumberedEvent], last_number: int) -> list[NumberedEvent]:
    """The events that follow the last one without a hole; the terminal one follows anything."""
    expected = last_number + 1
    ready: list[NumberedEvent] = []
    for numbered in events:
        if numbered.number == expected:
            expected += 1
        elif numbered.number != TERMINAL_NUMBER and numbered.number >= expected:
            break
        ready.append(numbered)
    return ready
