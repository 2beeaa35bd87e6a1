"""The table of docs/security.md, walked: every route and every frame of a socket, as everybody who may come."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from websockets.exceptions import InvalidStatus

from chat.conversation import MEMBER_ROLES
from chat.routes.admission import scope_of
from chat.routes.route_table import Route
from scripts.write_docs import read_routes
from tests.support.clients import ChatClient, Reply, connected
from tests.support.described import document
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import Socket
from tests.support.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

API = "/api/v1/chat"
MEMBERS = ("viewer", "editor", "owner")
KNOWN = ("stranger", *MEMBERS, "admin")
UNKNOWN = ("nobody", "expired", "another audience", "not signed", "signed with the public key")
ROWS = [(method, path, row) for method, path, row in read_routes() if "webpubsub" not in path]
# Of rows that are about what one is invited to: a member has accepted already, and nobody else here is invited.
INVITED = {
    **{
        ("accept_invitation", name): "ok" if name in ("viewer", "editor", "owner") else "404"
        for name in KNOWN
    },
    **{("decline_invitation", name): "404" for name in KNOWN},
}


@pytest.fixture(scope="module")
def signed() -> Generator[Stack]:
    with Stack.start(env=ONE_ATTEMPT, flags=["--auth", "jwt"]) as running:
        yield running


@dataclass
class House:
    """A session with an answer in it and a member of each role, and somebody of every kind before its door."""

    stack: Stack
    http: aiohttp.ClientSession
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    ids: dict[str, str] = field(default_factory=dict[str, str])

    def client(self, name: str) -> ChatClient:
        token = self.tokens[name]
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return ChatClient(self.http, self.stack.url, name, headers)

    async def open(self) -> "House":
        for name in (*KNOWN, "other"):
            self.tokens[name] = await self._token(user=name, roles="admin" if name == "admin" else "")
        good = self.tokens["owner"]
        self.tokens |= {
            "nobody": "",
            "expired": await self._token(user="owner", lifetime="-60"),
            "another audience": await self._token(user="owner", audience="api://another"),
            "not signed": forged(good, {"alg": "none"}, _nothing),
            "signed with the public key": forged(good, {"alg": "HS256"}, await self._signer()),
        }
        self.ids = await self.session()
        return self

    async def session(self) -> dict[str, str]:
        """A new one, with the members of the house, and what it has."""
        owner = self.client("owner")
        async with owner.say("#chunks=1 Hello") as stream:
            await stream.read()
            session_id, turn_id = stream.session_id, stream.turn_id
        for name, role in (("viewer", "viewer"), ("editor", "editor"), ("other", "viewer")):
            path = f"{API}/sessions/{session_id}/members/{name}"
            assert (await owner.call("PUT", path, json={"role": role})).status == 200
            path = f"{API}/invitations/{session_id}/accept"
            assert (await self.client(name).call("POST", path)).status == 200
        named = dict.fromkeys(("turn_id", "message_id", "response_id"), turn_id)
        return {"session_id": session_id, "chat_id": session_id, **named}

    async def call(self, name: str, method: str, path: str, ids: Mapping[str, str], query: str = "") -> Reply:
        """A request as the document has it for an example, about what is there."""
        ids = {**ids, "user_id": self._user(name, path), "key_id": "x"}
        ids["model_id"] = "model-router"
        if "{key_id}" in path and name in KNOWN:
            made = await self.client(name).call("POST", f"{API}/keys", json={"name": "mine"})
            ids["key_id"] = made.body["id"]
        target = re.sub(r"{(\w+)}", lambda found: ids[found[1]], path) + query
        async with self.client(name).open(method, target, json=example_of(method, path)) as stream:
            text = await stream.response.read()
            body = (
                json.loads(text)
                if stream.headers.get("content-type") == "application/json" and text
                else text
            )
            return Reply(stream.status, stream.headers, body)

    @staticmethod
    def _user(name: str, path: str) -> str:
        return name if "/limits/" in path and name != "admin" else "other"

    async def _token(self, **query: str) -> str:
        async with self.http.post(f"{self.stack.issuer_url}/token", params=query) as reply:
            return (await reply.json())["access_token"]

    async def _signer(self) -> Callable[[bytes], bytes]:
        """Signs with the issuer's public key, as a secret that everybody knows."""
        async with self.http.get(f"{self.stack.issuer_url}/jwks") as reply:
            keys = (await reply.json())["keys"]
        key: Any = jwt.PyJWK(keys[0]).key
        secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

        def sign(text: bytes) -> bytes:
            return hmac.digest(secret, text, hashlib.sha256)

        return sign


