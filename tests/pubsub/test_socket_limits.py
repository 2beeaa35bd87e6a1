"""A socket ends with what it was opened with, and may no more than that."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import pytest

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.credentials import ApiKey, Credential, Scope, digest_of, make_key
from chat.errors import CredentialEnded, Forbidden, PushError, StoreUnavailable
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.push.base import key_group
from chat.rooms.sockets import Sockets
from chat.store.conversation_store import SessionDraft
from chat.store.presence_store import Ticket
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import VirtualClock, virtual

SESSION = "0" * 25 + "A"
READER = frozenset[Scope]({"read"})
HANDSHAKE = {"upgrade": ["websocket"]}


@dataclass
class Instance:
    """One process over a store and a socket service that others share."""

    app: ChatApp
    sockets: Sockets

    async def tell(self, kind: Any, accepted: Accepted, frame: Any = None, *, name: str = "c1") -> Any:
        """An event of an open socket; the frame that answers it."""
        data = orjson.dumps(frame).decode()
        event = SocketEvent(kind, "message", name, accepted.user_id, data=data, states=accepted.states)
        reply = await handle(self.app, event)
        assert isinstance(reply, Said)
        return reply.frame

    async def connect(self, ticket: str, name: str = "c1") -> Accepted:
        accepted = await handle(
            self.app, SocketEvent("connect", "connect", name, "ann", query={"ticket": [ticket]})
        )
        assert isinstance(accepted, Accepted)
        return accepted

    async def minute(self) -> None:
        """What the timer function does for sockets."""
        await self.sockets.work_off(now=self.app.clock.now())

    async def revoke(self, key: ApiKey) -> None:
        async def remove() -> None:
            await self.app.keys.remove_key("ann", key.id)
            self.app.key_ring.forget(key.id)

        await self.app.evictions.revoke(key.id, remove)


class House:
    """A session of ann's, and two instances."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store, self.push = MemoryStore(self.clock), FakePush()

    async def open(self) -> "House":
        await self.store.create_session("ann", SessionDraft(SESSION))
        self.here, self.there = self.instance(), self.instance()
        return self

    def instance(self) -> Instance:
        settings = {"CHAT_AUTH": "apikey,dev", "CHAT_SOCKET_DIRECT": "true"}
        made = make_app(["Hello"], store=self.store, push=self.push, clock=self.clock, settings=settings)
        return Instance(made.app, made.app.sockets.require())

    async def ticket(self, credential: Credential, *, dialect: str = "session") -> str:
        expires = self.clock.now() + timedelta(minutes=5)
        await self.store.issue(Ticket("t1", SESSION, "ann", dialect, expires, credential))
        return f"{SESSION}.t1"

    async def enter(
        self, credential: Credential, *, dialect: str = "session", greeted: bool = True
    ) -> Accepted:
        """A socket that `here` let in, with the credential."""
        accepted = await self.here.connect(await self.ticket(credential, dialect=dialect))
        for group in accepted.groups:
            await self.push.add_to_group(group, "c1")
        if greeted:
            await self.here.tell("connected", accepted)
        return accepted

    async def key(self, *scopes: Scope, days: float = 1) -> tuple[ApiKey, str]:
        key_id, text = make_key("ann")
        now = self.clock.now()
        may = frozenset(scopes or ("read", "write"))
        key = ApiKey(key_id, "ann", "ci", may, digest_of(text), now, now + timedelta(days=days))
        await self.store.add_key(key)
        return key, text

    def ending(self, seconds: float) -> Credential:
        return Credential(self.clock.now() + timedelta(seconds=seconds))

    @property
    def last(self) -> Any:
        """The error that it was shown last: the fake shows what a room is told to those who were closed, too."""
        return next(each for each in reversed(self.push.seen["c1"]) if "error" in each["type"])

    async def said(self) -> list[str]:
        return [each.content for each in await self.store.list_messages("ann", SESSION, limit=9)]

    async def close(self) -> None:
        for each in (self.here, self.there):
            await each.app.close()


def in_house(test: Callable[[House], Awaitable[None]]) -> Callable[[], None]:
    @virtual
    async def run() -> None:
        house = await House().open()
        try:
            await test(house)
        finally:
            await house.close()

    def named() -> None:
        run()

    named.__name__, named.__doc__ = getattr(test, "__name__", ""), test.__doc__
    return named


SEND = {"type": "send_message", "content": "Hi", "reply": False}


