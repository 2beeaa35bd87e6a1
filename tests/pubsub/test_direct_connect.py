"""Sockets that open without negotiation: who is let in, and when their session is made."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson
import pytest

from chat.auth.base import Authenticator, Principal
from chat.errors import ChatError, SessionNotFound, StoreUnavailable, Unauthenticated, ValidationError
from chat.pubsub.handlers import handle
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.push.base import EVERYBODY, room_of
from chat.rooms.newcomers import Newcomers
from chat.store.conversation_store import SessionDraft
from tests.support.socket_apps import SocketApp, socket_app

DIRECT = {"CHAT_SOCKET_DIRECT": "true", "CHAT_SOCKET_ORIGINS": "https://chat.example.com, http://localhost:*"}
HANDSHAKE = {"upgrade": ["websocket"], "host": ["x.webpubsub.azure.com"]}
SESSION = "0" * 25 + "A"


class Trusting(Authenticator):
    """As the ways do that believe a header because somebody else stood before the door."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        return Principal("root")


@pytest.fixture
async def scene() -> AsyncGenerator[SocketApp]:
    async with socket_app(["Hello"], settings=DIRECT) as opened:
        await opened.store.create_session("ann", SessionDraft(SESSION))
        yield opened


async def connect(
    scene: SocketApp,
    connection: str = "c1",
    *,
    user: str = "",
    headers: Mapping[str, str] | None = None,
    **query: str,
) -> Accepted:
    event = SocketEvent(
        "connect",
        "connect",
        connection,
        user,
        query={name: [value] for name, value in ({"dialect": "session"} | query).items()},
        headers=HANDSHAKE | {name: [value] for name, value in (headers or {}).items()},
    )
    accepted = await handle(scene.app, event)
    assert isinstance(accepted, Accepted)
    return accepted


async def tell(
    scene: SocketApp, kind: Any, accepted: Accepted, frame: Any = None, *, connection: str = "c1"
) -> Any:
    """An event of an open socket; the frame that answers it."""
    data = orjson.dumps(frame).decode()
    event = SocketEvent(kind, "message", connection, accepted.user_id, data=data, states=accepted.states)
    reply = await handle(scene.app, event)
    assert isinstance(reply, Said)
    return reply.frame


async def say(scene: SocketApp, accepted: Accepted, text: str = "Hi", **more: Any) -> Any:
    return await tell(scene, "user", accepted, {"type": "send_message", "content": text, **more})


async def sessions(scene: SocketApp, user: str = "dev") -> list[str]:
    return [each.id for each in (await scene.store.list_sessions(user, limit=9)).items]


@pytest.mark.parametrize(
    ("query", "headers", "user"),
    [
        ({}, {}, "dev"),
        ({"user_id": "Zoë"}, {}, "Zoë"),
        ({"user_id": ""}, {}, "dev"),
        ({}, {"x-dev-user": "ann"}, "ann"),
        ({"user_id": "bob"}, {"x-dev-user": "ann"}, "bob"),
        ({"session_id": SESSION, "user_id": "ann"}, {}, "ann"),
        ({}, {"origin": "https://chat.example.com"}, "dev"),
        ({}, {"origin": "HTTPS://Chat.Example.com"}, "dev"),
        ({}, {"origin": "http://localhost:3000"}, "dev"),
    ],
)
async def test_who_says_who_they_are_is_let_in(
    scene: SocketApp, query: dict[str, str], headers: dict[str, str], user: str
) -> None:
    assert (await connect(scene, headers=headers, **query)).user_id == user


@pytest.mark.parametrize(
    ("query", "headers", "user", "error"),
    [
        ({"session_id": SESSION, "user_id": "eve"}, {}, "", SessionNotFound),
        ({"session_id": SESSION[::-1]}, {}, "", SessionNotFound),
        ({"session_id": "../.." * 9_999}, {}, "", SessionNotFound),
        ({"dialect": "delta"}, {}, "", ValidationError),
        ({"dialect": ""}, {}, "", ValidationError),
        ({"user_id": "u" * 256}, {}, "", ValidationError),
        ({}, {}, "ann", Unauthenticated),  # who has a token of the service's
        ({"ticket": f"{SESSION}.t1"}, {}, "", Unauthenticated),
        *(
            ({}, {"origin": origin}, "", Unauthenticated)
            for origin in (
                *("null", "", "*", "https://evil.example", "http://chat.example.com", "http://localhost"),
                *(
                    "https://chat.example.com:444",
                    "https://chat.example.com.evil.example",
                    "http://localhost:*:1",
                ),
                "https://chat.example.com, https://evil.example",
            )
        ),
    ],
)
async def test_nobody_else_is_and_nothing_is_left_of_them(
    scene: SocketApp, query: dict[str, str], headers: dict[str, str], user: str, error: type[ChatError]
) -> None:
    with pytest.raises(error):
        await connect(scene, user=user, headers=headers, **query)
    assert scene.store.calls["enter"] == scene.store.calls["change_person"] == 0


