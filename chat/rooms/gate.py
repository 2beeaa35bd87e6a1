"""Sends one turn to one group of sockets: in order, one frame in flight, and at the pace of the service."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.dialects.merging import merged
from chat.errors import ChatError, PushError, PushRefused
from chat.events import JSONObject, NumberedEvent
from chat.push.base import PushService, group_of
from chat.rooms.joiners import Fill, Joiners
from chat.rooms.resending import patiently
from chat.store.instance_store import Join
from chat.telemetry import record
from chat.turns.feed import EventFeed

# A little less than the distance of the words of a model that says 20 a second: with a window of just that distance
# all words behind a late one would be as late.
WINDOW = 0.045  # seconds in which text is merged while sockets watch: a unit carries about 180 sends a second
SLOWEST = 0.25  # the longest window, however slow the service is
PATIENCE = 600.0  # seconds for which a send is tried again


class GroupGate:
    """One turn in one dialect. The group and those who come in between take turns: a frame for the group, then what
    some of the others are to see before they are one of it."""

    def __init__(
        self,
        turn: Turn,
        feed: EventFeed,
        dialect: Dialect,
        push: PushService,
        *,
        fill: Fill,
        first: Iterable[JSONObject] = (),
        members: Iterable[str] = (),
        coming: Sequence[str] = (),
        on_pace: Callable[[], None] = lambda: None,
        on_told: Callable[[], None] = lambda: None,
        on_entered: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`members` are the sockets in the group, `coming` those that are open, or about to, and not in it yet."""
        self.window = WINDOW
        self._turn, self._feed, self._dialect, self._push = turn, feed, dialect, push
        self._fill = fill
        self._first, self._coming = list(first), coming
        self._on_pace, self._on_told = on_pace, on_told
        self._group = group_of(turn.session_id, dialect.name)
        self._encoder = dialect.encoder(turn)
        self._shown = 0  # the number of the last event that the group was shown
        self._joiners = Joiners(turn, dialect, push, fill=fill, members=members, on_entered=on_entered)
        self._news: deque[NumberedEvent] = deque()  # on its way; what came after it is in the feed alone
        self._wake = asyncio.Event()
        self._over = False
        self._time = asyncio.get_running_loop().time

    def skip_to_now(self) -> None:
        """Nobody watched until now: the group is shown what comes from here on."""
        for numbered in self._feed.events:
            list(self._encoder.encode(numbered))
            self._shown = numbered.number

    def admit(self, join: Join) -> None:
        """Show a socket what the group was shown, between two frames."""
        self._joiners.add(join)
        self._wake.set()

    async def run(self) -> None:
        """Until the turn ended and all of it is sent. What the service does not take in time is left out."""
        listening = asyncio.create_task(self._listen(self._shown))
        try:
            await self._joiners.enter(self._coming)
            for payload in self._first:
                await self._send(payload)
            while not (self._over and not self._joiners and not self._fetch()):
                self._wake.clear()
                if self._over and not self._fetch():
                    self._on_told()
                    self._joiners.release()
                await self._joiners.show(self._seen)
                if self._fetch():
                    await self._send_next()
                elif not self._over or self._joiners.due:
                    await self._sleep()
        except PushError as error:
            record("gate_gave_up", turn_id=self._turn.id, group=self._group, code=error.code)
        finally:
            listening.cancel()

    def _fetch(self) -> bool:
        """Whether there is news for the group. What waited together goes out together."""
        if not self._news:
            events = self._feed.since(self._shown)
            self._news.extend(merged(events))
            if events and not self._news:  # nothing that anybody is shown
                self._shown = events[-1].number
        return bool(self._news)

    async def _send_next(self) -> None:
        numbered = self._news.popleft()
        for payload in self._encoder.encode(numbered):
            await self._send(payload)
        self._shown = numbered.number

    def _seen(self) -> Sequence[NumberedEvent]:
        return [each for each in self._feed.events if each.number <= self._shown]

    async def _sleep(self) -> None:
        """Until there is something to do."""
        if self._joiners:
            asyncio.get_running_loop().call_later(self._joiners.due, self._wake.set)
        await self._wake.wait()

    async def _listen(self, after: int) -> None:
        """Wake the sender, which may be slower."""
        try:
            async with aclosing(self._feed.follow(after=after)) as batches:
                async for _ in batches:
                    self._wake.set()
        except ChatError as error:  # nobody knows how the turn goes on: its end comes from whoever ends it
            record("gate_lost_turn", turn_id=self._turn.id, code=error.code)
        finally:
            self._over = True
            self._wake.set()

    async def _send(self, payload: JSONObject) -> None:
        filled = await self._fill(payload)
        began = self._time()
        try:
            await patiently(lambda: self._push.send_to_group(self._group, filled), PATIENCE)
        except PushRefused as error:
            record("frame_refused", turn_id=self._turn.id, type=str(payload.get("type")), code=error.code)
        window = min(max(WINDOW, self._time() - began), SLOWEST)
        if window != self.window:
            self.window = window
            self._on_pace()