@in_house
async def test_an_idle_socket_is_told_and_closed_when_its_credential_ends(house: House) -> None:
    await house.enter(house.ending(30))
    await asyncio.sleep(29.9)
    assert house.push.closed == []
    await asyncio.sleep(0.2)
    assert house.push.closed == ["c1"]
    assert house.push.reasons["c1"] == CredentialEnded().message
    assert (house.last["type"], house.last["error_code"]) == ("error", "CREDENTIAL_ENDED")
    assert await house.store.connections(SESSION) == ()


@in_house
async def test_a_socket_without_an_end_stays_and_costs_no_row(house: House) -> None:
    accepted = await house.enter(Credential())
    await asyncio.sleep(3000)
    await house.there.minute()
    assert house.push.closed == []
    assert (await house.here.tell("user", accepted, {"type": "ping"})) == {"type": "pong"}
    await house.here.tell("disconnected", accepted)
    assert house.store.calls["note_end"] == house.store.calls["forget_end"] == 0


@in_house
async def test_what_a_dead_process_let_in_is_closed_by_the_timer_of_another(house: House) -> None:
    await house.enter(house.ending(30), greeted=False)
    await house.here.app.close()
    await house.there.minute()
    assert house.push.closed == []
    await asyncio.sleep(31)
    house.push.fail_next("close", PushError())
    await house.there.minute()
    assert house.push.closed == []
    await house.there.minute()
    await house.there.minute()
    assert house.push.closed == ["c1"]
    assert await house.store.connections(SESSION) == ()
    house.here = house.instance()


@in_house
async def test_what_an_ended_socket_says_is_not_heard_and_closes_it(house: House) -> None:
    accepted = await house.enter(house.ending(30), greeted=False)
    assert (await house.there.tell("user", accepted, {**SEND, "request_id": "r"}))["type"] == "ack"
    await asyncio.sleep(31)
    assert await house.there.tell("user", accepted, SEND) is None
    assert await house.said() == ["Hi"]
    assert (house.push.closed, house.last["error_code"]) == (["c1"], "CREDENTIAL_ENDED")
    assert await house.there.tell("connected", accepted) is None
    assert house.push.seen["c1"] and not [
        each for each in house.push.seen["c1"] if each["type"] == "connection_established"
    ]


@in_house
async def test_a_socket_that_left_is_not_looked_at_again(house: House) -> None:
    accepted = await house.enter(house.ending(30.123456))
    await house.here.tell("disconnected", accepted)
    await asyncio.sleep(60)
    await house.there.minute()
    assert house.push.closed == []


@in_house
async def test_an_end_far_away_is_the_timers_business(house: House) -> None:
    """Nobody keeps a timer in memory for each socket of a key that lives for months."""
    await house.enter(house.ending(80 * 86_400))
    assert not house.here.sockets.expiries._timers  # pyright: ignore[reportPrivateUsage]
    now = house.clock.now() + timedelta(days=81)
    await house.there.sockets.work_off(now=now)
    assert house.push.closed == ["c1"]


@in_house
async def test_a_socket_that_was_promised_a_session_ends_too(house: House) -> None:
    key, text = await house.key(days=1 / 24 / 60)
    accepted = await direct(house, text)
    await house.here.tell("connected", accepted)
    await asyncio.sleep(61)
    assert house.push.closed == ["c1"]
    assert accepted.states["key"] == key.id


async def direct(house: House, text: str, session_id: str = "") -> Accepted:
    query = {"dialect": ["session"], "token": [text]} | ({"session_id": [session_id]} if session_id else {})
    event = SocketEvent("connect", "connect", "c1", "", query=query, headers=HANDSHAKE)
    accepted = await handle(house.here.app, event)
    assert isinstance(accepted, Accepted)
    return accepted


# (dialect, frame, what a reader is answered): "" where there is no refusal.
FRAMES: list[tuple[str, Any, bool]] = [
    ("session", {"type": "send_message", "content": "Hi"}, False),
    ("session", {"type": "send_message", "content": "Hi", "reply": False}, False),
    ("session", {"type": "typing_start"}, False),
    ("session", {"type": "typing_stop"}, False),
    ("session", {"type": "cancel"}, False),
    ("session", {"type": "ping"}, True),
    ("chat", {"type": "chat", "payload": {"text": "Hi"}}, False),
    ("chat", {"type": "chat_cancel"}, False),
    ("chat", {"type": "what is this"}, True),
    ("plan", {"message": "plan a day in Tokyo"}, False),
    ("plan", {"type": "cancel"}, False),
    ("plan", {"type": "ping"}, True),
]