async def test_a_handshake_whose_headers_are_not_known_is_refused(scene: SocketApp) -> None:
    with pytest.raises(Unauthenticated):
        await handle(scene.app, SocketEvent("connect", "connect", "c1", "", query={"dialect": ["chat"]}))


async def test_who_is_known_only_behind_another_door_is_not_known_here(scene: SocketApp) -> None:
    scene.app.authenticators = (Trusting(),)
    with pytest.raises(Unauthenticated):
        await connect(scene, headers={"x-user-id": "ann", "x-ms-client-principal-id": "ann"})


async def test_a_header_that_came_twice_is_not_the_first_of_them(scene: SocketApp) -> None:
    heard: list[str] = []

    class Listening(Authenticator):
        async def authenticate_socket(
            self, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]
        ) -> Principal | None:
            heard.append(headers["x-chat-authorization"])
            return None

    scene.app.authenticators = (Listening(),)
    headers = HANDSHAKE | {"x-chat-authorization": ["Bearer a", "Bearer b"]}
    with pytest.raises(Unauthenticated):
        await handle(
            scene.app,
            SocketEvent("connect", "connect", "c1", "", query={"dialect": ["chat"]}, headers=headers),
        )
    assert heard == ["Bearer a, Bearer b"]


@pytest.mark.parametrize("settings", [{}, {"CHAT_SOCKET_DIRECT": "false"}])
async def test_without_the_setting_nobody_is_let_in(settings: dict[str, str]) -> None:
    async with socket_app(settings=settings) as scene:
        with pytest.raises(Unauthenticated):
            await connect(scene)


async def test_a_member_is_let_into_a_session_as_with_a_ticket(scene: SocketApp) -> None:
    accepted = await connect(scene, session_id=SESSION, user_id="ann")
    assert accepted.groups == (EVERYBODY, room_of(SESSION, "session"))
    assert (accepted.states["session"], accepted.states["seq"]) == (SESSION, "0")
    assert [each.id for each in await scene.store.connections(SESSION)] == ["c1"]


async def test_connecting_four_times_makes_one_session_and_it_makes_it_with_the_first_message(
    scene: SocketApp,
) -> None:
    tries = [await connect(scene) for _ in range(4)]
    for each in tries[-2:]:
        await tell(scene, "connected", each)
    assert await sessions(scene) == []
    assert scene.store.calls["enter"] == scene.store.calls["change_person"] == 0
    for number, each in enumerate(tries):
        assert (await say(scene, each, f"Hi {number}", request_id="r", reply=False))["type"] == "ack"
    [made] = await sessions(scene)
    assert tries[0].groups == (EVERYBODY, room_of(made, "session"))
    messages = await scene.store.list_messages("dev", made, limit=9)
    assert [each.content for each in messages] == ["Hi 0", "Hi 1", "Hi 2", "Hi 3"]
    assert scene.store.calls["create_session"] == 2  # with the one of the fixture


async def test_whoever_says_nothing_leaves_nothing(scene: SocketApp) -> None:
    accepted = await connect(scene)
    await tell(scene, "connected", accepted)
    await tell(scene, "disconnected", accepted)
    session_id = accepted.states["session"]
    assert await sessions(scene) == []
    assert (await scene.store.present(session_id)).last_seen == {}
    assert await scene.store.connections(session_id) == ()


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ({"type": "ping"}, {"type": "pong"}),
        ({"type": "typing_start"}, None),
        ({"type": "cancel"}, None),
        ({"type": "cancel", "turn_id": "t"}, "TURN_NOT_FOUND"),
        ({"type": "resume", "turn_id": f"{SESSION}-00000002"}, "TURN_NOT_FOUND"),
        ({"type": "send_message", "content": ""}, "INVALID_INPUT"),
        ({"type": "approve_tool", "approvals": [{"call_id": "c", "approved": True}]}, "INVALID_INPUT"),
        ({"type": "send_message", "content": "x" * (256 * 1024 + 1)}, "TOO_LARGE"),
    ],
)
async def test_what_says_nothing_begins_no_session_and_closes_no_socket(
    scene: SocketApp, frame: dict[str, Any], answer: Any
) -> None:
    said = await tell(scene, "user", await connect(scene), frame)
    assert (said["error_code"] if isinstance(answer, str) else said) == answer
    assert await sessions(scene) == []
    assert scene.push.closed == []


