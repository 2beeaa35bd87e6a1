"""Sockets whose requests are answered one by one: two processes over one store, and one service that holds the
sockets. As its own client hears it: tests/clients/ai_sdk/test_socket.py."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest

from chat.credentials import ApiKey, Credential, Scope
from chat.errors import CredentialEnded, PushError, PushRefused, StoreUnavailable
from chat.providers.scripted import Script
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.push.base import instance_group
from chat.rooms.followers import AT_ONCE
from chat.rooms.sockets import Sockets
from chat.store.presence_store import Ticket
from tests.support.apps import TestApp, make_app
from tests.support.described import check_frame
from tests.support.fake_push import FakePush
from tests.support.members import let_into
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import VirtualClock, virtual

SLOW: Script = [each for number in range(30) for each in (f"word{number} ", 1.0)]
PLACE = "0" * 25 + "T"


class Service:
    """The service of sockets, and two processes that take its events."""

    def __init__(self, *scripts: Script, settings: Mapping[str, str] | None = None) -> None:
        self.clock = VirtualClock()
        self.store, self.push = MemoryStore(self.clock), FakePush()
        self.here, self.there = (
            make_app(*scripts, store=self.store, push=self.push, clock=self.clock, settings=settings)
            for _ in range(2)
        )
        self.events = 0

    async def connect(
        self, name: str = "c1", *, user: str = "ann", credential: Credential | None = None
    ) -> Accepted:
        expires = self.clock.now() + timedelta(minutes=5)
        await self.store.issue(Ticket(name, PLACE, user, "ai-sdk", expires, credential or Credential()))
        query = {"ticket": [f"{PLACE}.{name}"]}
        accepted = await handle(self.here.app, SocketEvent("connect", "connect", name, user, query=query))
        assert isinstance(accepted, Accepted)
        for group in accepted.groups:
            await self.push.add_to_group(group, name)
        return accepted

    async def tell(
        self,
        at: TestApp,
        accepted: Accepted,
        frame: Any,
        *,
        name: str = "c1",
        kind: Any = "user",
        id: str = "",
    ) -> Any:
        """An event; the frame that answers it."""
        self.events += 1
        data = frame if isinstance(frame, str) else orjson.dumps(frame).decode()
        event = SocketEvent(
            kind, "message", name, accepted.user_id, id or str(self.events), data, accepted.states
        )
        reply = await handle(at.app, event)
        assert isinstance(reply, Said)
        return reply.frame

    def heard(self, request_id: str = "r1", name: str = "c1") -> list[Any]:
        """What the socket got for a request. Its numbers have no hole."""
        frames = [each for each in self.push.seen[name] if each["requestId"] == request_id]
        chunks = [each for each in frames if each["type"] == "chunk"]
        assert [each["sequence"] for each in chunks] == [*range(len(chunks))]
        for each in chunks:
            check_frame("ai-sdk", each["chunk"])
        for each in frames:
            check_frame("ai-sdk-socket", each)
        return frames

    def text(self, request_id: str = "r1", name: str = "c1") -> str:
        chunks = [each["chunk"] for each in self.heard(request_id, name) if each["type"] == "chunk"]
        return "".join(each["delta"] for each in chunks if each["type"] == "text-delta")

    async def turns(self) -> list[str]:
        """How each turn of ann's newest chat stands."""
        session_id = await self.store.find_claimed("ann", "chat-1")
        messages = await self.store.list_messages("ann", session_id, limit=99)
        return [str(each.status) for each in messages if each.role == "assistant"]

    async def close(self) -> None:
        for each in (self.here, self.there):
            await each.app.close()


def serviced(*scripts: Script) -> Callable[[Callable[[Service], Awaitable[None]]], Callable[[], None]]:
    def decorated(test: Callable[[Service], Awaitable[None]]) -> Callable[[], None]:
        @virtual
        async def run() -> None:
            service = Service(*scripts)
            try:
                await test(service)
            finally:
                await service.close()

        def named() -> None:
            run()

        named.__name__, named.__doc__ = getattr(test, "__name__", ""), test.__doc__
        return named

    return decorated


