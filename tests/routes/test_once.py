"""Requests with an Idempotency-Key, at the worst moments: two at once, and processes that fail or die in between. Two
instances over one store, in memory and on tables."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from chat.clock import SystemClock
from chat.errors import StoreConflict, StoreUnavailable
from chat.providers.scripted import Script
from chat.store.tables.table_service import TableService
from chat.store.tables.table_storage import TableStorage
from tests.support.apps import TestApp, make_app
from tests.support.azurite import Azurite, missing, running_azurite
from tests.support.http_instance import Answer, Instance
from tests.support.memory.store import MemoryStore
from tests.support.turns import Link, lines
from tests.support.virtual_time import VirtualClock, virtual

SESSIONS = "/api/v1/chat/sessions"
DELTA = "/api/chat/stream"
KEYS = "/api/v1/chat/keys"
HI = {"messages": [{"role": "user", "content": "Hi"}]}


class Side(Instance):
    """An instance with its own way to the store: what it calls can fail or hang."""

    def __init__(self, store: Any, *scripts: Script, clock: Any = None) -> None:
        self.link = Link(store)
        self.made: TestApp = make_app(*(scripts or (["Hello"],) * 9), store=self.link, clock=clock)
        super().__init__(self.made.app)

    async def session(self) -> str:
        return (await self.call("POST", SESSIONS, {})).json["id"]

    async def again(self, path: str, body: Any, **options: str) -> Answer:
        """A repeat, by a client that comes back when it is told to: what became of the first is noted beside it."""
        async with asyncio.timeout(10):
            while (reply := await self.post(path, body, **options)).status == 409:
                if reply.problem[1] != "REQUEST_IN_PROGRESS":
                    break
                await asyncio.sleep(0.01)
        return reply

    async def messages(self, session_id: str) -> list[str]:
        reply = await self.call("GET", f"{SESSIONS}/{session_id}/messages")
        return [each["content"] for each in reply.json["messages"]]

    async def sessions(self) -> int:
        return len((await self.call("GET", SESSIONS)).json["sessions"])


class AllPorts:
    """The ports of a store on tables, as one object."""

    def __init__(self, storage: TableStorage) -> None:
        self._ports = (
            storage.conversations,
            storage.turns,
            storage.instances,
            storage.errands,
            storage.members,
            storage.presence,
            storage.audit,
            storage.requests,
            storage.keys,
        )

    def __getattr__(self, name: str) -> Any:
        return next(getattr(port, name) for port in self._ports if hasattr(port, name))


@pytest.fixture(scope="module")
def azurite() -> Any:
    if missing():
        yield None
        return
    with running_azurite() as service:
        yield service


@pytest.fixture(params=["memory", "tables"])
async def store(request: pytest.FixtureRequest, azurite: Azurite | None) -> AsyncGenerator[Any]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if azurite is None:
        pytest.skip("Azurite is not installed; `make test` installs it")
    async with AsyncExitStack() as stack:
        prefix = f"once{os.urandom(4).hex()}"
        service = TableService({"": azurite.connection_string}, prefix)
        storage = TableStorage(service, SystemClock())
        stack.push_async_callback(storage.aclose)
        yield AllPorts(storage)


@dataclass(frozen=True)
class Creates:
    """A way to make something: where, what is asked, and the call by which the store gets it."""

    path: str  # with `{}` for a session that is there
    body: Any
    stores: str

    async def count(self, side: Side, session_id: str) -> int:
        """How many of them there are."""
        if "{}" in self.path:
            return len(await side.messages(session_id))
        return await side.sessions() - 1  # one is there for the others


CREATES = {
    "session": Creates(SESSIONS, {"title": "New"}, "create_session"),
    "message": Creates(SESSIONS + "/{}/messages", {"content": "Hi"}, "post_message"),
    "turn": Creates(SESSIONS + "/{}/turns", {"content": "Hi"}, "start_turn"),
    "turn with a session": Creates(DELTA, HI, "start_turn"),
}
EACH = {"session": 1, "message": 1, "turn": 2, "turn with a session": 1}  # what one request leaves


@pytest.fixture(params=CREATES)
def creates(request: pytest.FixtureRequest) -> Creates:
    return CREATES[request.param]


@pytest.fixture
def one(request: pytest.FixtureRequest, creates: Creates) -> int:
    return next(EACH[name] for name, each in CREATES.items() if each is creates)


def told(answer: Answer) -> Any:
    """What must be the same each time: of a stream its payloads, and whose they are."""
    turn_id = answer.headers.get("x-turn-id")
    return (answer.status, turn_id, answer.payloads) if turn_id else (answer.status, answer.json)


async def test_a_repeat_elsewhere_gets_what_is_there(store: Any, creates: Creates, one: int) -> None:
    here, there = Side(store), Side(store)
    session_id = await here.session()
    path = creates.path.format(session_id)
    first = await here.post(path, creates.body)
    assert first.status in (200, 201)
    for side in (there, here, there):
        assert told(await side.again(path, creates.body)) == told(first)
    assert await creates.count(there, session_id) == one
    assert told(await there.post(path, creates.body, key="another")) != told(first)


async def test_of_many_at_once_one_makes_it_and_the_others_follow_or_come_back(
    store: Any, creates: Creates, one: int
) -> None:
    sides = [Side(store), Side(store)]
    session_id = await sides[0].session()
    path = creates.path.format(session_id)
    answers = await asyncio.gather(*(sides[number % 2].post(path, creates.body) for number in range(8)))
    late = [each for each in answers if each.status == 409]
    assert {(*each.problem, each.headers["retry-after"]) for each in late} <= {
        (409, "REQUEST_IN_PROGRESS", "1")
    }
    made = [told(each) for each in answers if each.status != 409]
    assert made and made == made[:1] * len(made)
    assert told(await sides[1].again(path, creates.body)) == made[0]
    assert await creates.count(sides[1], session_id) == one


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_what_a_process_that_died_was_about_to_make_is_made_once_by_the_repeat(
    store: Any, creates: Creates, one: int, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died after its request was noted: before it was stored what it made, or before that was noted."""
    here, there = Side(store), Side(store)
    session_id = await here.session()
    path = creates.path.format(session_id)
    here.link.hang_next(creates.stores if moment == "before" else "note_made")
    async with dying(here.post(path, creates.body)):
        await until(lambda: here.link.hangs.total() == 0)
        early = await there.post(path, creates.body)
        assert early.problem == (409, "REQUEST_IN_PROGRESS")
        other = await there.post(path, {**creates.body, "x": 1})
        assert other.problem == (422, "IDEMPOTENCY_KEY_REUSED")
    monkeypatch.setattr("chat.routes.once.HELD", -1.0)
    again = await there.again(path, creates.body)
    assert again.status in (200, 201)
    assert told(await there.again(path, creates.body)) == told(again)
    assert await creates.count(there, session_id) == one


