"""Which answers count."""

from datetime import UTC, datetime

import pytest

from chat.messages import Message
from chat.turns.branches import current

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def said(text: str) -> Message:
    """`u1`: the user's first message. `a1:b`: an answer to it that says b. `-`: one without a parent."""
    name, _, content = text.partition(":")
    role = "user" if name.startswith("u") else "assistant"
    parent = f"u{name[1:]}" if role == "assistant" and name[1:] else ""
    return Message(name, "s", 1, role, content or name, NOW, NOW, parent_message_id=parent)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("u1 a1:x", "u1 x"),
        ("u1 a1:x a1:y", "u1 y"),
        ("u1 a1:x u2 a2:z a1:y", "u1 y u2 z"),
        ("u1 a1:x a1:y u2 a2:z a1:w a2:v", "u1 w u2 v"),
        ("a:x u1 a:y a:z", "x u1 y z"),  # what a caller brought along has no parents
        ("a1:x u2 a2:y", "x u2 y"),  # the question is older than the window
    ],
)
def test_the_newest_answer_takes_the_place_of_the_first(given: str, kept: str) -> None:
    assert [each.content for each in current([said(each) for each in given.split()])] == kept.split()


def test_an_answer_that_said_nothing_does_not_hide_one_that_did() -> None:
    silent = Message("a", "s", 3, "assistant", "", NOW, NOW, parent_message_id="u1")
    assert [each.content for each in current([said("u1"), said("a1:x"), silent])] == ["u1", "x"]


def test_what_somebody_posted_as_an_answer_stands_beside_the_models() -> None:
    posted = Message("p", "s", 3, "assistant", "y", NOW, NOW, author="eve", parent_message_id="u1")
    assert [each.content for each in current([said("u1"), said("a1:x"), posted])] == ["u1", "x", "y"]