def send(text: str = "Hi", *, chat: str = "chat-1", request_id: str = "r1", **more: Any) -> dict[str, Any]:
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
    frame = {"type": "send", "requestId": request_id, "id": chat, "trigger": "submit-message"}
    return {**frame, "messages": [message], "headers": {}, "body": {}, **more}


def resume(chat: str = "chat-1", *, request_id: str = "r2", **more: Any) -> dict[str, Any]:
    return {"type": "resume", "requestId": request_id, "id": chat, "headers": {}, "body": {}, **more}


def abort(request_id: str = "r1") -> dict[str, Any]:
    return {"type": "abort", "requestId": request_id}


@serviced(["Hel", 0.5, "lo"])
async def test_an_answer_is_chunks_and_an_end(service: Service) -> None:
    accepted = await service.connect()
    assert await service.tell(service.here, accepted, send()) is None
    await asyncio.sleep(5)
    kinds = [each["type"] for each in service.heard()]
    assert (service.text(), kinds[0], kinds[-1]) == ("Hello", "chunk", "end")
    assert service.heard()[-2]["chunk"]["type"] == "finish"
    assert await service.store.connections(PLACE) == ()


@serviced(["Hello"])
async def test_an_event_that_comes_again_asks_once(service: Service) -> None:
    accepted = await service.connect()
    for at in (service.here, service.here, service.there):
        await service.tell(at, accepted, send(), id="e1")
        await asyncio.sleep(3)
    assert await service.turns() == ["complete"]


@serviced(SLOW)
async def test_many_requests_of_one_socket_and_one_too_many(service: Service) -> None:
    accepted = await service.connect()
    for number in range(AT_ONCE):
        await service.tell(service.here, accepted, send(chat=f"chat-{number}", request_id=f"r{number}"))
    refused = await service.tell(service.here, accepted, send(chat="more", request_id="more"))
    assert refused["requestId"] == "more"
    assert refused["errorText"] == f"A socket may have {AT_ONCE} requests at a time."
    await asyncio.sleep(60)
    whole = "".join(each for each in SLOW if isinstance(each, str))
    assert {service.text(f"r{number}") for number in range(AT_ONCE)} == {whole}
    await service.tell(service.here, accepted, send(chat="more", request_id="more"))
    await asyncio.sleep(60)
    assert service.text("more") == whole


