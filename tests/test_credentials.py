"""API keys as texts: what is one, and what never is."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.clock import SystemClock
from chat.credentials import KEY, PREFIX, ApiKey, Credential, digest_of, key_id_of, make_key, owner_part

KEY_ID, TEXT = make_key("ann")
NOW = SystemClock().now()


def test_a_key_is_known_by_its_form_and_found_by_its_id() -> None:
    assert re.fullmatch(r"parley_[0-9A-Z]{26}_[0-9A-Za-z]{49}", TEXT)
    assert key_id_of(TEXT) == KEY_ID
    assert KEY_ID.startswith(owner_part("ann"))
    assert "ann" not in TEXT.lower().partition("_")[2]


def test_no_two_keys_are_the_same() -> None:
    made = [make_key("ann") for _ in range(200)]
    assert len({key_id for key_id, _ in made}) == len({text for _, text in made}) == 200
    assert owner_part("ann") != owner_part("bob")
    assert len(owner_part("")) == len(owner_part("Zoë" * 80)) == 16


def test_what_is_kept_shows_no_secret_and_matches_one_text_alone() -> None:
    key = ApiKey(KEY_ID, "ann", "ci", frozenset({"read"}), digest_of(TEXT), NOW, NOW)
    assert key.matches(TEXT)
    assert not key.matches(make_key("ann")[1])
    assert TEXT[34:] not in repr(key) and "digest" not in repr(key)


def other(letter: str) -> str:
    return "a" if letter != "a" else "b"


@pytest.mark.parametrize(
    "change",
    [
        *(lambda text: "", lambda text: PREFIX, lambda text: "parley__", lambda text: KEY_ID),
        *(lambda text: text[:-1], lambda text: text + "x", lambda text: text + "\n", lambda text: " " + text),
        *(lambda text: text.lower(), lambda text: text.replace("parley", "Parley"), lambda text: text * 1000),
        lambda text: text[:-1] + other(text[-1]),
        lambda text: text[:40] + other(text[40]) + text[41:],
        lambda text: PREFIX + "I" * 26 + text[33:],  # no letter of an id
        lambda text: PREFIX + "\uff10" * 26 + text[33:],  # no digit of ASCII
    ],
)
def test_a_text_that_is_none_costs_nothing(change: Callable[[str], str]) -> None:
    assert key_id_of(change(TEXT)) == ""


@given(st.text() | st.from_regex(KEY, fullmatch=True))
def test_what_nobody_made_is_no_key(text: str) -> None:
    assert key_id_of(text) == ""


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="utf-8"))
def test_a_key_with_another_letter_is_none(place: int, letter: str) -> None:
    changed = TEXT[:place] + letter + TEXT[place + 1 :]
    assert (key_id_of(changed) == KEY_ID) == (changed == TEXT)


@given(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))
def test_a_part_of_a_key_is_none(first: int, last: int) -> None:
    assert key_id_of(TEXT[first:last]) == (KEY_ID if (first, last) == (0, len(TEXT)) else "")


def test_a_credential_ends_at_its_moment_and_may_what_it_says() -> None:
    limited = Credential(NOW, frozenset({"read"}))
    assert [limited.has_ended(NOW + timedelta(seconds=late)) for late in (-1, 0, 1)] == [False, True, True]
    assert (limited.may("read"), limited.may("write")) == (True, False)
    assert Credential().may("manage") and not Credential().has_ended(NOW)
