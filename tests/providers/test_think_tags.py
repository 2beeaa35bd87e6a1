"""Reasoning in the text of a reply: found at its beginning, however the text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.providers.base import ReasoningPiece, TextPiece
from chat.providers.think_tags import ThinkTags

CASES: dict[str, tuple[str, str]] = {
    "": ("", ""),
    "Hi": ("", "Hi"),
    "<b>Hi</b>": ("", "<b>Hi</b>"),
    "<thin": ("", "<thin"),
    "<thinking>Hi": ("", "<thinking>Hi"),
    "<think>Hm</think>Hi": ("Hm", "Hi"),
    "<think>\nHm.\n</think>\n\nHi there": ("\nHm.\n", "Hi there"),
    "<think></think>\n\nHi": ("", "Hi"),
    "<think>a < b, </thin k>, </b></think>Hi": ("a < b, </thin k>, </b>", "Hi"),
    "<think>Hm": ("Hm", ""),
    "<think>Hm</thi": ("Hm</thi", ""),
    "<think>Hm</think>": ("Hm", ""),
    "<think>a</think>b<think>c</think>": ("a", "b<think>c</think>"),
    "I say <think>so</think>": ("", "I say <think>so</think>"),
    " <think>so</think>": ("", " <think>so</think>"),
}


def split(pieces: list[str]) -> tuple[str, str]:
    """The reasoning and the text. Never an empty piece, and no reasoning after text."""
    tags = ThinkTags()
    found = [each for piece in pieces for each in tags.split(piece)] + list(tags.flush())
    assert all(each.text for each in found)
    kinds = [type(each) for each in found]
    assert kinds == sorted(kinds, key=[ReasoningPiece, TextPiece].index)
    thought, said = (
        "".join(each.text for each in found if isinstance(each, kind)) for kind in (ReasoningPiece, TextPiece)
    )
    return thought, said


@pytest.mark.parametrize("text", CASES)
def test_every_case_whole_and_in_single_characters(text: str):
    assert split([text]) == CASES[text]
    assert split(list(text)) == CASES[text]


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think>", "a", " ", "\n"]), max_size=12),
    st.lists(st.integers(1, 5), min_size=1),
)
def test_where_the_text_is_cut_makes_no_difference(parts: list[str], sizes: list[int]):
    text, pieces = "".join(parts), []
    at = 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    assert split(pieces) == split([text])


def test_text_that_is_no_tag_is_not_held_back():
    assert list(ThinkTags().split("Hi")) == [TextPiece("Hi")]
    assert list(ThinkTags().split("<b")) == [TextPiece("<b")]


def test_reasoning_is_passed_on_as_it_comes():
    tags = ThinkTags()
    assert [list(tags.split(each)) for each in ("<think>", "Hm", "m</", "b")] == [
        [],
        [ReasoningPiece("Hm")],
        [ReasoningPiece("m")],
        [ReasoningPiece("</b")],
    ]