@serviced(SLOW)
async def test_a_resumed_answer_is_shown_from_its_beginning_wherever_it_is_made(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(5.5)
    other = await service.connect("c2")
    await service.tell(service.there, other, resume(), name="c2")
    await asyncio.sleep(60)
    assert service.heard("r2", "c2")[0]["type"] == "start"
    assert service.text("r2", "c2") == service.text()
    assert [each["type"] for each in service.heard("r2", "c2")][-1] == "end"
    await service.tell(service.there, other, resume(request_id="r3"), name="c2")
    await asyncio.sleep(1)
    assert [each["type"] for each in service.heard("r3", "c2")] == ["no-active"]


@serviced(SLOW)
async def test_what_waited_for_a_slow_service_goes_out_together(service: Service) -> None:
    service.push.delay = 4.0
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(120)
    assert service.text() == "".join(each for each in SLOW if isinstance(each, str))
    assert len(service.heard()) < 20


@pytest.mark.parametrize("at", ["here", "there"])
def test_to_abort_a_request_stops_its_turn_wherever_the_frame_comes_in(at: str) -> None:
    @serviced(SLOW)
    async def run(service: Service) -> None:
        accepted = await service.connect()
        await service.tell(service.here, accepted, send())
        await asyncio.sleep(4)
        await service.tell(getattr(service, at), accepted, abort())
        await asyncio.sleep(15)
        assert await service.turns() == ["cancelled"]

    run()


@serviced(SLOW)
async def test_an_abort_that_overtakes_its_request_finds_it(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.there, accepted, abort())
    await asyncio.sleep(0.5)
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(15)
    assert await service.turns() == ["cancelled"]


@serviced(SLOW)
async def test_to_abort_what_is_merely_watched_stops_nothing(service: Service) -> None:
    """A page that resumes twice gives the first one up."""
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    await service.tell(service.here, accepted, resume())
    await asyncio.sleep(2)
    await service.tell(service.here, accepted, abort("r2"))
    await asyncio.sleep(1)
    seen = len(service.heard("r2"))
    await asyncio.sleep(60)
    assert (len(service.heard("r2")), await service.turns()) == (seen, ["complete"])
    assert service.heard()[-1]["type"] == "end"


@serviced(SLOW)
async def test_who_leaves_right_after_asking_has_asked(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await service.tell(service.here, accepted, {}, kind="disconnected")
    await asyncio.sleep(60)
    assert await service.turns() == ["complete"]
    assert service.text() == ""


@serviced(SLOW)
async def test_the_sockets_of_a_process_that_died_are_closed_by_who_finds_it_dead(service: Service) -> None:
    accepted = await service.connect()
    await service.connect("c2")
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    [group] = [each for each in service.push.groups if each.startswith("i.")]
    service.push.fail_next("close_group", PushError(), times=3)
    service.there.app.sockets.watcher.died(group.removeprefix("i."))
    service.there.app.sockets.watcher.died("another")
    await asyncio.sleep(5)
    assert service.push.closed == ["c1"]
    assert group == instance_group(group.removeprefix("i."))


@serviced(["Hello"])
async def test_a_socket_is_in_one_group_of_a_process_however_often_that_has_something_to_do(
    service: Service,
) -> None:
    accepted = await service.connect()
    for number in range(3):
        await service.tell(service.here, accepted, send(request_id=f"r{number}"))
        await asyncio.sleep(60)
        assert service.text(f"r{number}") == "Hello"
    used = {name: members for name, members in service.push.groups.items() if name.startswith("i.")}
    assert (len(used), [*used.values()]) == (3, [[], [], ["c1"]])


@serviced(SLOW)
async def test_who_cannot_be_told_of_a_death_is_not_answered(service: Service) -> None:
    accepted = await service.connect()
    service.push.fail_next("add_to_group", PushError())
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    assert [each["type"] for each in service.heard()] == ["error"]


@serviced(SLOW)
async def test_a_process_that_ends_says_so_to_those_whom_it_shows_anothers_turns(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    await service.tell(service.there, accepted, resume())
    await asyncio.sleep(2)
    sockets = service.there.app.sockets
    assert isinstance(sockets, Sockets)
    await sockets.aclose()
    assert service.heard("r2")[-1]["type"] == "error"
    await asyncio.sleep(60)
    assert service.heard()[-1]["type"] == "end"


@serviced(["Hello"])
async def test_a_frame_that_is_lost_is_sent_again_and_one_that_is_refused_leaves_no_hole(
    service: Service,
) -> None:
    accepted = await service.connect()
    service.push.fail_next("send_to_connection", PushError(), times=2)
    service.push.fail_next("send_to_connection", PushRefused())
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(20)
    assert service.heard()[-1]["type"] == "end"
    assert service.text() == "Hello"


@serviced(["Hello"])
async def test_a_store_that_is_away_is_an_error_of_the_request(service: Service) -> None:
    accepted = await service.connect()
    service.store.fail_next("claim_request", StoreUnavailable())
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(1)
    [error] = service.heard()
    assert (error["type"], error["errorText"]) == ("error", StoreUnavailable().message)


BAD: dict[str, tuple[Any, str, str]] = {
    "no JSON": ("{", "", "Invalid JSON"),
    "a list": ([], "", "A frame must be a JSON object"),
    "no type": ({"requestId": "r"}, "r", "type: Not one of send, resume, abort"),
    "no request": ({"type": "abort"}, "", "requestId: This field must be given"),
    "a number": ({"type": "abort", "requestId": 5}, "", "requestId: Must be a text"),
    "a long one": (
        {"type": "abort", "requestId": "r" * 129},
        "",
        "requestId: Has more than 128 characters",
    ),
    "no chat": (send(chat=""), "r1", "id: Must not be empty"),
    "no messages": (send(messages=[]), "r1", "messages: Must not be empty"),
    "a long message": (send("x" * 300_000), "r1", "messages.0 is larger than 262144 bytes"),
    "a word as messages": (send(messages="Hi"), "r1", "messages: Must be a list"),
    "a word as body": (send(body="x"), "r1", "body: Must be an object"),
    "half a letter": (
        '{"type": "send", "requestId": "r1", "id": "\\ud800", "messages": []}',
        "r1",
        "id: Holds half of a surrogate pair",
    ),
    "from there on": (
        resume(lastSequence=3),
        "r2",
        "lastSequence: Leave it out: a stream is shown from its beginning",
    ),
    "a trigger": (send(trigger="x"), "r1", "trigger: Must be 'submit-message' or 'regenerate-message'"),
    "no tool": (send(body={"tools": {"a b": {}}}), "r1", "tools.a b"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_told_to_its_request(name: str) -> None:
    frame, request_id, text = BAD[name]

    @serviced(["Hello"])
    async def run(service: Service) -> None:
        reply = await service.tell(service.here, await service.connect(), frame)
        assert (reply["type"], reply["requestId"]) == ("error", request_id)
        assert reply["errorText"].startswith(text)
        check_frame("ai-sdk-socket", reply)

    run()


@serviced(["Hello"])
async def test_a_flood_is_told_to_each_request_and_ends_the_socket(service: Service) -> None:
    accepted = await service.connect()
    replies = [
        await service.tell(service.here, accepted, resume(request_id=f"r{number}")) for number in range(120)
    ]
    refused = [each for each in replies if each]
    assert {each["type"] for each in refused} == {"error"}
    assert refused[-1]["requestId"].startswith("r")
    assert "c1" in service.push.closed


@serviced(SLOW)
async def test_anothers_chat_is_one_that_is_not_there(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    session_id = await service.store.find_claimed("ann", "chat-1")
    eve = await service.connect("c2", user="eve")
    session = await service.store.get_session("ann", session_id)
    for number, chat in enumerate(("chat-1", session_id, session.running_turn)):
        await service.tell(service.here, eve, resume(chat, request_id=f"e{number}"), name="c2")
        await asyncio.sleep(1)
        assert [each["type"] for each in service.heard(f"e{number}", "c2")] == ["no-active"]
    await service.tell(service.here, eve, send(chat=session_id), name="c2")
    await service.tell(service.here, eve, abort(), name="c2")
    await asyncio.sleep(60)
    assert await service.turns() == ["complete"]


def limited(*scopes: Scope) -> Credential:
    return Credential(scopes=frozenset(scopes))


@serviced(SLOW)
async def test_who_may_only_read_watches_and_asks_nothing(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    reader = await service.connect("c2", credential=limited("read"))
    reply = await service.tell(service.here, reader, send(request_id="r9"), name="c2")
    assert (reply["type"], reply["requestId"]) == ("error", "r9")
    await service.tell(service.here, reader, resume(), name="c2")
    await service.tell(service.here, reader, resume(request_id="r3"), name="c2")
    await asyncio.sleep(2)
    assert await service.tell(service.here, reader, abort("r3"), name="c2") is None
    seen = service.heard("r3", "c2")
    await asyncio.sleep(60)
    assert (service.text("r2", "c2"), service.heard("r3", "c2")) == (service.text(), seen)


@serviced(SLOW)
async def test_who_is_taken_out_hears_no_further_word(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    session_id = await service.store.find_claimed("ann", "chat-1")
    await let_into(service.store, session_id, "bob")
    bob = await service.connect("c2", user="bob")
    await service.tell(service.there, bob, resume(session_id), name="c2")
    await asyncio.sleep(2)

    async def take_out() -> None:
        await service.store.remove_member("ann", session_id, "bob")

    await service.here.app.evictions.during(session_id, "bob", take_out)
    await asyncio.sleep(2)
    seen = service.heard("r2", "c2")
    assert (seen[0]["type"], seen[-1]["type"]) == ("start", "error")
    await asyncio.sleep(60)
    assert service.heard("r2", "c2") == seen


@serviced(SLOW)
async def test_a_credential_that_ends_ends_the_answer_and_the_socket(service: Service) -> None:
    ends = Credential(service.clock.now() + timedelta(seconds=10))
    accepted = await service.connect(credential=ends)
    await service.tell(service.here, accepted, {}, kind="connected")
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(30)
    assert service.heard()[-1]["errorText"] == CredentialEnded().message
    assert service.push.closed == ["c1"]
    assert await service.tell(service.there, accepted, send(request_id="r5")) is None
    assert service.heard("r5") == []


@pytest.mark.parametrize("again", ["here", "there"])
@pytest.mark.parametrize("frame", [send(), resume(request_id="r1")], ids=["send", "resume"])
def test_an_event_that_comes_again_is_answered_once_wherever_it_comes_in(
    again: str, frame: dict[str, Any]
) -> None:
    """Two answers to one request would be merged differently, and numbered alike."""

    @serviced(SLOW)
    async def run(service: Service) -> None:
        accepted = await service.connect()
        if frame["type"] == "resume":
            await service.tell(service.here, accepted, send(request_id="r0"))
            await asyncio.sleep(1)
        await service.tell(service.here, accepted, frame, id="e1")
        await asyncio.sleep(5.5)
        await service.tell(getattr(service, again), accepted, frame, id="e1")
        await asyncio.sleep(60)
        assert service.text() == "".join(each for each in SLOW if isinstance(each, str))
        assert [each["type"] for each in service.heard()].count("end") == 1

    run()


@pytest.mark.parametrize("at", ["here", "there"])
def test_a_request_that_takes_the_id_of_another_is_refused(at: str) -> None:
    @serviced(["Hello"])
    async def run(service: Service) -> None:
        accepted = await service.connect()
        await service.tell(service.here, accepted, send())
        await asyncio.sleep(5)
        answered = service.heard()
        for frame in (send("And?"), send(), resume(request_id="r1")):
            await service.tell(getattr(service, at), accepted, frame)
            await asyncio.sleep(5)
            assert service.push.seen["c1"][-1]["errorText"].startswith("requestId: ")
        assert service.push.seen["c1"][: len(answered)] == answered
        assert await service.turns() == ["complete"]

    run()


@serviced(["Hel", 120.0, "lo"])
async def test_a_request_that_nobody_waits_for_takes_no_place(service: Service) -> None:
    """A page that goes to and fro while a tool takes its time."""
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    for number in range(2 * AT_ONCE):
        await service.tell(service.here, accepted, resume(request_id=f"w{number}"))
        await asyncio.sleep(1)
        await service.tell(service.here, accepted, abort(f"w{number}"))
        await asyncio.sleep(1)
    await service.tell(service.here, accepted, resume(request_id="last"))
    await asyncio.sleep(200)
    assert (service.text(), service.text("last")) == ("Hello", "Hello")


@serviced(SLOW)
async def test_nothing_is_sent_to_a_socket_whose_end_another_process_heard_of(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(5)
    service.push.gone.add("c1")
    await service.tell(service.there, accepted, {}, kind="disconnected")
    await asyncio.sleep(3)
    sent = service.push.sends
    await asyncio.sleep(60)
    assert (service.push.sends, await service.turns()) == (sent, ["complete"])


@serviced(SLOW)
async def test_an_abort_outlasts_a_store_that_is_away(service: Service) -> None:
    accepted = await service.connect()
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(2)
    service.store.fail_next("find_made", StoreUnavailable(), times=6)
    await service.tell(service.there, accepted, abort())
    await asyncio.sleep(20)
    assert await service.turns() == ["cancelled"]


@serviced(SLOW)
async def test_a_key_that_is_revoked_ends_the_answer_whichever_process_gives_it(service: Service) -> None:
    now = service.clock.now()
    scopes: frozenset[Scope] = frozenset(("read", "write"))
    key = ApiKey("K" * 26, "ann", "", scopes, b"", now, now + timedelta(days=1))
    await service.store.add_key(key)
    accepted = await service.connect(credential=Credential(key.expires_at, key.scopes, key.id))
    await service.tell(service.here, accepted, send())
    await asyncio.sleep(5)

    async def remove() -> None:
        await service.store.remove_key("ann", key.id)

    await service.there.app.evictions.revoke(key.id, remove)
    assert service.push.closed == ["c1"]
    await asyncio.sleep(2)
    answers = [each for each in service.push.seen["c1"] if each["requestId"] == "r1"]
    assert answers[-1]["errorText"] == CredentialEnded().message
    await asyncio.sleep(60)
    assert service.heard() == answers
