"""A dialect that is one file and one line of the catalogue works everywhere: over HTTP, on sockets, in rooms."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import orjson
import pytest
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.dialects.catalogue import DIALECTS
from chat.errors import ProviderUnavailable
from chat.providers.scripted import Script
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.routes import doors, turns
from chat.routes.replies import answer
from chat.routes.route_table import Route
from chat.routes.schemas import TurnBody
from chat.store.conversation_store import SessionDraft
from chat.store.presence_store import Ticket
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.shout import SHOUT
from tests.support.turns import lines, words
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"
ANN = Principal("ann")
SHOUTED = Route("doors:enter", "ask loudly", dialect=SHOUT.name)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast("dict[str, Any]", DIALECTS), SHOUT.name, SHOUT)


@dataclass
class World:
    app: ChatApp
    push: FakePush

    async def open(self, name: str) -> None:
        """A socket that speaks the dialect, as the service opens one."""
        ticket = Ticket(name, SESSION, "ann", SHOUT.name, self.app.clock.now().replace(year=2099))
        await self.app.sockets.require().presence.issue(ticket)
        query = {"ticket": [f"{SESSION}.{name}"]}
        accepted = await handle(self.app, SocketEvent("connect", "connect", name, "ann", query=query))
        assert isinstance(accepted, Accepted)
        self.states = accepted.states
        self.push.users[name] = "ann"
        for group in accepted.groups:
            self.push.groups[group].append(name)
        await handle(self.app, SocketEvent("connected", "connected", name, "ann", states=accepted.states))

    async def say(self, name: str, frame: Any) -> Any:
        event = SocketEvent(
            "user", "message", name, "ann", data=orjson.dumps(frame).decode(), states=self.states
        )
        reply = await handle(self.app, event)
        assert isinstance(reply, Said)
        return reply.frame

    def text(self, name: str) -> str:
        return "".join(str(each.get("SHOUT", "")) for each in self.push.seen[name])

    def ends(self, name: str) -> list[Any]:
        return [each["END"] for each in self.push.seen[name] if "END" in each]


@asynccontextmanager
async def world(*scripts: Script) -> AsyncGenerator[World]:
    clock, push = VirtualClock(), FakePush()
    store = MemoryStore(clock)
    await store.create_session("ann", SessionDraft(SESSION))
    made = World(make_app(*scripts, store=store, clock=clock, push=push).app, push)
    yield made
    await made.app.close()


def request(body: Any = None, **query: str) -> Request:
    async def receive() -> Any:
        return {"type": "http.request", "body": orjson.dumps(body), "more_body": False}

    path, text = {"session_id": SESSION}, "&".join(f"{name}={value}" for name, value in query.items())
    scope = {"type": "http", "method": "POST", "path": "/x", "headers": [], "path_params": path}
    return Request({**scope, "query_string": text.encode()}, receive)


async def lines_of(reply: Response) -> list[Any]:
    assert isinstance(reply, StreamingResponse)
    assert reply.headers["content-type"] == "application/x-ndjson"
    body = b"".join([cast("bytes", each) async for each in reply.body_iterator])
    return [orjson.loads(line) for line in body.splitlines() if line]


@virtual
async def test_over_http_by_its_own_route_and_by_those_of_turns() -> None:
    async with world(["a", "b"], ["c"]) as here:
        said = await lines_of(await doors.enter(here.app, ANN, request({"SAY": "Hi"}), dialect=SHOUT.name))
        assert "".join(each.get("SHOUT", "") for each in said) == "AB"
        assert said[-1]["END"] == "DONE"
        body = TurnBody(content="And?")
        reply = await turns.start_turn(here.app, ANN, request(dialect=SHOUT.name), body)
        whole = await lines_of(reply)
        assert [each.get("SHOUT", each.get("END")) for each in whole] == ["", "C", "DONE"]
        again = request(dialect=SHOUT.name, after=str(whole[0]["seq"]))
        again.path_params["turn_id"] = reply.headers["x-turn-id"]
        assert await lines_of(await turns.follow_turn(here.app, ANN, again)) == whole[1:]


@virtual
async def test_what_is_refused_and_what_fails_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world([ProviderUnavailable()]) as here:
        monkeypatch.setattr("chat.app._current", here.app)
        refused = await answer(request({}), partial(doors.enter, dialect=SHOUT.name), SHOUTED)
        assert (refused.status_code, refused.body) == (422, b'{"NO":"INVALID_INPUT"}\n')
        failed = await doors.enter(here.app, ANN, request({"SAY": "Hi"}), dialect=SHOUT.name)
        assert (failed.status_code, failed.body) == (503, b'{"NO":"MODEL_UNAVAILABLE"}\n')


@virtual
async def test_in_a_room_whoever_comes_whenever() -> None:
    async with world(lines(10, 0.1)) as here:
        await here.open("first")
        assert await here.say("first", {"SAY": "Hi"}) is None
        await asyncio.sleep(0.55)
        await here.open("late")
        await asyncio.sleep(10)
        assert here.text("first") == here.text("late") == words(10).upper()
        assert here.ends("first") == here.ends("late") == ["DONE"]
        assert {"HEARD": "HI"} in here.push.seen["first"]


@virtual
async def test_a_stop_a_resume_and_what_makes_no_sense() -> None:
    async with world(lines(100, 0.1)) as here:
        await here.open("s")
        await here.say("s", {"SAY": "Hi"})
        await asyncio.sleep(1)
        assert await here.say("s", {"STOP": ""}) is None
        await asyncio.sleep(3)
        assert here.ends("s") == ["STOPPED"]
        said = here.text("s")
        turn_id = (await here.app.conversations.list_messages("ann", SESSION, limit=9))[-1].id
        here.push.seen["s"].clear()
        await here.say("s", {"AGAIN": turn_id, "FROM": 0})
        await asyncio.sleep(1)
        assert (here.text("s"), here.ends("s")) == (said, ["STOPPED"])
        assert await here.say("s", {"WHAT": 1}) == {"NO": "INVALID_INPUT"}