async def test_the_first_message_makes_all_that_a_connection_has_else(scene: SocketApp) -> None:
    accepted = await connect(scene)
    ack = await say(scene, accepted, request_id="r")
    [made] = await sessions(scene)
    assert ack["turn_id"] == f"{made}-00000002"
    [row] = await scene.store.connections(made)
    assert (row.id, row.user_id, row.dialect) == ("c1", "dev", "session")
    await tell(scene, "disconnected", accepted)
    present = await scene.store.present(made)
    assert (present.connections, list(present.last_seen)) == ((), ["dev"])


async def test_it_is_made_once_though_others_take_the_next_messages(scene: SocketApp) -> None:
    accepted = await connect(scene)
    await say(scene, accepted, reply=False)
    scene.sockets.newcomers = Newcomers()  # as in another process
    await say(scene, accepted, "More", reply=False)
    await say(scene, accepted, "And more", reply=False)
    assert len(await sessions(scene)) == 1
    assert scene.store.calls["create_session"] == 2
    assert scene.store.calls["enter"] == 1


async def test_messages_that_come_at_once_make_it_once(
    scene: SocketApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chat")
    accepted = await connect(scene)
    await asyncio.gather(*(say(scene, accepted, each, reply=False) for each in "abc"))
    [made] = await sessions(scene)
    assert len(await scene.store.list_messages("dev", made, limit=9)) == 3
    assert caplog.text.count("session_created") == scene.store.calls["enter"] == 1


async def test_a_message_that_found_the_store_away_may_come_again(scene: SocketApp) -> None:
    accepted = await connect(scene)
    for call in ("get_session", "enter", "change_person", "create_session"):
        scene.store.fail_next(call, StoreUnavailable())
        assert (await say(scene, accepted, reply=False))["error_code"] == "STORE_UNAVAILABLE"
    assert await sessions(scene) == []
    await say(scene, accepted, reply=False)
    [made] = await sessions(scene)
    assert [each.id for each in await scene.store.connections(made)] == ["c1"]


async def test_who_says_something_and_leaves_at_once_is_not_there_for_ever(scene: SocketApp) -> None:
    accepted = await connect(scene)
    await tell(scene, "disconnected", accepted)
    await say(scene, accepted, reply=False)  # its event was overtaken
    [made] = await sessions(scene)
    assert await scene.store.connections(made) == ()


async def test_who_is_gone_when_its_session_is_made_is_not_there_for_ever(scene: SocketApp) -> None:
    """Its end was taken by another process, which knew of nothing."""
    accepted = await connect(scene)
    scene.push.gone.add("c1")
    await say(scene, accepted, reply=False)
    [made] = await sessions(scene)
    assert await scene.store.connections(made) == ()


async def test_a_plan_for_another_session_is_refused_and_makes_none(scene: SocketApp) -> None:
    accepted = await connect(scene, dialect="plan")
    answer = await tell(scene, "user", accepted, {"message": "add a museum", "session_id": "another"})
    assert (answer["type"], answer["field"]) == ("error", "session_id")
    assert await sessions(scene) == []


async def test_a_session_that_was_deleted_is_not_made_again(scene: SocketApp) -> None:
    accepted = await connect(scene)
    await say(scene, accepted, reply=False)
    [made] = await sessions(scene)
    await scene.store.delete_session("dev", made)
    assert (await say(scene, accepted, reply=False))["error_code"] == "SESSION_NOT_FOUND"
    assert await sessions(scene) == []


async def test_its_room_is_told_of_before_it_is_made(scene: SocketApp) -> None:
    accepted = await connect(scene)
    await tell(scene, "connected", accepted)
    [welcome] = scene.push.seen["c1"]
    assert welcome["type"] == "connection_established"
    assert (welcome["session_id"], welcome["user_id"]) == (accepted.states["session"], "dev")
    assert welcome["running_turn"] is None
    assert [(each["user_id"], each["role"], each["online"]) for each in welcome["members"]] == [
        ("dev", "owner", True)
    ]


async def test_sessions_are_listed_in_the_order_of_their_creation(scene: SocketApp) -> None:
    accepted = await connect(scene)
    asked_at = scene.app.clock.now()
    await say(scene, accepted, reply=False)
    session = await scene.store.get_session("dev", accepted.states["session"])
    assert abs(session.created_at - asked_at) < timedelta(seconds=1)
    assert session.created_at <= session.updated_at
