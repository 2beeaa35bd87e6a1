"""API keys over HTTP: who makes them, what they may, and that they end."""

from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any

import orjson
import pytest
from fastapi import Request

from chat.auth.base import Authenticator, Principal
from chat.clock import from_iso
from chat.credentials import Scope, key_id_of
from chat.errors import StoreUnavailable
from chat.push.base import key_group
from chat.routes.functions import functions
from chat.routes.route_table import Route
from chat.store.key_store import KEYS
from tests.support.apps import TestApp, make_app
from tests.support.fake_push import FakePush

MAKE = Route("keys:create_key", "", scope="manage", body="key_schemas:KeyBody")
LIST = Route("keys:list_keys", "", scope="manage")
REVOKE = Route("keys:delete_key", "", scope="manage")
READ, WRITE = (
    Route("sessions:list_sessions", ""),
    Route("sessions:create_session", "", "schemas:NewSessionBody"),
)

ANN = {"x-dev-user": "ann"}
LIMITED: dict[str, frozenset[Scope]] = {
    "manager": frozenset({"manage"}),
    "reader": frozenset({"read", "manage"}),
    "nobody": frozenset({"read", "write"}),
}


class Limited(Authenticator):
    """Callers whose credential is limited, as a token may be."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        name = headers.get("x-limited", "")
        return Principal(name, scopes=LIMITED[name]) if name else None


class Reply:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, orjson.loads(body)


class Scene:
    """An app that knows keys, and a way to ask it."""

    def __init__(self, made: TestApp, push: FakePush) -> None:
        self.made, self.push = made, push
        made.app.authenticators = (Limited(), *made.app.authenticators)

    async def call(
        self, method: str, row: Route, body: Any = None, headers: Mapping[str, str] = ANN, **path: str
    ) -> Reply:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"" if body is None else orjson.dumps(body)}

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": "/x", "query_string": b"", "headers": raw}
        [(_, _, function)] = functions({"/x": {method: row}})
        response = await function(Request({**scope, "path_params": path}, receive))
        return Reply(response.status_code, response.headers, bytes(response.body))

    async def make(self, headers: Mapping[str, str] = ANN, **body: Any) -> Any:
        reply = await self.call("POST", MAKE, {"name": "ci", **body}, headers)
        assert reply.status == 201, reply.body
        return reply.body

    async def status(self, row: Route, text: str, method: str = "GET", body: Any = None) -> int:
        return (await self.call(method, row, body, {"x-api-key": text})).status


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Scene]:
    push = FakePush()
    made = make_app(settings={"CHAT_AUTH": "apikey,dev", "CHAT_KEY_MAX_DAYS": "120"}, push=push)
    monkeypatch.setattr("chat.app._current", made.app)
    yield Scene(made, push)
    await made.app.close()


async def test_a_key_is_shown_once_and_is_its_user_from_then_on(scene: Scene) -> None:
    reply = await scene.call("POST", MAKE, {"name": "nightly report"})
    assert (reply.status, reply.headers["cache-control"]) == (201, "no-store")
    made = reply.body
    assert list(made) == ["key", "id", "name", "scopes", "created_at", "expires_at", "last_used_at"]
    assert (made["name"], made["scopes"], made["last_used_at"]) == ("nightly report", ["read", "write"], None)
    assert key_id_of(made["key"]) == made["id"]
    mine = (await scene.call("POST", WRITE, {}, {"authorization": f"Bearer {made['key']}"})).body
    assert mine["user_id"] == "ann"
    [listed] = (await scene.call("GET", LIST)).body["keys"]
    assert listed.pop("last_used_at") is not None
    assert listed == {name: made[name] for name in listed}
    assert made["key"] not in orjson.dumps(listed).decode()
    assert (await scene.call("GET", LIST, headers={"x-dev-user": "bob"})).body == {"keys": []}


def lived(made: Any) -> timedelta:
    return from_iso(made["expires_at"]) - from_iso(made["created_at"])


async def test_a_key_lives_as_long_as_is_asked_within_the_limit(scene: Scene) -> None:
    assert lived(await scene.make()) == timedelta(days=90)
    assert lived(await scene.make(days=120)) == timedelta(days=120)
    soon = (scene.made.app.clock.now() + timedelta(hours=1)).replace(microsecond=0)
    assert from_iso((await scene.make(expires_at=soon.isoformat()))["expires_at"]) == soon


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["admin"]}, "scopes.0"),
        ({"name": "x", "scopes": "read"}, "scopes"),
        ({"name": "x", "days": 0}, "days"),
        ({"name": "x", "days": 121}, "days"),
        ({"name": "x", "days": 10**18}, "days"),
        ({"name": "x", "expires_at": "2020-01-01"}, "expires_at"),
        ({"name": "x", "expires_at": "2999-01-01"}, "expires_at"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "expires_at": 1}, "expires_at"),
        ({"name": "x", "expires_at": "2999-01-01", "days": 1}, "expires_at"),
    ],
)
async def test_what_is_wrong_with_a_wish_is_named(scene: Scene, body: Any, field: str) -> None:
    reply = await scene.call("POST", MAKE, body)
    assert (reply.status, reply.body["details"]["field"]) == (422, field)
    assert scene.made.store.calls["add_key"] == 0


@pytest.mark.parametrize(
    ("scopes", "read", "write", "manage"),
    [(["read"], 200, 403, 403), (["write"], 403, 201, 403), (["read", "write", "manage"], 200, 201, 403)],
)
async def test_a_key_may_what_its_scopes_say_and_never_manages_keys(
    scene: Scene, scopes: list[str], read: int, write: int, manage: int
) -> None:
    made = await scene.make(scopes=scopes)
    assert await scene.status(READ, made["key"]) == read
    assert await scene.status(WRITE, made["key"], "POST", {}) == write
    assert await scene.status(LIST, made["key"]) == manage
    assert await scene.status(MAKE, made["key"], "POST", {"name": "x"}) == manage
    headers = {"x-api-key": made["key"]}
    assert (await scene.call("DELETE", REVOKE, None, headers, key_id=made["id"])).status == manage
    assert len((await scene.call("GET", LIST)).body["keys"]) == 1


async def test_nobody_gives_a_key_what_they_may_not(scene: Scene) -> None:
    assert (await scene.make({"x-limited": "reader"}))["scopes"] == ["read"]
    for name, body, status in (
        ("reader", {"scopes": ["write"]}, 403),
        ("reader", {"scopes": ["read", "manage"]}, 201),
        ("manager", {}, 422),
        ("nobody", {}, 403),
    ):
        reply = await scene.call("POST", MAKE, {"name": "x", **body}, {"x-limited": name})
        assert reply.status == status, (name, body)


async def test_no_key_is_an_admin(scene: Scene) -> None:
    made = await scene.make({"x-dev-user": "root", "x-dev-roles": "admin"})
    only = Route("sessions:list_sessions", "", who="admin")
    assert (await scene.call("GET", only, None, {"x-dev-user": "root", "x-dev-roles": "admin"})).status == 200
    reply = await scene.call("GET", only, None, {"x-api-key": made["key"], "x-dev-roles": "admin"})
    assert reply.status == 403


async def test_a_wrong_key_is_passed_on_to_no_other_way(scene: Scene) -> None:
    made = await scene.make()
    for wrong in (made["key"][:-1], made["key"] + "x", "x"):
        assert await scene.status(READ, wrong) == 401
    reply = await scene.call("GET", READ, None, {"authorization": f"Bearer {made['key'][:-1]}", **ANN})
    assert (reply.status, reply.body["error_code"]) == (401, "UNAUTHENTICATED")
    assert (await scene.call("GET", READ, None, {"authorization": "Bearer x.y.z", **ANN})).status == 200


async def test_a_revoked_key_is_refused_at_once_and_what_it_opened_is_closed(scene: Scene) -> None:
    made, other = await scene.make(), await scene.make()
    assert await scene.status(READ, made["key"]) == 200
    for each in (made, other):
        scene.push.groups[key_group(each["id"], "session")].append(f"of {each['id']}")
    reply = await scene.call("DELETE", REVOKE, key_id=made["id"])
    assert (reply.status, reply.body) == (200, {"message": "Key revoked", "id": made["id"]})
    assert await scene.status(READ, made["key"]) == 401
    assert await scene.status(READ, other["key"]) == 200
    assert scene.push.closed == [f"of {made['id']}"]
    [frame] = scene.push.seen[f"of {made['id']}"]
    assert (frame["type"], frame["error_code"]) == ("error", "CREDENTIAL_ENDED")
    assert [each["id"] for each in (await scene.call("GET", LIST)).body["keys"]] == [other["id"]]


@pytest.mark.parametrize("key_id", ["x", "0" * 26, "../..", "é"])
async def test_what_is_not_ones_own_key_cannot_be_revoked_and_leaves_no_row(
    scene: Scene, key_id: str
) -> None:
    made = await scene.make()
    for headers, wanted in ((ANN, key_id), ({"x-dev-user": "bob"}, made["id"])):
        reply = await scene.call("DELETE", REVOKE, None, headers, key_id=wanted)
        assert (reply.status, reply.body["error_code"]) == (404, "KEY_NOT_FOUND")
    assert scene.made.store.calls["note_errand"] == 0
    assert await scene.status(READ, made["key"]) == 200


async def test_a_revocation_that_found_the_store_away_may_come_again(scene: Scene) -> None:
    made = await scene.make()
    scene.made.store.fail_next("remove_key", StoreUnavailable())
    assert (await scene.call("DELETE", REVOKE, key_id=made["id"])).status == 503
    assert await scene.status(READ, made["key"]) == 200
    assert (await scene.call("DELETE", REVOKE, key_id=made["id"])).status == 200
    assert await scene.status(READ, made["key"]) == 401


async def test_there_is_an_end_to_keys(scene: Scene) -> None:
    for _ in range(KEYS):
        await scene.make()
    reply = await scene.call("POST", MAKE, {"name": "one more"})
    assert (reply.status, reply.body["error_code"]) == (409, "TOO_MANY_KEYS")


async def test_a_time_without_a_zone_is_utc(scene: Scene) -> None:
    wish = (scene.made.app.clock.now() + timedelta(days=2)).replace(microsecond=0, tzinfo=None)
    made = await scene.make(expires_at=wish.isoformat())
    assert from_iso(made["expires_at"]).replace(tzinfo=None) == wish


ROOM = Route("socket_routes:negotiate", "", dialect="session")


async def test_a_way_to_a_socket_is_no_longer_good_than_the_key_that_got_it(scene: Scene) -> None:
    session_id = (await scene.call("POST", WRITE, {})).body["id"]
    now = scene.made.app.clock.now()
    made = await scene.make(expires_at=(now + timedelta(seconds=90)).isoformat(), scopes=["read"])
    long = await scene.make()
    for each, minutes in ((made, 1.5), (long, 5)):
        reply = await scene.call("GET", ROOM, None, {"x-api-key": each["key"]}, session_id=session_id)
        assert reply.status == 200
        good = from_iso(reply.body["expires_at"]) - now
        assert abs(good - timedelta(minutes=minutes)) < timedelta(seconds=5)
        url, _, ticket_id = reply.body["url"].rpartition(".")
        told = float(url.partition("minutes=")[2].partition("&")[0])
        assert minutes - 0.1 < told <= minutes
        ticket = await scene.made.store.take(session_id, ticket_id)
        assert ticket is not None
        assert ticket.credential.key_id == each["id"]
        assert ticket.credential.scopes == frozenset(each["scopes"])
        assert ticket.credential.expires is not None and ticket.expires <= ticket.credential.expires


async def test_a_reader_is_shown_the_way_to_a_session_and_makes_none(scene: Scene) -> None:
    reader = {"x-api-key": (await scene.make(scopes=["read"]))["key"]}
    manager = {"x-api-key": (await scene.make(scopes=["manage"]))["key"]}
    chat = Route("socket_routes:negotiate", "", dialect="chat")
    for headers in (reader, manager):
        assert (await scene.call("GET", chat, None, headers)).status == 403
    assert scene.made.store.calls["create_session"] == scene.made.store.calls["issue"] == 0
    writer = {"x-api-key": (await scene.make())["key"]}
    session_id = (await scene.call("GET", chat, None, writer)).body["session_id"]
    assert (await scene.call("GET", ROOM, None, reader, session_id=session_id)).status == 200
    assert (await scene.call("GET", ROOM, None, manager, session_id=session_id)).status == 403
