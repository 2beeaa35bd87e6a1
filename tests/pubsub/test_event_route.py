"""The events of sockets over HTTP: whatever is signed is answered, or refused as the sender's fault."""

import hashlib
import hmac
from collections.abc import AsyncGenerator
from random import Random
from typing import Any

import orjson
import pytest
from fastapi import Request

from chat.errors import ChatError, ValidationError
from chat.routes.socket_routes import take_socket_event
from chat.store.conversation_store import SessionDraft
from tests.support.socket_apps import SocketApp, socket_app

KEY, SESSION, EVENTS = "secret", "0" * 25 + "A", 1500
SETTINGS = {
    "CHAT_WEBPUBSUB_EVENTS": "http",
    "CHAT_SOCKET_DIRECT": "true",
    "CHAT_SOCKET_ORIGINS": "https://chat.example.com",
}


@pytest.fixture
async def scene() -> AsyncGenerator[SocketApp]:
    async with socket_app(["Hello"], settings=SETTINGS) as opened:
        opened.sockets.keys = (KEY,)
        await opened.store.create_session("ann", SessionDraft(SESSION))
        yield opened


def event(body: bytes, **headers: str) -> Request:
    """A signed one."""
    given = {
        "ce-type": "azure.webpubsub.sys.connect",
        "ce-hub": "chat",
        "ce-eventname": "connect",
        "ce-connectionid": "c1",
        "content-type": "application/json",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    signature = hmac.digest(KEY.encode(), given["ce-connectionid"].encode(), hashlib.sha256).hex()
    given["ce-signature"] = f"sha256={signature}"
    raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in given.items()]

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/x", "headers": raw}, receive)


async def test_an_event_of_another_hub_is_refused_though_its_signature_is_good(scene: SocketApp) -> None:
    good = orjson.dumps({"query": {"dialect": ["chat"]}, "headers": {"host": ["x"]}})
    assert (await take_socket_event(scene.app, event(good, ce_hub="CHAT"))).status_code == 200
    with pytest.raises(ValidationError) as refused:
        await take_socket_event(scene.app, event(good, ce_hub="other"))
    assert (refused.value.status, refused.value.field) == (422, "ce-hub")


JUNK: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        "x" * 300,
        "\x00",
        "é",
        "%ff",
        "..",
        "a/b",
        "chat",
        "connect",
        SESSION,
    ),
    *("azure.webpubsub.sys.connect", "azure.webpubsub.user.message", "azure.webpubsub.sys.connected"),
    *("text/plain", "application/json", "https://chat.example.com", "ann", f"{SESSION}.t", "e30=", "W10="),
    *([], [None], [[]], ["x", 7], {}, {"a": None}, {"a": []}, {"a": ["b"]}, {"": [""]}, {"a": {"b": []}}),
]
NAMES = ("query", "subprotocols", "headers", "claims", "reason", "type", "content", "payload", "x")
WITHIN = ("ticket", "dialect", "session_id", "user_id", "token", "origin", "Origin", "x-dev-user", "host")
HEADERS = ("type", "hub", "eventname", "connectionid", "id", "userid", "connectionstate", "specversion")


def junk_body(dice: Random) -> bytes:
    """Half of it is a good handshake, but for a thing or two."""
    if dice.random() < 0.1:
        return dice.choice((b"", b"{", b"\xff", b"[" * 999, b'"\\ud800"', b'{"query":{"a":["\\ud800"]}}'))
    if dice.random() < 0.1:
        return orjson.dumps(dice.choice(JUNK))
    said: dict[str, Any] = {"query": {"dialect": ["chat"]}, "headers": {"host": ["x"]}}
    for name in dice.sample(NAMES, dice.randrange(3)):
        said[name] = dice.choice(JUNK)
    for name in dice.sample(WITHIN, dice.randrange(3)):
        if isinstance(part := said[dice.choice(("query", "headers"))], dict):
            part[name] = dice.choice(([], [dice.choice(JUNK)], [str(dice.choice(JUNK))], dice.choice(JUNK)))
    return orjson.dumps(said)


def junk_headers(dice: Random) -> dict[str, str]:
    texts = [each for each in JUNK if isinstance(each, str)]
    chosen = dice.sample(HEADERS, dice.choice((0, 0, 1, 2)))
    made = {f"ce_{name}": dice.choice(texts) for name in chosen}
    return made | ({"content_type": dice.choice(texts)} if dice.random() < 0.2 else {})


async def test_signed_junk_is_never_our_fault(scene: SocketApp) -> None:
    dice = Random(7)
    statuses = set[int]()
    for number in range(EVENTS):
        body, headers = junk_body(dice), junk_headers(dice)
        try:
            statuses.add((await take_socket_event(scene.app, event(body, **headers))).status_code)
        except ChatError as error:
            assert error.status < 500, (number, headers, body)
            statuses.add(error.status)
    assert {200, 400, 401, 422} <= statuses
