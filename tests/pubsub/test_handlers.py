"""Who is let in, and what becomes of what a socket says, over a store in memory and sockets in memory."""

import asyncio
import hmac
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from chat.app import ChatApp
from chat.errors import (
    PushError,
    SessionNotFound,
    ShuttingDown,
    StoreUnavailable,
    TooManyConnections,
    Unauthenticated,
)
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.pubsub.states import sign
from chat.push.base import room_of
from chat.rooms.sockets import NoSockets, Sockets
from chat.store.conversation_store import SessionChanges, SessionDraft
from chat.store.presence_store import Ticket
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore

SESSION = "0" * 25 + "A"
STATES = {
    "session": SESSION,
    "user": "ann",
    "dialect": "session",
    "turn": "",
    "seq": "0",
    "ends": "",
    "scopes": "*",
    "key": "",
}


KEY = hmac.digest(b"secret of socket-state", b"parley: the state of a socket, 1", "sha256")


def signed(states: dict[str, str], connection: str = "c1") -> dict[str, str]:
    return sign(states, connection, KEY)


@dataclass
class Scene:
    app: ChatApp
    store: MemoryStore
    push: FakePush
    sockets: Sockets

    async def ticket(self, *, user: str = "ann", minutes: float = 5, dialect: str = "session") -> str:
        expires = self.app.clock.now() + timedelta(minutes=minutes)
        await self.store.issue(Ticket("t1", SESSION, user, dialect, expires))
        return f"{SESSION}.t1"

    async def connect(self, ticket: str, *, user: str = "ann", offers: tuple[str, ...] = ()) -> Any:
        event = SocketEvent("connect", "connect", "c1", user, query={"ticket": [ticket]}, subprotocols=offers)
        return await handle(self.app, event)

    async def say(self, frame: Any, *, dialect: str = "session", user: str = "ann") -> Any:
        data = frame if isinstance(frame, str) else orjson.dumps(frame).decode()
        states = signed(STATES | {"dialect": dialect, "user": user})
        reply = await handle(self.app, SocketEvent("user", "message", "c1", user, data=data, states=states))
        assert isinstance(reply, Said)
        return reply.frame


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    push = FakePush()
    made = make_app(["Hello"], push=push, per_session=5, per_user=2)
    await made.store.create_session("ann", SessionDraft(SESSION))
    yield Scene(made.app, made.store, push, made.app.sockets.require())
    await made.wait_for_turns()
    await made.app.close()


async def test_a_ticket_lets_its_user_in(scene: Scene) -> None:
    offers = ("x", "json.webpubsub.azure.v1", "json.reliable.webpubsub.azure.v1")
    accepted = await scene.connect(await scene.ticket(), offers=offers)
    assert accepted == Accepted(
        "ann", ("all", f"s.{SESSION}.session.room"), "json.reliable.webpubsub.azure.v1", signed(STATES)
    )
    assert [each.id for each in (await scene.store.present(SESSION)).connections] == ["c1"]
    assert (await scene.connect(await scene.ticket())).subprotocol == ""


async def test_no_other_ticket_does(scene: Scene) -> None:
    good = await scene.ticket()
    for ticket in ("", "x", f"{SESSION}.", f"{SESSION}.other", f"other.{good.partition('.')[2]}", "../.."):
        with pytest.raises(Unauthenticated):
            await scene.connect(ticket)
    with pytest.raises(Unauthenticated):
        await scene.connect(good, user="eve")
    with pytest.raises(Unauthenticated):
        await scene.connect(await scene.ticket(minutes=-0.01))
    assert (await scene.store.present(SESSION)).connections == ()


async def test_who_was_taken_out_meanwhile_is_not_let_in(scene: Scene) -> None:
    with pytest.raises(SessionNotFound):
        await scene.connect(await scene.ticket(user="bob"), user="bob")


async def test_a_full_session_lets_nobody_in(scene: Scene) -> None:
    ticket = await scene.ticket()
    for name in ("a", "b"):
        event = SocketEvent("connect", "connect", name, "ann", query={"ticket": [ticket]})
        await handle(scene.app, event)
    with pytest.raises(TooManyConnections):
        await scene.connect(ticket)


@pytest.mark.parametrize(
    "states",
    [
        {},
        {"session": ""},
        STATES,
        signed({**STATES, "dialect": "delta"}),
        signed({**STATES, "user": "eve"}),
        signed(STATES, "c2"),
        *({**signed(STATES), name: "x"} for name in (*STATES, "signature")),
        {**signed(STATES), "signature": "é"},
    ],
)
async def test_a_socket_that_did_not_connect_through_here_is_refused(
    scene: Scene, states: dict[str, str]
) -> None:
    for kind in ("connected", "disconnected", "user"):
        with pytest.raises(Unauthenticated):
            await handle(scene.app, SocketEvent(kind, kind, "c1", "ann", data="{}", states=states))  # type: ignore[arg-type]


async def test_an_event_is_answered_before_its_turn_is_over(scene: Scene) -> None:
    ack = await scene.say({"type": "send_message", "content": "Hi", "request_id": "r"})
    assert ack == {
        "type": "ack",
        "request_id": "r",
        "message_id": f"{SESSION}-00000001",
        "turn_id": f"{SESSION}-00000002",
    }
    assert scene.app.runner.running == 1


