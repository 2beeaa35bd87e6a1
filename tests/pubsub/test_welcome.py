"""The welcome is the first that a socket sees of what it does itself, though its client speaks at once."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from chat.app import ChatApp
from chat.errors import PushError, StoreUnavailable
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.rooms.welcomes import PATIENCE
from chat.store.conversation_store import SessionDraft
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"
HANDSHAKE = {"upgrade": ["websocket"], "host": ["x.webpubsub.azure.com"]}


@dataclass
class World:
    """Processes over one store and one service, and a socket of ann's that has connected. `asked` are the frames that
    answered it."""

    apps: list[ChatApp]
    links: list[Link]
    store: MemoryStore
    push: FakePush
    states: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str = "ann"

    async def connect(self, **query: str) -> None:
        asked = {"dialect": "session", "user_id": "ann"} | query
        event = SocketEvent(
            "connect",
            "connect",
            "c1",
            "",
            query={name: [value] for name, value in asked.items()},
            headers=HANDSHAKE,
        )
        accepted = await handle(self.apps[0], event)
        assert isinstance(accepted, Accepted)
        self.states = accepted.states
        for group in accepted.groups:
            self.push.groups[group].append("c1")

    async def opens(self, *, at: int = 0) -> None:
        await handle(
            self.apps[at], SocketEvent("connected", "connected", "c1", self.user, states=self.states)
        )

    async def say(self, frame: Any, *, at: int = 0) -> None:
        """What answers it is sent by the service when its event was answered."""
        data = orjson.dumps(frame).decode()
        event = SocketEvent("user", "message", "c1", self.user, data=data, states=self.states)
        reply = await handle(self.apps[at], event)
        assert isinstance(reply, Said)
        if reply.frame is not None:
            self.push.seen["c1"].append(reply.frame)

    @property
    def seen(self) -> list[str]:
        return [each["type"] for each in self.push.seen["c1"]]


@asynccontextmanager
async def world() -> AsyncGenerator[World]:
    clock = VirtualClock()
    store, push = MemoryStore(clock), FakePush()
    push.users["c1"] = "ann"
    links = [Link(store), Link(store)]
    settings = {"CHAT_SOCKET_DIRECT": "true"}
    made = [
        make_app(["Hello"], ["Hello"], settings=settings, store=each, clock=clock, push=push)
        for each in links
    ]
    await store.create_session("ann", SessionDraft(SESSION))
    yield World([each.app for each in made], links, store, push)
    for each in made:
        await each.app.close()


HELLO = {"type": "send_message", "content": "Hi", "request_id": "r"}


@pytest.mark.parametrize("behind", [0.0, 0.01, 0.3, 1.5])
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("slow", [0.0, 0.2])
def test_what_a_socket_says_at_once_waits_for_its_welcome(behind: float, at: int, slow: float) -> None:
    """Its message comes that much earlier than the event that says that it opened, which takes `slow` sends."""

    @virtual
    async def check() -> None:
        async with world() as here:
            await here.connect(session_id=SESSION)
            here.push.delay = slow
            saying = asyncio.create_task(here.say(HELLO, at=1))
            await asyncio.sleep(behind)
            await here.opens(at=at)
            await saying
            await asyncio.sleep(10)
            assert here.seen[0] == "connection_established"
            assert (here.seen.count("connection_established"), here.seen.count("ack")) == (1, 1)
            assert here.push.seen["c1"][-1]["action"] == "completed"

    check()


@virtual
async def test_who_says_several_things_at_once_is_heard_in_their_order() -> None:
    async with world() as here:
        await here.connect(session_id=SESSION)
        said = [f"{number}" for number in range(6)]
        frames = [{"type": "send_message", "content": each, "reply": False} for each in said]
        saying = [asyncio.create_task(here.say(each)) for each in frames]
        await asyncio.sleep(0.35)
        await here.opens()
        await asyncio.gather(*saying)
        messages = await here.store.list_messages("ann", SESSION, limit=9)
        assert [each.content for each in messages] == said
        assert here.seen[0] == "connection_established"


@virtual
async def test_a_welcome_that_never_comes_holds_nobody_for_long() -> None:
    async with world() as here:
        await here.connect(session_id=SESSION)
        began = asyncio.get_running_loop().time()
        await here.say(HELLO)
        waited = asyncio.get_running_loop().time() - began
        assert PATIENCE <= waited < PATIENCE + 0.5
        await here.say({"type": "ping"})
        assert asyncio.get_running_loop().time() - began == waited
        assert "pong" in here.seen


@virtual
@pytest.mark.parametrize("call", ["send_to_connection", "change_person", "get_session"])
async def test_a_greeting_that_is_tried_again_welcomes_once(call: str) -> None:
    async with world() as here:
        await here.connect(session_id=SESSION)
        failing = here.push if call == "send_to_connection" else here.links[0]
        error = PushError() if call == "send_to_connection" else StoreUnavailable()
        failing.fail_next(call, error, times=2)
        await here.opens()
        await asyncio.sleep(60)
        assert here.seen == ["connection_established"]


@virtual
async def test_a_process_that_does_not_know_a_socket_looks_once() -> None:
    async with world() as here:
        await here.connect(session_id=SESSION)
        await here.opens()
        before = here.store.calls["change_person"]
        for _ in range(20):
            await here.say({"type": "ping"}, at=1)
            await here.say({"type": "ping"}, at=0)
        assert here.store.calls["change_person"] == before + 1


@virtual
async def test_a_socket_whose_session_begins_with_its_message_is_welcomed_first() -> None:
    async with world() as here:
        await here.connect()
        here.push.delay = 0.2
        opening = asyncio.create_task(here.opens())
        await asyncio.sleep(0.001)
        await here.say(HELLO)
        await opening
        await asyncio.sleep(10)
        assert here.seen[0] == "connection_established"
        assert here.push.seen["c1"][-1]["action"] == "completed"


@virtual
async def test_a_socket_that_stands_in_no_row_waits_for_no_other_process() -> None:
    async with world() as here:
        await here.connect()
        began = asyncio.get_running_loop().time()
        await here.say(HELLO, at=1)
        assert asyncio.get_running_loop().time() - began < 0.1
        await asyncio.sleep(5)
