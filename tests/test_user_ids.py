"""A user id comes back from a token as it went in, and is no step in a path."""

import pytest

from chat.user_ids import of_token, to_token


@pytest.mark.parametrize("user_id", ["ann", "Zoë", "a/b", "a b", "a.b", "...", "%2E", ".", ".."])
def test_a_user_id_comes_back_from_its_token(user_id: str) -> None:
    assert of_token(to_token(user_id)) == user_id


@pytest.mark.parametrize("user_id", [".", ".."])
def test_no_token_is_a_step_in_a_path(user_id: str) -> None:
    """The service names a user in paths when one is taken out of a group."""
    assert to_token(user_id) not in (".", "..")