@pytest.mark.parametrize(("dialect", "frame", "may"), FRAMES)
@virtual
async def test_a_reader_follows_and_writes_nothing(dialect: str, frame: Any, may: bool) -> None:
    house = await House().open()
    accepted = await house.enter(Credential(scopes=READER), dialect=dialect)
    answer = await house.here.tell("user", accepted, frame)
    assert ("FORBIDDEN" in orjson.dumps(answer).decode() or "not write" in str(answer)) is not may
    assert await house.said() == []
    assert house.push.closed == []
    await house.close()


@in_house
async def test_a_reader_sees_a_turn_again(house: House) -> None:
    accepted = await house.enter(Credential(scopes=READER))
    await house.enter(Credential())
    writer = await house.enter(Credential())
    ack = await house.here.tell("user", writer, {"type": "send_message", "content": "Hi", "request_id": "r"})
    await asyncio.sleep(2)
    resume = {"type": "resume", "turn_id": ack["turn_id"], "after": 0}
    assert await house.here.tell("user", accepted, resume) is None


@in_house
async def test_nothing_at_all_is_for_who_may_only_manage(house: House) -> None:
    accepted = await house.enter(Credential(scopes=frozenset({"manage"})))
    for frame in ({"type": "ping"}, SEND):
        assert (await house.here.tell("user", accepted, frame))["error_code"] == "FORBIDDEN"


@in_house
async def test_a_key_opens_a_socket_without_negotiation_within_its_scopes(house: House) -> None:
    _, text = await house.key("read")
    with pytest.raises(Forbidden):
        await direct(house, text)  # a new session would be made
    accepted = await direct(house, text, SESSION)
    assert (accepted.user_id, accepted.states["scopes"]) == ("ann", "read")
    assert (await house.here.tell("user", accepted, SEND))["error_code"] == "FORBIDDEN"
    _, text = await house.key("manage")
    with pytest.raises(Forbidden):
        await direct(house, text, SESSION)


@in_house
async def test_a_revoked_key_closes_its_sockets_whoever_let_them_in(house: House) -> None:
    key, _ = await house.key()
    accepted = await house.enter(Credential(key.expires_at, key.scopes, key.id), dialect="chat")
    assert key_group(key.id, "chat") in accepted.groups
    await house.there.revoke(key)
    assert house.push.closed == ["c1"]
    assert "has ended or was revoked" in house.last["payload"]["error"]


@in_house
async def test_a_revocation_that_found_the_service_away_is_made_good(house: House) -> None:
    key, _ = await house.key()
    await house.enter(Credential(key.expires_at, key.scopes, key.id))
    house.push.fail_next("close_group", PushError(), times=9)
    await house.there.revoke(key)
    await house.there.app.close()
    assert house.push.closed == []
    house.push.failures.clear()
    await house.here.app.evictions.work_off()
    assert house.push.closed == ["c1"]
    house.there = house.instance()


@in_house
async def test_what_a_revoked_key_says_is_not_heard_within_seconds_and_its_tickets_are_none(
    house: House,
) -> None:
    key, _ = await house.key()
    credential = Credential(key.expires_at, key.scopes, key.id)
    accepted = await house.enter(credential)
    ticket = await house.ticket(credential)
    assert (await house.here.tell("user", accepted, {"type": "ping"})) == {"type": "pong"}
    await house.store.remove_key("ann", key.id)  # and the word to close it was lost
    await asyncio.sleep(5)
    assert await house.here.tell("user", accepted, SEND) is None
    assert (house.push.closed, await house.said()) == (["c1"], [])
    with pytest.raises(CredentialEnded):
        await house.there.connect(ticket, "c2")


@in_house
async def test_a_key_that_cannot_be_looked_up_closes_no_socket(house: House) -> None:
    key, _ = await house.key()
    accepted = await house.enter(Credential(key.expires_at, key.scopes, key.id))
    await asyncio.sleep(6)
    house.store.fail_next("find_key", StoreUnavailable())
    assert (await house.here.tell("user", accepted, SEND))["error_code"] == "STORE_UNAVAILABLE"
    assert house.push.closed == []
    assert await house.here.tell("user", accepted, SEND) is None
    assert await house.said() == ["Hi"]


def test_a_caller_is_what_they_came_with() -> None:
    principal = Principal("ann", scopes=READER, key_id="k")
    assert principal.credential == Credential(None, READER, "k")
