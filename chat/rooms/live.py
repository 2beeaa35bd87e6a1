"""A turn that this process makes, on its way to the groups of its session."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from chat.rooms.gate import GroupGate
from chat.store.instance_store import Join
from chat.store.turn_store import StartedTurn
from chat.turns.feed import EventFeed

HANDOVER = 3.0  # seconds for which the next turn of a group waits for those who come late to the one before

type Pace = Callable[[float], None]


@dataclass(slots=True)
class LiveRoomTurn:
    """A turn that this process makes."""

    started: StartedTurn
    feed: EventFeed
    pace: Pace
    asked: bool  # whether its question is new, too
    gates: dict[str, GroupGate] = field(
        default_factory=dict[str, GroupGate]
    )  # by dialect, as long as they run
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    joins: dict[str, Join] | None = field(
        default_factory=dict[str, Join]
    )  # the newest of each socket, until it is known who watched from the start
    ended: bool = False
    lost: bool = False  # to another process, which tells its end
    watched: bool = False  # its end is owed
    told: dict[str, asyncio.Future[None]] = field(
        default_factory=dict[str, asyncio.Future[None]]
    )  # by dialect, done when its group saw the end

    def set_pace(self) -> None:
        self.pace(max((gate.window for gate in self.gates.values()), default=0.0))


@dataclass(frozen=True, eq=False, slots=True)
class Turnaround:
    """The gate that the next one of its group waits for."""

    task: asyncio.Task[None]
    told: asyncio.Future[None]

    async def over(self) -> None:
        """Until the group saw the end, and those who came last are in, or had the time for it."""
        await asyncio.wait([self.task, self.told], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([self.task], timeout=HANDOVER)