def _nothing(_text: bytes) -> bytes:
    return b""


def forged(token: str, header: Mapping[str, str], sign: Callable[[bytes], bytes]) -> str:
    """The claims of a good token under another signature."""
    head = {**jwt.get_unverified_header(token), **header}
    signed = f"{_encoded(json.dumps(head).encode())}.{token.split('.')[1]}"
    return f"{signed}.{_encoded(sign(signed.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def example_of(method: str, path: str) -> Any:
    """The body of the first example; None where there is none."""
    body = document()["paths"][path][method.lower()].get("requestBody")
    if body is None:
        return None
    examples = body["content"]["application/json"].get("examples", {})
    value = next(iter(examples.values()))["value"]
    if path.endswith("/owner"):
        return {"user_id": "other"}
    return {"content": "#chunks=1 Hi"} if path.endswith("/turns") else value


def expected(row: Route, name: str) -> str:
    """What the table says: `ok`, or the status."""
    if row.who == "anyone":
        return "ok"
    if name in UNKNOWN:
        return "401"
    if row.who == "admin" and name != "admin":
        return "403"
    if (row.function, name) in INVITED:
        return INVITED[row.function, name]
    if not row.role or (row.function == "put_owner" and name == "admin"):
        return "ok"
    if name not in MEMBERS:
        return "404"
    return "ok" if MEMBER_ROLES.index(name) >= MEMBER_ROLES.index(row.role) else "403"


def outcome(reply: Reply) -> str:
    """What a reply amounts to: refused by one of these, or let in, whatever else is wrong with the request."""
    assert reply.status < 500, reply
    return str(reply.status) if reply.status in (401, 403, 404) else "ok"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(signed: Stack) -> AsyncGenerator[House]:
    async with connected(signed.url) as client:
        yield await House(signed, client._http).open()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("name", [*UNKNOWN, *KNOWN])
async def test_every_route_lets_in_whom_the_table_says_and_nobody_else(house: House, name: str) -> None:
    owner = house.client("owner")
    path = f"{API}/sessions/{house.ids['session_id']}"
    before = (await owner.call("GET", path)).body, (await owner.call("GET", f"{path}/messages")).body
    found: dict[str, str] = {}
    for method, template, row in ROWS:
        said = expected(row, name)
        changes = scope_of(row, method) != "read"
        ids = await house.session() if changes and said == "ok" and "{" in template else house.ids
        found[f"{method} {template}"] = outcome(await house.call(name, method, template, ids))
    table = {f"{method} {template}": expected(row, name) for method, template, row in ROWS}
    assert found == table
    after = (await owner.call("GET", path)).body, (await owner.call("GET", f"{path}/messages")).body
    assert after == before  # what is refused changes nothing


async def test_an_admin_reads_for_others_where_the_table_says(house: House) -> None:
    for method, template, row in ROWS:
        if row.who == "anyone" or method != "GET" or "{key_id}" in template:
            continue
        reply = await house.call("admin", method, template, house.ids, "?user_id=owner")
        assert outcome(reply) == ("ok" if row.for_others or not row.role else "404"), template
        reply = await house.call("stranger", method, template, house.ids, "?user_id=owner")
        said = "403" if row.for_others or row.who == "admin" else expected(row, "stranger")
        assert outcome(reply) == said, template


