"""Two instances over one store, with one service for the sockets of both."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from chat.app import ChatApp
from chat.providers.scripted import Script
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, SocketEvent
from chat.store.conversation_store import SessionDraft
from chat.store.presence_store import Ticket
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link
from tests.support.virtual_time import VirtualClock

SESSION = "0" * 25 + "A"


@dataclass
class World:
    store: MemoryStore
    push: FakePush
    apps: list[ChatApp]
    links: list[Link]
    accepted: dict[str, float] = field(default_factory=dict[str, float])  # when each socket was let in

    async def open(
        self, name: str, dialect: str = "chat", *, at: int = 1, opening: float = 0.01, user: str = "ann"
    ) -> None:
        """As the service does it: `connect`, the socket, `connected`."""
        app = self.apps[at]
        ticket = Ticket(name, SESSION, user, dialect, app.clock.now().replace(year=2099))
        await self.store.issue(ticket)
        query = {"ticket": [f"{SESSION}.{name}"]}
        self.push.unopened.add(name)
        accepted = await handle(app, SocketEvent("connect", "connect", name, user, query=query))
        assert isinstance(accepted, Accepted)
        self.accepted[name] = asyncio.get_running_loop().time()
        await asyncio.sleep(opening / 2)
        self.push.users[name] = user
        self.push.unopened.discard(name)
        for group in accepted.groups:
            self.push.groups[group].append(name)
        await asyncio.sleep(opening / 2)
        await handle(app, SocketEvent("connected", "connected", name, user, states=accepted.states))

    def text(self, name: str) -> str:
        """What a page prints that knows no more than chunks."""
        return "".join(each["payload"].get("text", "") for each in self.push.seen[name])

    def ends(self, name: str) -> int:
        done = [each for each in self.push.seen[name] if each.get("payload", {}).get("done")]
        done += [each for each in self.push.seen[name] if each.get("action") in ("completed", "failed")]
        return len(done)


@asynccontextmanager
async def world(
    *scripts: Script, others: Sequence[Script] = (), per_user: int = 1000
) -> AsyncGenerator[World]:
    """Two instances; the first one makes the turns, unless `others` are what the second one's model says."""
    clock = VirtualClock()
    store, push = MemoryStore(clock), FakePush()
    await store.create_session("ann", SessionDraft(SESSION))
    made = World(store, push, [], [])
    for number in range(2):
        link = Link(store)
        made.links.append(link)
        said = scripts if number == 0 else others
        app = make_app(*said, store=link, clock=clock, push=push, per_session=2000, per_user=per_user).app
        made.apps.append(app)
    yield made
    for app in made.apps:
        await app.close()