@pytest.mark.parametrize("landed", [False, True])
async def test_what_failed_may_be_tried_again_at_once(
    store: Any, creates: Creates, one: int, landed: bool
) -> None:
    here, there = Side(store), Side(store)
    session_id = await here.session()
    path = creates.path.format(session_id)
    here.link.fail_next(creates.stores, StoreUnavailable(), after_effect=landed)
    assert (await here.post(path, creates.body)).problem == (503, "STORE_UNAVAILABLE")
    again = await there.again(path, creates.body)
    ended = landed and creates.stores == "start_turn"  # nobody made the turn, so its maker ends it
    assert again.status in ((200, 201, 503) if ended else (200, 201))
    assert told(await there.again(path, creates.body))[:2] == told(again)[:2]
    assert await creates.count(there, session_id) == one


@pytest.mark.parametrize("moment", ["add_key", "note_made"])
async def test_two_who_make_a_key_for_one_request_make_one(
    store: Any, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one hung for so long that it was thought dead, and goes on when the second one is done."""
    here, there = Side(store), Side(store)
    here.link.hang_next(moment)
    monkeypatch.setattr("chat.routes.once.HELD", -1.0)
    first = asyncio.create_task(here.post(KEYS, {"name": "ci"}))
    await until(lambda: here.link.hangs.total() == 0)
    second = await there.again(KEYS, {"name": "ci"})
    here.link.goes_on.set()
    replies = sorted([(await first), second], key=lambda each: each.status)
    assert [each.status for each in replies] == [201, 409]
    assert replies[1].problem[1] == "SHOWN_ONCE"
    listed = (await there.call("GET", KEYS)).json["keys"]
    assert [each["id"] for each in listed] == [replies[0].json["id"]]


async def test_a_note_that_got_lost_is_made_up_for(
    store: Any, creates: Creates, one: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = Side(store), Side(store)
    session_id = await here.session()
    path = creates.path.format(session_id)
    here.link.fail_next("note_made", StoreUnavailable())
    first = await here.post(path, creates.body)
    monkeypatch.setattr("chat.routes.once.HELD", -1.0)
    for side in (here, there):
        assert told(await side.again(path, creates.body)) == told(first)
    assert await creates.count(there, session_id) == one


async def test_a_store_that_cannot_note_the_request_makes_nothing(
    store: Any, creates: Creates, one: int
) -> None:
    here = Side(store)
    session_id = await here.session()
    path = creates.path.format(session_id)
    here.link.fail_next("claim_request", StoreUnavailable())
    assert (await here.post(path, creates.body)).problem == (503, "STORE_UNAVAILABLE")
    assert await creates.count(here, session_id) == 0
    assert (await here.post(path, creates.body)).status in (200, 201)
    assert await creates.count(here, session_id) == one


REFUSED: list[tuple[str, Any, dict[str, str], int]] = [
    (SESSIONS + "/{}/turns", {"content": " "}, {}, 422),
    (SESSIONS + "/{}/turns", {"message_id": "no"}, {}, 404),
    (SESSIONS + "/{}/turns?dialect=none", {"content": "Hi"}, {}, 422),
    (SESSIONS + "/{}/turns", {"content": "Hi"}, {"user": "eve"}, 404),
    (SESSIONS + "/{}/turns", {"content": "Hi"}, {"user": "viewer"}, 403),
    (SESSIONS, {"title": 0}, {}, 422),
    (SESSIONS + "/{}/messages", {"content": "Hi", "role": "king"}, {}, 422),
    (DELTA, {"messages": []}, {}, 422),
    ("/chat", {"message": ""}, {}, 422),
]


@pytest.mark.parametrize(("path", "body", "headers", "status"), REFUSED)
async def test_what_is_refused_frees_its_key(
    path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    here = Side(MemoryStore())
    session_id = await here.session()
    await here.call("PUT", f"{SESSIONS}/{session_id}/members/viewer", {"role": "viewer"})
    await here.call("POST", f"/api/v1/chat/invitations/{session_id}/accept", user="viewer")
    for _ in range(2):
        assert (await here.post(path.format(session_id), body, **headers)).status == status
    assert (await here.post(SESSIONS, {}, **headers)).status == 201
    assert here.made.store.calls["hold_request"] == 0


@pytest.mark.parametrize("body", [b"{", b"[1]", b"", b'{"a":' * 300 + b"1" + b"}" * 300])
async def test_a_body_that_cannot_be_read_is_refused_before_its_key_is_looked_at(body: bytes) -> None:
    here = Side(MemoryStore())
    assert (await here.post(SESSIONS, body)).status in (400, 422)
    assert (await here.post(SESSIONS, {})).status == 201


OTHERS: list[tuple[str, Any]] = [
    (SESSIONS, {"title": "two"}),
    (SESSIONS, {"title": "one", "settings": {}}),
    (SESSIONS + "?x=1", {"title": "one"}),
    (DELTA, HI),
    (DELTA, {"title": "one"}),
]


@pytest.mark.parametrize(("path", "body"), OTHERS)
async def test_another_request_under_a_known_key_is_refused(path: str, body: Any) -> None:
    here = Side(MemoryStore())
    await here.post(SESSIONS, {"title": "one"})
    reply = await here.post(path, body)
    assert reply.problem == (422, "IDEMPOTENCY_KEY_REUSED")
    assert reply.json["details"]["field"] == "idempotency-key"
    assert await here.sessions() == 1


SAME = [b'{"title":"one","settings":{"a":1,"b":2}}', b' {"settings" : {"b":2, "a":1},\n "title":"\\u006fne"}']


async def test_the_same_json_written_otherwise_is_the_same_request() -> None:
    here = Side(MemoryStore())
    answers = [
        await here.post(f"{SESSIONS}?{query}", body)
        for query, body in zip(("a=1&b=2", "b=2&a=1"), SAME, strict=True)
    ]
    assert told(answers[0]) == told(answers[1])


async def test_the_same_key_of_two_users_is_two_keys() -> None:
    here = Side(MemoryStore())
    answers = [await here.post(SESSIONS, {"title": user}, user=user) for user in ("ann", "bob")]
    assert [each.status for each in answers] == [201, 201]
    assert answers[0].json["id"] != answers[1].json["id"]


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_1_to_255_characters(key: str) -> None:
    here = Side(MemoryStore())
    reply = await here.post(SESSIONS, {}, key=key)
    assert (*reply.problem, reply.json["details"]["field"]) == (422, "INVALID_INPUT", "idempotency-key")
    assert (await here.post(SESSIONS, {}, key="x" * 255)).status == 201


async def test_without_a_key_nothing_is_asked_for_or_noted() -> None:
    here = Side(MemoryStore())
    session_id = await here.session()
    for path, body in ((DELTA, HI), (f"{SESSIONS}/{session_id}/turns", {"content": "Hi"})):
        assert (await here.call("POST", path, body)).status == 200
    assert not here.link.calls.keys() & {"claim_request", "note_made", "free_key", "claim_session"}


STARTING = (
    *("claim_request", "hold_request", "note_made", "claim_session", "get_session", "load_messages"),
    *("create_session", "start_turn", "get_turn", "load_turn"),
)


@pytest.mark.parametrize(("path", "session"), [(DELTA, ""), (SESSIONS + "/{}/turns", "known")])
async def test_a_key_costs_a_start_one_call_before_its_turn_and_one_beside_it(
    path: str, session: str
) -> None:
    here = Side(MemoryStore())
    session_id = await here.session() if session else ""
    path, body = path.format(session_id), {"content": "Hi"} if session else HI
    costs: list[Counter[str]] = []
    for key in ({}, {"idempotency_key": "key"}):
        before = here.link.calls.copy()
        assert (await here.call("POST", path, body, **key)).status == 200
        await here.made.wait_for_turns()
        costs.append(Counter({name: here.link.calls[name] - before[name] for name in STARTING}))
    more = costs[1] - costs[0]
    assert more == {"claim_request": 1, "note_made": 1}


async def test_a_turn_that_runs_is_followed_from_its_beginning() -> None:
    store = MemoryStore()
    here, there = Side(store, lines(20, 0.01)), Side(store)
    session_id = await here.session()
    path, body = f"{SESSIONS}/{session_id}/turns?dialect=chat", {"content": "Hi"}
    first = asyncio.create_task(here.post(path, body))
    await until(lambda: here.link.calls["note_made"] == 1)
    again = await there.post(path, body)
    assert here.app.runner.running == 0
    assert told(again) == told(await first)


@virtual
async def test_a_message_that_waits_is_waited_for_by_its_repeat() -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    here = Side(store, lines(10, 1.0), ["Second"], clock=clock)
    there = Side(store, clock=clock)
    session_id = await here.session()
    running = asyncio.create_task(here.call("POST", f"{SESSIONS}/{session_id}/turns", {"content": "one"}))
    await asyncio.sleep(2)
    path, body = f"{SESSIONS}/{session_id}/turns", {"content": "two", "on_busy": "queue"}
    first = asyncio.create_task(here.post(path, body))
    await asyncio.sleep(1)
    again = asyncio.create_task(there.post(path, body))
    await asyncio.sleep(1)
    assert not first.done() and not again.done()
    assert told(await first) == told(await again)
    assert told(await there.post(path, body)) == told(await first)
    await running
    assert await here.messages(session_id) == ["one", lines_text(10), "two", "Second"]


@virtual
async def test_the_turn_of_a_process_that_died_is_found_and_ended_for_its_repeat() -> None:
    clock = VirtualClock()
    store = MemoryStore(clock)
    here, there = Side(store, lines(99, 1.0), clock=clock), Side(store, clock=clock)
    here.link.hang_next("note_made")
    dead = asyncio.create_task(here.post(DELTA, HI))
    await asyncio.sleep(3.5)
    here.link.freeze()
    assert (await there.post(DELTA, HI)).problem == (409, "REQUEST_IN_PROGRESS")
    await asyncio.sleep(10)
    again = await there.post(DELTA, HI)
    assert again.status == 200 and b"INTERRUPTED" in again.body and b"w1" in again.body
    assert await there.sessions() == 1
    dead.cancel()
    with suppress(asyncio.CancelledError):
        await dead


async def test_when_the_events_are_gone_the_ids_are_told() -> None:
    here = Side(MemoryStore())
    session_id = await here.session()
    turns = f"{SESSIONS}/{session_id}/turns"
    for path, body in ((DELTA, HI), (turns, {"content": "Hi"})):
        first = await here.post(path, body, key=path)
        await here.made.wait_for_turns()
        await here.app.turns.purge_events(ended_before=SystemClock().now() + timedelta(days=1))
        gone = await here.post(path, body, key=path)
        assert gone.problem == (410, "EVENTS_GONE")
        turn_id = first.headers["x-turn-id"]
        turn = (await here.call("GET", f"/api/v1/chat/turns/{turn_id}")).json
        ids = {name: gone.json["details"][name] for name in ("session_id", "turn_id", "message_id")}
        assert ids == {
            "session_id": turn["session_id"],
            "turn_id": turn_id,
            "message_id": f"{turn['session_id']}-{int(turn_id[-8:]) - 1:08d}",
        }


async def test_when_the_key_is_forgotten_too_the_session_still_knows_its_turn() -> None:
    here = Side(MemoryStore())
    session_id = await here.session()
    path, body, later = (
        f"{SESSIONS}/{session_id}/turns",
        {"content": "Hi"},
        SystemClock().now() + timedelta(days=9),
    )
    await here.post(path, body)
    await here.made.wait_for_turns()
    await here.app.turns.purge_events(ended_before=later)
    await here.app.requests.forget_requests(before=later)
    assert (await here.post(path, body)).problem == (410, "EVENTS_GONE")
    assert len(await here.messages(session_id)) == 2


async def test_what_was_deleted_since_is_not_there() -> None:
    here = Side(MemoryStore())
    first = await here.post(SESSIONS, {})
    await here.call("DELETE", f"{SESSIONS}/{first.json['id']}")
    assert (await here.post(SESSIONS, {})).problem == (404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize("error", [StoreUnavailable(), StoreConflict()])
async def test_a_key_that_cannot_be_given_back_is_no_harm(error: Exception) -> None:
    here = Side(MemoryStore())
    here.link.fail_next("free_key", error)
    assert (await here.post(SESSIONS, {"title": 0})).problem == (422, "INVALID_INPUT")


@virtual
@pytest.mark.parametrize("stored", ["create_session", "add_key"])
async def test_a_key_is_given_back_as_soon_as_the_store_is_there_again(stored: str) -> None:
    clock = VirtualClock()
    here = Side(MemoryStore(clock), clock=clock)
    path = SESSIONS if stored == "create_session" else KEYS
    here.link.fail_next(stored, StoreUnavailable())
    here.link.fail_next("let_go", StoreUnavailable(), times=2)
    assert (await here.post(path, {"name": "ci"})).status == 503
    assert (await here.post(path, {"name": "ci"})).status == 409
    await asyncio.sleep(2)
    assert (await here.post(path, {"name": "ci"})).status == 201


class dying:
    """A process that is killed at the end of the block: what it does for a request stops where it is."""

    def __init__(self, request: Awaitable[Answer]) -> None:
        self._task = asyncio.ensure_future(request)

    async def __aenter__(self) -> None:
        return

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not ready():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def lines_text(count: int) -> str:
    return "".join(f"w{number} " for number in range(1, count + 1))