WRITES: Mapping[str, list[dict[str, Any]]] = {
    "session": [
        {"type": "send_message", "content": "#chunks=1 Hi"},
        {"type": "send_message", "content": "Hi", "reply": False},
        {"type": "approve_tool", "approvals": [{"call_id": "c", "approved": True}]},
        {"type": "typing_start"},
        {"type": "cancel"},
    ],
    "chat": [{"type": "chat", "payload": {"text": "#chunks=1 Hi"}}, {"type": "chat_cancel"}],
    "plan": [{"message": "hello"}, {"type": "cancel"}],
}
READS: Mapping[str, dict[str, Any]] = {
    "session": {"type": "ping"},
    "chat": {"type": "unheard of"},
    "plan": {"type": "ping"},
}
READ_ANSWERS = {"session": "pong", "plan": "pong"}


@pytest.mark.parametrize("name", [*UNKNOWN, *KNOWN])
@pytest.mark.parametrize("dialect", WRITES)
async def test_every_frame_of_a_socket_is_taken_from_whom_may_send_it(
    house: House, dialect: str, name: str
) -> None:
    ids = await house.session()
    address = house.stack.url.replace("http", "ws") + f"{API}/sessions/{ids['session_id']}/websocket"
    socket = Socket(f"{address}?dialect={dialect}&token={house.tokens[name]}")
    if name not in MEMBERS:
        with pytest.raises(InvalidStatus) as caught:
            await socket.open()
        # The trigger, by which events come here, knows no 404.
        assert caught.value.response.status_code == (401 if name in UNKNOWN else 400)
        return
    await socket.open()
    refused = 0
    for frame in WRITES[dialect]:
        await socket.send(frame)
        await socket.send(READS[dialect])
        answer = await socket.next(lambda each: _is_refused(each) or _is_answer(each, dialect))
        if _is_refused(answer):
            refused += 1
            await socket.next(lambda each: _is_answer(each, dialect))
    assert refused == (len(WRITES[dialect]) if name == "viewer" else 0)
    await socket.aclose()
    messages = await house.client("owner").call("GET", f"{API}/sessions/{ids['session_id']}/messages")
    assert (messages.body["total"] == 2) is (name == "viewer")


def _is_refused(frame: Any) -> bool:
    return "You may read this session" in json.dumps(frame)


def _is_answer(frame: Any, dialect: str) -> bool:
    if dialect == "chat":
        return isinstance(frame, str) and frame.startswith("Echo: ")
    return isinstance(frame, dict) and frame["type"] == READ_ANSWERS[dialect]


async def until_it_runs(house: House, session_id: str) -> None:
    async with asyncio.timeout(5):
        while not await runs(house, session_id):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def runs(house: House, session_id: str) -> bool:
    shown = await house.client("owner").call("GET", f"{API}/sessions/{session_id}")
    return shown.body["running_turn"] is not None


async def test_who_is_taken_out_before_the_first_word_hears_none(house: House) -> None:
    session_id = (await house.session())["session_id"]
    path, body = f"{API}/sessions/{session_id}/turns", {"content": "#first=1500 #chunks=1 Hi"}
    asking = asyncio.create_task(house.client("editor").call("POST", path, json=body))
    await until_it_runs(house, session_id)
    reply = await house.client("owner").call("DELETE", f"{API}/sessions/{session_id}/members/editor")
    assert reply.status == 200
    refused = await asking
    assert (refused.status, refused.body["error_code"]) == (404, "SESSION_NOT_FOUND")


async def test_whose_token_ends_before_the_first_word_hears_none(house: House) -> None:
    session_id = (await house.session())["session_id"]
    # It has ended, and is believed for two or three seconds more.
    house.tokens["brief"] = await house._token(user="owner", lifetime="-7")  # pyright: ignore[reportPrivateUsage]
    path, body = f"{API}/sessions/{session_id}/turns", {"content": "#first=3500 #chunks=1 Hi"}
    refused = await house.client("brief").call("POST", path, json=body)
    assert (refused.status, refused.body["error_code"]) == (401, "CREDENTIAL_ENDED")
