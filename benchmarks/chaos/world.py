"""Who is there: users, the sessions of each, shared ones with their members, and the sockets that are open."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.chaos.journal import Journal
from benchmarks.chaos.sockets import RoomSocket
from benchmarks.chaos.streams import Door

SHARE = 5  # users to a shared session, of whom one is a viewer
TRIES = 20


@dataclass(slots=True)
class Room:
    """A session."""

    id: str
    owner: str
    editors: list[str] = field(default_factory=list[str])
    viewers: list[str] = field(default_factory=list[str])
    questions: list[str] = field(default_factory=list[str])  # ids of turns that ended well, newest last

    @property
    def shared(self) -> bool:
        return bool(self.editors)

    def writers(self) -> list[str]:
        return [self.owner, *self.editors]


class World:
    """The state of the driver. One of it in a run."""

    def __init__(self, door: Door, journal: Journal, seed: int, users: int) -> None:
        self.door, self.journal = door, journal
        self.dice = random.Random(seed)
        self.users = [f"user{number:02}" for number in range(users)]
        self.own: dict[str, Room] = {}
        self.shared: list[Room] = []
        self.others: list[Room] = []  # for one question each
        self.sockets: dict[str, list[RoomSocket]] = {user: [] for user in self.users}
        self.over = asyncio.Event()  # nothing new is asked from here on
        self._numbers: Iterator[int] = itertools.count(1)

    @property
    def rooms(self) -> list[Room]:
        return [*self.own.values(), *self.shared, *self.others]

    def number(self) -> int:
        return next(self._numbers)

    def instance(self) -> int:
        return self.dice.randrange(len(self.door.urls))

    def rooms_of(self, user: str) -> list[Room]:
        """Where the user may write."""
        return [self.own[user], *(room for room in self.shared if user in room.writers())]

    async def build(self) -> None:
        """Make all sessions, before anything is broken."""
        for user in self.users:
            self.own[user] = await self.new_room(user)
        for start in range(0, len(self.users) - 1, SHARE):
            owner, *others = self.users[start : start + SHARE]
            room = await self.new_room(owner)
            for number, member in enumerate(others):
                role = "viewer" if number == SHARE - 2 else "editor"
                if await self.admit(room, member, role):
                    (room.viewers if role == "viewer" else room.editors).append(member)
            self.shared.append(room)

    async def new_room(self, user: str) -> Room:
        for _ in range(TRIES):
            reply = await self.door.call(
                user, "POST", "/api/v1/chat/sessions", instance=self.instance(), json={}
            )
            if reply is not None and reply.status == 201:
                return Room(reply.body["id"], user)
            await asyncio.sleep(0.5)
        raise RuntimeError("no session can be made")

    async def admit(self, room: Room, member: str, role: str) -> bool:
        """Invite somebody, and have them accept. Both may be asked for again."""
        path = f"/api/v1/chat/sessions/{room.id}/members/{member}"
        if not await self._done(room.owner, "PUT", path, json={"role": role}):
            return False
        return await self._done(member, "POST", f"/api/v1/chat/invitations/{room.id}/accept")

    async def _done(self, user: str, method: str, path: str, **options: Any) -> bool:
        for _ in range(TRIES):
            reply = await self.door.call(user, method, path, instance=self.instance(), **options)
            if reply is not None and reply.status == 200:
                return True
            await asyncio.sleep(0.5)
        return False
