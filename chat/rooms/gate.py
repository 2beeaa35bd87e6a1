"""Sends one turn to one group of sockets: in order, one frame in flight, and at the pace of the service."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing

from chat.dialects.base import Dialect
from chat.errors import ChatError, PushError, PushRefused
from chat.events import JSONObject, NumberedEvent
from chat.messages import Turn
from chat.push.base import PushService, group_of
from chat.store.base import Join
from chat.telemetry import record
from chat.turns.feed import EventFeed

WINDOW = 0.05  # seconds in which pieces of text are merged while sockets watch: a unit carries about 180 sends a second
SLOWEST = 0.25  # the longest window, however slow the service is
PATIENCE = 30.0  # seconds for which a send is tried again
JOINING = 2.0  # the same for what one late joiner is shown

type Fill = Callable[[JSONObject], Awaitable[JSONObject]]


class GroupGate:
    """One turn in one dialect. A socket that comes in between is shown what the group was shown so far, and is then
    one of the group: nothing is missing between the two and nothing comes twice."""

    def __init__(
        self,
        turn: Turn,
        feed: EventFeed,
        dialect: Dialect,
        push: PushService,
        *,
        fill: Fill,
        first: Iterable[JSONObject] = (),
        on_pace: Callable[[], None] = lambda: None,
    ) -> None:
        self.window = WINDOW
        self._turn, self._feed, self._dialect, self._push = turn, feed, dialect, push
        self._fill = fill
        self._first = list(first)
        self._on_pace = on_pace
        self._group = group_of(turn.session_id, dialect.name)
        self._encoder = dialect.encoder(turn)
        self._shown = 0  # the number of the last event that the group was shown
        self._joins: deque[Join] = deque()
        self._news: deque[NumberedEvent] = deque()
        self._wake = asyncio.Event()
        self._over = False
        self._time = asyncio.get_running_loop().time

    def skip_to_now(self) -> None:
        """Nobody watched until now: the group is shown what comes from here on."""
        for numbered in self._feed.events:
            self._encode(numbered)
            self._shown = numbered.number

    def admit(self, join: Join) -> None:
        """Show a socket what the group was shown, between two frames."""
        self._joins.append(join)
        self._wake.set()

    async def run(self) -> None:
        """Until the turn ended and all of it is sent. What the service does not take in time is left out."""
        reading = asyncio.create_task(self._read(self._shown))
        try:
            for payload in self._first:
                await self._send(payload)
            while not (self._over and not self._news and not self._joins):
                self._wake.clear()
                await self._work_off()
                if not (self._over or self._news or self._joins):
                    await self._wake.wait()
        except PushError as error:
            record("gate_gave_up", turn_id=self._turn.id, group=self._group, code=error.code)
        finally:
            reading.cancel()

    async def _work_off(self) -> None:
        while self._news or self._joins:
            if self._joins:
                await self._show(self._joins.popleft())
                continue
            numbered = self._news.popleft()
            for payload in self._encode(numbered):
                await self._send(payload)
            self._shown = numbered.number

    async def _read(self, after: int) -> None:
        """Keep the news for the sender, which may be slower."""
        try:
            async with aclosing(self._feed.follow(after=after)) as batches:
                async for batch in batches:
                    self._news += batch
                    self._wake.set()
        except ChatError as error:  # nobody knows how the turn goes on: its end comes from whoever ends it
            record("gate_lost_turn", turn_id=self._turn.id, code=error.code)
        finally:
            self._over = True
            self._wake.set()

    async def _show(self, join: Join) -> None:
        seen = [each for each in self._feed.events if each.number <= self._shown]
        for payload in shown_to(self._turn, self._dialect, seen, join):
            filled = await self._fill(payload)
            try:
                await self._patiently(
                    lambda frame=filled: self._push.send_to_connection(join.connection_id, frame), JOINING
                )
            except PushError as error:  # the others do not wait for it: it may ask again
                record("joiner_not_shown", connection_id=join.connection_id, code=error.code)
                return

    async def _send(self, payload: JSONObject) -> None:
        filled = await self._fill(payload)
        began = self._time()
        try:
            await self._patiently(lambda: self._push.send_to_group(self._group, filled), PATIENCE)
        except PushRefused as error:
            record("frame_refused", turn_id=self._turn.id, type=str(payload.get("type")), code=error.code)
        window = min(max(WINDOW, self._time() - began), SLOWEST)
        if window != self.window:
            self.window = window
            self._on_pace()

    async def _patiently(self, send: Callable[[], Awaitable[None]], patience: float) -> None:
        """A frame that is left out would be a hole in the answer: it is tried again, and all others wait."""
        deadline = self._time() + patience
        pause = 0.1
        while True:
            try:
                return await send()
            except PushError as error:
                if not error.retryable or self._time() > deadline:
                    raise
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 2, 2.0)

    def _encode(self, numbered: NumberedEvent) -> list[JSONObject]:
        return list(self._encoder.encode(numbered))


def shown_to(
    turn: Turn, dialect: Dialect, events: Sequence[NumberedEvent], join: Join
) -> Iterable[JSONObject]:
    """What a socket that comes late is shown of these events: the frames after the one it has, or a snapshot."""
    if join.after is None:
        for payload in dialect.snapshot(turn, events):
            yield {**payload, "snapshot": True}
        return
    encoder = dialect.encoder(turn)
    for numbered in events:
        for payload in encoder.encode(numbered):
            if numbered.number > join.after:
                yield payload
