"""A turn on a socket that the application owns."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chat import handle_chat_message
from tests.support.apps import TestApp, make_app
from tests.support.processes import ROOT
from tests.support.turns import ask


class JsonSocket:
    """A socket of the kind that takes objects."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    async def send_json(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)

    @property
    def said(self) -> str:
        return "".join(each["payload"].get("text", "") for each in self.frames)


class TextSocket:
    """A socket of the kind that takes text alone."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send_text(self, text: str) -> None:
        self.sent.append(text)


class BrokenSocket(JsonSocket):
    """Its other end leaves after the first frame."""

    async def send_json(self, frame: dict[str, Any]) -> None:
        if self.frames:
            raise ConnectionResetError("left")
        await super().send_json(frame)


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[TestApp]:
    """The app of this process."""
    made = make_app(["Hel", "lo"])
    monkeypatch.setattr("chat.app._current", made.app)
    yield made
    await made.app.close()


async def test_a_socket_gets_the_frames_of_the_chat_dialect(served: TestApp) -> None:
    socket = JsonSocket()
    session_id = await handle_chat_message("Hi", socket)
    turn_id = f"{session_id}-00000002"
    assert socket.frames == [
        {"type": "chat_start", "payload": {}, "turn_id": turn_id, "seq": 1, "session_id": session_id},
        {"type": "chat_chunk", "payload": {"text": "Hel", "done": False}, "turn_id": turn_id, "seq": 4},
        {"type": "chat_chunk", "payload": {"text": "lo", "done": False}, "turn_id": turn_id, "seq": 5},
        {"type": "chat_chunk", "payload": {"text": "", "done": True}, "turn_id": turn_id, "seq": 99_999_999},
    ]


async def test_a_socket_without_send_json_gets_the_same_frames_as_text(served: TestApp) -> None:
    spoken, written = JsonSocket(), TextSocket()
    session_id = await handle_chat_message("Hi", spoken)
    other_id = await handle_chat_message("Hi", written)
    expected = [json.loads(json.dumps(each).replace(session_id, other_id)) for each in spoken.frames]
    assert [json.loads(text) for text in written.sent] == expected


async def test_messages_on_one_socket_are_one_conversation(served: TestApp) -> None:
    socket = JsonSocket()
    first = await handle_chat_message("Hi", socket)
    second = await handle_chat_message("And then?", socket)
    assert first == second
    shown = [message.content for message in served.provider.requests[1].messages]
    assert shown == ["Be brief.", "Hi", "Hello", "And then?"]


async def test_another_socket_is_another_conversation(served: TestApp) -> None:
    first, second = JsonSocket(), JsonSocket()
    assert await handle_chat_message("Hi", first) != await handle_chat_message("Hi", second)


async def test_a_session_that_is_named_goes_on_on_any_socket(served: TestApp) -> None:
    session_id = await handle_chat_message("Hi", JsonSocket(), user_id="ann")
    assert await handle_chat_message("More", JsonSocket(), user_id="ann", session_id=session_id) == session_id
    assert len(await served.store.list_messages("ann", session_id, limit=10)) == 4


async def test_a_session_of_another_user_is_refused_on_the_socket(served: TestApp) -> None:
    session_id = await handle_chat_message("Hi", JsonSocket(), user_id="ann")
    socket = JsonSocket()
    await handle_chat_message("Hi", socket, user_id="bob", session_id=session_id)
    [frame] = socket.frames
    assert (frame["type"], frame["payload"]["code"]) == ("chat_error", "SESSION_NOT_FOUND")


@pytest.mark.parametrize("text", ["", " \n\t"])
async def test_an_empty_text_is_a_chat_error_and_no_turn(served: TestApp, text: str) -> None:
    socket = JsonSocket()
    assert await handle_chat_message(text, socket) == ""
    error = {"error": "Message content cannot be empty", "code": "INVALID_INPUT", "retryable": False}
    error["field"] = "text"
    assert socket.frames == [{"type": "chat_error", "payload": error}]
    assert not served.provider.requests


LIMIT = 256 * 1024


@pytest.mark.parametrize(
    ("text", "options", "field", "code"),
    [
        ("x" * (LIMIT + 1), {}, "text", "TOO_LARGE"),
        ("é" * (LIMIT // 2) + "x", {}, "text", "TOO_LARGE"),
        ("Hi \ud800", {}, "text", "INVALID_INPUT"),
        ("\udfff" * LIMIT, {}, "text", "INVALID_INPUT"),
        ("Hi", {"session_id": "s" * 256}, "session_id", "INVALID_INPUT"),
        ("Hi", {"session_id": "\ud800"}, "session_id", "INVALID_INPUT"),
        ("Hi", {"user_id": "u" * 256}, "user_id", "INVALID_INPUT"),
        ("Hi", {"user_id": "\ud800"}, "user_id", "INVALID_INPUT"),
    ],
)
async def test_what_no_schema_stands_before_is_refused_here(
    served: TestApp, text: str, options: dict[str, str], field: str, code: str
) -> None:
    socket = JsonSocket()
    await handle_chat_message(text, socket, **options)
    [frame] = socket.frames
    assert (frame["payload"]["code"], frame["payload"]["field"]) == (code, field)
    assert not served.provider.requests


async def test_a_refused_text_does_not_make_the_conversation_unusable(served: TestApp) -> None:
    socket = JsonSocket()
    session_id = await handle_chat_message("Hi", socket)
    await handle_chat_message("\ud800", socket)
    assert await handle_chat_message("Still there?", socket) == session_id
    assert served.provider.requests[1].messages[-1].content == "Still there?"


async def test_an_empty_text_does_not_end_the_conversation(served: TestApp) -> None:
    socket = JsonSocket()
    session_id = await handle_chat_message("Hi", socket)
    assert await handle_chat_message("", socket) == session_id
    assert await handle_chat_message("Still there?", socket) == session_id


async def test_a_turn_goes_on_when_its_socket_breaks(served: TestApp) -> None:
    with pytest.raises(ConnectionResetError):
        await handle_chat_message("Hi", BrokenSocket(), user_id="ann")
    await served.wait_for_turns()
    [session] = (await served.store.list_sessions("ann", limit=2)).items
    answer = (await served.store.list_messages("ann", session.id, limit=10))[-1]
    assert (answer.status, answer.content) == ("complete", "Hello")


async def test_a_busy_session_is_a_chat_error(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()
    made = make_app(["Hel", gate, "lo"])
    monkeypatch.setattr("chat.app._current", made.app)
    session = (await made.app.runner.start(ask())).turn.session_id
    socket = JsonSocket()
    await handle_chat_message("Now!", socket, user_id="ann", session_id=session)
    assert socket.frames[0]["payload"]["code"] == "TURN_IN_PROGRESS"
    gate.set()
    await made.wait_for_turns()
    await made.app.close()


async def test_a_model_that_fails_is_a_chat_error_in_place_of_done(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_app(["Hel", RuntimeError("secret")])
    monkeypatch.setattr("chat.app._current", made.app)
    socket = JsonSocket()
    await handle_chat_message("Hi", socket)
    assert [each["type"] for each in socket.frames] == ["chat_start", "chat_chunk", "chat_error"]
    assert socket.said == "Hel"
    assert "secret" not in str(socket.frames)
    await made.app.close()


@pytest.mark.parametrize("statement", ["import chat", "from chat import handle_chat_message"])
def test_the_import_costs_no_sdk(statement: str) -> None:
    code = f"{statement}; import sys; print({{'azure', 'fastapi', 'aiohttp'}} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "set()\n"


def test_the_package_has_nothing_else_to_give() -> None:
    import chat

    with pytest.raises(AttributeError, match="no attribute 'handle_nothing'"):
        _ = chat.handle_nothing
