"""The sockets that come to one turn in between, on their way into its group."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.dialects.framing import Cursor, read_cursor
from chat.dialects.merging import merged
from chat.errors import PushError, PushRefused
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent
from chat.push.base import PushService, group_of
from chat.rooms.resending import LONGEST
from chat.store.instance_store import Join
from chat.telemetry import record

AT_ONCE = 16  # joiners that are shown something between two frames of the group
SHARE = 0.25  # seconds between two frames of the group after which the rest of what they are shown waits
# What waits in front of a service that stands still comes when it goes on: to send it again meanwhile shows it twice.
JOINING = 12.0  # seconds for one frame to a joiner, while the group waits: longer than a call may take
JOINABLE = 600.0  # seconds for which one joiner is tried again

type Fill = Callable[[JSONObject], Awaitable[JSONObject]]


@dataclass(slots=True)
class _Joiner:
    join: Join
    until: float
    due: float = 0.0
    pause: float = 0.5


class Joiners:
    """Each is shown what the group was shown so far, and then put into the group: nothing is missing between the two
    and nothing comes twice. Of one that asks again only the newest wish counts."""

    def __init__(
        self,
        turn: Turn,
        dialect: Dialect,
        push: PushService,
        *,
        fill: Fill,
        members: Iterable[str] = (),
        on_entered: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._turn, self._dialect, self._push, self._fill = turn, dialect, push, fill
        self._on_entered = on_entered
        self._group = group_of(turn.session_id, dialect.name)
        self._members = set(members)  # who was there from the start, or was shown the start
        self._waiting: dict[str, _Joiner] = {}
        self._showing: set[str] = set()
        self._after_all: dict[
            str, _Joiner
        ] = {}  # who came after the end, which the group is still to be shown
        self._time = asyncio.get_running_loop().time

    def __bool__(self) -> bool:
        return bool(self._waiting or self._after_all)

    @property
    def due(self) -> float:
        """Seconds until one of them is to be tried."""
        return max(0.0, min((each.due for each in self._waiting.values()), default=0.0) - self._time())

    def add(self, join: Join) -> None:
        """A socket that wants to see the turn. Whoever saw its start, or is about to, needs no other."""
        name = join.connection_id
        joiner = _Joiner(join, self._time() + JOINABLE)
        known = name in self._members or name in self._showing or name in self._waiting
        if join.after is None and known:
            return
        if join.after is not None and join.after >= TERMINAL_NUMBER:
            if not known:
                self._after_all[name] = joiner
            return
        self._waiting[name] = joiner

    def release(self) -> None:
        """The group was shown all there is: those who came after it are let in."""
        self._waiting |= self._after_all
        self._after_all.clear()

    async def enter(self, coming: Sequence[str]) -> None:
        """Put sockets into the group before it is shown anything. Who cannot be yet will ask, or is asked again."""
        for start in range(0, len(coming), AT_ONCE):
            await asyncio.gather(*(self._enter_first(each) for each in coming[start : start + AT_ONCE]))

    async def show(self, seen: Callable[[], Sequence[NumberedEvent]]) -> None:
        """Show some of them what the group was shown."""
        now = self._time()
        due = [each for each in self._waiting.values() if each.due <= now][:AT_ONCE]
        if not due:
            return
        for each in due:
            del self._waiting[each.join.connection_id]
            self._showing.add(each.join.connection_id)
        events, snapshot = seen(), list[JSONObject]()
        if any(each.join.after is None for each in due):
            snapshot = list(snapshot_of(self._turn, self._dialect, events))
        deadline = now + SHARE
        await asyncio.gather(
            *(
                self._show_one(
                    each,
                    snapshot
                    if each.join.after is None
                    else rest_of(self._turn, self._dialect, events, _cursor(each.join)),
                    deadline,
                )
                for each in due
            )
        )

    async def _show_one(self, joiner: _Joiner, payloads: Iterable[JSONObject], deadline: float) -> None:
        name = joiner.join.connection_id
        outside = name not in self._members  # it gets nothing else meanwhile, and can be shown the rest later
        try:
            for payload in payloads:
                if outside and self._time() > deadline:
                    return self._again(joiner, 0.0)
                await self._send(name, payload)
                shown = read_cursor(str(payload["seq"]), whole_event=False)
                joiner.join = replace(joiner.join, after=shown.number, further=shown.further or 0)
            if outside:
                await self._enter(name)
        except (PushError, TimeoutError) as error:  # the others do not wait for it
            record("joiner_not_shown", connection_id=name, error=type(error).__name__)
            if outside and self._time() < joiner.until:
                self._again(joiner, joiner.pause)
                joiner.pause = min(joiner.pause * 2, LONGEST)

        finally:
            self._showing.discard(name)

    def _again(self, joiner: _Joiner, pause: float) -> None:
        joiner.due = self._time() + pause
        self._waiting.setdefault(joiner.join.connection_id, joiner)

    async def _send(self, name: str, payload: JSONObject) -> None:
        filled = await self._fill(payload)
        try:
            async with asyncio.timeout(JOINING):
                await self._push.send_to_connection(name, filled)
        except PushRefused as error:  # what comes after it is not refused
            record("frame_refused", turn_id=self._turn.id, type=str(payload.get("type")), code=error.code)

    async def _enter(self, name: str) -> None:
        async with asyncio.timeout(JOINING):
            there = await self._push.add_to_group(self._group, name)
        if there:
            self._members.add(name)
            self._on_entered(name)

    async def _enter_first(self, name: str) -> None:
        try:
            await self._enter(name)
        except (PushError, TimeoutError):
            self.add(Join(self._turn.id, name, self._dialect.name))


def snapshot_of(turn: Turn, dialect: Dialect, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """What a socket is shown that has nothing of the turn yet."""
    assert dialect.face.snapshot is not None, dialect.name
    for payload in dialect.face.snapshot(turn, events):
        yield {**payload, "snapshot": True}


def rest_of(
    turn: Turn, dialect: Dialect, events: Sequence[NumberedEvent], after: Cursor
) -> Iterable[JSONObject]:
    """What a socket is shown that has everything up to there."""
    encoder = dialect.encoder(turn)
    for numbered in events:
        if numbered.number <= after.number:
            payloads = enumerate(encoder.encode(numbered))  # all are made: it counts the text
            yield from [each for index, each in payloads if not after.covers(numbered.number, index)]
    for numbered in merged(each for each in events if each.number > after.number):
        yield from encoder.encode(numbered)


def shown_to(
    turn: Turn, dialect: Dialect, events: Sequence[NumberedEvent], join: Join
) -> Iterable[JSONObject]:
    """What a socket that comes late is shown of these events: the frames after the one it has, or a snapshot."""
    if join.after is None:
        return snapshot_of(turn, dialect, events)
    return rest_of(turn, dialect, events, _cursor(join))


def _cursor(join: Join) -> Cursor:
    return Cursor(join.after or 0, join.further)