async def test_an_event_that_comes_again_asks_once(scene: Scene) -> None:
    data = '{"type":"send_message","content":"Hi","request_id":"r"}'
    event = SocketEvent("user", "message", "c1", "ann", id="7", data=data, states=signed(STATES))
    first, again = await handle(scene.app, event), await handle(scene.app, event)
    assert first == again
    messages = await scene.store.list_messages("ann", SESSION, limit=9)
    assert [each.content for each in messages if each.role == "user"] == ["Hi"]


async def test_an_event_that_only_stores_and_comes_again_stores_and_shows_once(scene: Scene) -> None:
    scene.push.groups[room_of(SESSION, "session")].append("watcher")
    data = '{"type":"send_message","content":"Hi","request_id":"r","reply":false}'
    event = SocketEvent("user", "message", "c1", "ann", id="7", data=data, states=signed(STATES))
    ack = {"type": "ack", "request_id": "r", "message_id": f"{SESSION}-00000001", "turn_id": None}
    assert [await handle(scene.app, event) for _ in "12"] == [Said(ack), Said(ack)]
    await handle(scene.app, replace(event, id="8"))
    await asyncio.sleep(0.01)
    messages = await scene.store.list_messages("ann", SESSION, limit=9)
    assert [each.content for each in messages] == ["Hi", "Hi"]
    assert [each["message"]["id"] for each in scene.push.seen["watcher"]] == [each.id for each in messages]


async def test_a_process_with_sockets_looks_whether_others_died(scene: Scene) -> None:
    await scene.say({"type": "ping"})
    await asyncio.sleep(0.01)
    assert scene.store.calls["list_leases"] == 1


async def test_a_failure_is_a_frame_of_the_dialect_and_not_of_the_socket(scene: Scene) -> None:
    scene.store.fail_next("get_session", StoreUnavailable())
    frame = await scene.say({"type": "send_message", "content": "Hi"})
    assert (frame["type"], frame["error_code"]) == ("error", "STORE_UNAVAILABLE")
    scene.store.fail_next("get_session", RuntimeError("a bug, with secrets in it"))
    frame = await scene.say({"type": "chat", "payload": {"text": "Hi"}}, dialect="chat")
    assert frame["type"] == "chat_error"
    assert "secrets" not in orjson.dumps(frame).decode()


async def test_a_viewer_does_not_type(scene: Scene) -> None:
    await let_into(scene.store, SESSION, "vera", "viewer")
    scene.push.groups[room_of(SESSION, "session")].append("watcher")
    for kind in ("typing_start", "typing_stop"):
        assert (await scene.say({"type": kind}, user="vera"))["error_code"] == "FORBIDDEN"
        assert await scene.say({"type": kind}) is None
    assert [each["user_id"] for each in scene.push.seen["watcher"]] == ["ann", "ann"]


async def test_a_message_that_is_too_long_is_refused(scene: Scene) -> None:
    frame = await scene.say({"type": "send_message", "content": "x" * (256 * 1024 + 1)})
    assert frame["error_code"] == "TOO_LARGE"


async def test_a_turn_of_another_session_is_neither_stopped_nor_shown(scene: Scene) -> None:
    other = "0" * 25 + "B"
    await scene.store.create_session("ann", SessionDraft(other))
    await scene.app.runner.start(_ask(other))
    for frame in ({"type": "cancel"}, {"type": "resume", "after": 0}):
        said = await scene.say({**frame, "turn_id": f"{other}-00000002"})
        assert said["error_code"] == "INVALID_INPUT"
    assert await scene.say({"type": "cancel"}) is None  # nothing runs here


def _ask(session_id: str) -> Any:
    from chat.requests import TurnRequest

    return TurnRequest("ann", content="Hi", session_id=session_id)


async def test_without_a_socket_service_there_are_no_events(scene: Scene) -> None:
    scene.app.sockets = NoSockets()
    with pytest.raises(PushError):
        await scene.connect("x")
    scene.app.sockets = scene.sockets


async def test_an_app_that_closes_takes_no_events(scene: Scene) -> None:
    scene.sockets.closing = True
    with pytest.raises(ShuttingDown):
        await scene.say({"type": "ping"})
    scene.sockets.closing = False


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("chat", {"type": "chat", "payload": {"text": "Hi"}}),
        ("plan", {"message": "plan it"}),
        ("session", {"type": "send_message", "content": "Hi"}),
    ],
)
async def test_a_session_that_is_not_active_answers_no_message(
    scene: Scene, dialect: str, frame: Any
) -> None:
    await scene.store.update_session("ann", SESSION, SessionChanges(is_active=False))
    said = orjson.dumps(await scene.say(frame, dialect=dialect)).decode()
    assert "SESSION_INACTIVE" in said
    assert await scene.store.list_messages("ann", SESSION, limit=9) == []


async def test_a_ticket_that_no_key_could_hold_is_none(scene: Scene) -> None:
    with pytest.raises(Unauthenticated):
        await scene.connect(f"{SESSION}." + "x" * 100_000)
    with pytest.raises(Unauthenticated):
        await scene.connect("x" * 100_000)
