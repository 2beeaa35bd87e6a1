"""What tests hold replies and frames against bites: a wrong type, a missing key, and one that is not described."""

from typing import Any

import pytest

from chat.dialects.shapes import show_problem
from chat.errors import NotFound
from tests.support.described import check_frame, check_reply, dialect_of

TEXT = {"type": "text.delta", "delta": "word", "seq": 4}
CHUNK = {"type": "chat_chunk", "payload": {"text": "word", "done": False}, "turn_id": "t", "seq": 4}


@pytest.mark.parametrize(
    ("dialect", "frame"), [("delta", TEXT), ("delta", TEXT | {"seq": "4.1"}), ("chat", CHUNK)]
)
def test_a_frame_of_the_dialect_passes(dialect: str, frame: Any) -> None:
    check_frame(dialect, frame)


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        ("delta", TEXT | {"more": 1}),
        ("delta", TEXT | {"delta": None}),
        ("delta", {"type": "text.delta", "seq": 4}),
        ("delta", TEXT | {"seq": 10**8}),
        ("delta", CHUNK),
        ("chat", CHUNK | {"payload": {"text": "word", "done": False, "more": 1}}),
        ("chat", TEXT),
        (
            "session",
            {"type": "message_update", "session_id": "s", "message": {"id": "m"}, "action": "updated"},
        ),
        ("plan", {"type": "done"}),
    ],
)
def test_any_other_does_not(dialect: str, frame: Any) -> None:
    with pytest.raises(AssertionError):
        check_frame(dialect, frame)


PROBLEM = show_problem(NotFound())


@pytest.mark.parametrize(
    ("path", "status", "body", "passes"),
    [
        ("/api/v1/chat/turns/x", 404, PROBLEM, True),
        ("/api/v1/chat/turns/x", 404, {**PROBLEM, "more": 1}, False),
        ("/api/v1/chat/turns/x", 410, PROBLEM, False),
        ("/api/v1/chat/turns/x", 200, PROBLEM, False),
        ("/api/v1/chat/health", 503, PROBLEM, True),
        ("/no/such/path", 404, {}, True),
    ],
)
def test_a_reply_is_held_against_its_route(path: str, status: int, body: Any, passes: bool) -> None:
    try:
        check_reply("GET", path, status, "application/json", body)
    except AssertionError:
        assert not passes
    else:
        assert passes


@pytest.mark.parametrize(
    ("path", "body", "dialect"),
    [
        ("/api/chat/stream", {}, "delta"),
        ("/api/v1/chat/sessions/s/turns", {"content": "x"}, "delta"),
        ("/api/v1/chat/sessions/s/turns?dialect=chat", {"dialect": "plan"}, "chat"),
        ("/api/v1/chat/sessions/s/turns?pipeline=trip", {}, "plan"),
        ("/api/v1/chat/sessions/s/turns", {"pipeline": "trip"}, "plan"),
        ("/api/v1/chat/turns/t/rerun", None, "plan"),
    ],
)
def test_the_dialect_of_a_reply_is_known_by_its_request(path: str, body: Any, dialect: str) -> None:
    assert dialect_of(path, body) == dialect
