"""The port to the sockets in memory: what was sent, and to whom; slow and failing on demand."""

import asyncio
from collections import defaultdict
from typing import Any

from chat.events import JSONObject
from chat.push.base import PushService
from tests.support.faults import Faults, port


class FakePush(Faults, PushService):
    """`seen[connection]` is what a socket got. `groups[group]` are the sockets in it."""

    def __init__(self) -> None:
        super().__init__()
        self.delay = 0.0  # seconds that a send takes
        self.groups: dict[str, list[str]] = defaultdict(list)
        self.users: dict[str, str] = {}  # by connection
        self.seen: dict[str, list[Any]] = defaultdict(list)
        self.closed: list[str] = []
        self.reasons: dict[str, str] = {}  # of those that were closed
        self.gone: set[str] = set()
        self.unopened: set[str] = set()
        self.sends = 0
        self.in_flight = 0
        self.most_in_flight = 0

    @port
    async def client_url(self, user_id: str, *, minutes: float) -> str:
        return f"ws://sockets.test/?user={user_id}&minutes={minutes:g}"

    @port
    async def add_to_group(self, group: str, connection_id: str) -> bool:
        await asyncio.sleep(self.delay)
        if connection_id in self.unopened or connection_id in self.gone:
            return False
        if connection_id not in self.groups[group]:
            self.groups[group].append(connection_id)
        return True

    @port
    async def remove_from_group(self, group: str, connection_id: str) -> None:
        self.groups[group] = [each for each in self.groups[group] if each != connection_id]

    @port
    async def send_to_group(self, group: str, frame: JSONObject, *, but_user: str = "") -> None:
        await self._take_time()
        for each in self.groups[group]:
            if not but_user or self.users.get(each) != but_user:
                self.seen[each].append(frame)

    @port
    async def send_to_connection(self, connection_id: str, frame: JSONObject) -> bool:
        await self._take_time()
        if connection_id in self.gone:
            return False
        self.seen[connection_id].append(frame)
        return True

    @port
    async def close(self, connection_id: str, reason: str) -> None:
        self.closed.append(connection_id)
        self.reasons[connection_id] = reason

    @port
    async def remove_user(self, user_id: str, group: str) -> None:
        self.groups[group] = [each for each in self.groups[group] if self.users.get(each) != user_id]

    @port
    async def close_group(self, group: str, reason: str) -> None:
        for each in self.groups.pop(group, []):
            self.closed.append(each)
            self.reasons[each] = reason

    @port
    async def count(self, group: str) -> int:
        return len(self.groups[group])

    @port
    async def exists(self, connection_id: str) -> bool:
        return connection_id not in self.gone

    async def aclose(self) -> None:
        return

    async def _take_time(self) -> None:
        self.sends += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.delay)
        self.in_flight -= 1
