"""Callers on a laptop."""

import pytest

from chat.auth.base import Principal
from chat.auth.dev import DevAuthenticator
from chat.errors import ValidationError


@pytest.mark.parametrize(
    ("headers", "principal"),
    [
        ({}, Principal("dev")),
        ({"x-dev-user": ""}, Principal("dev")),
        ({"x-dev-user": "  "}, Principal("dev")),
        ({"x-dev-user": " ann "}, Principal("ann")),
        ({"x-dev-user": "a/b\\c#d?é"}, Principal("a/b\\c#d?é")),
        ({"x-dev-user": "u" * 255}, Principal("u" * 255)),
        ({"x-dev-roles": "admin, reader ,,"}, Principal("dev", frozenset({"admin", "reader"}))),
        ({"x-dev-user": "ann", "x-dev-roles": " "}, Principal("ann")),
    ],
)
async def test_callers_are_who_they_say_they_are(headers: dict[str, str], principal: Principal) -> None:
    assert await DevAuthenticator().authenticate(headers) == principal


async def test_a_user_id_that_no_key_can_hold_is_refused_by_name() -> None:
    with pytest.raises(ValidationError) as caught:
        await DevAuthenticator().authenticate({"x-dev-user": "u" * 256})
    assert caught.value.field == "x-dev-user"


@pytest.mark.parametrize(
    "header", ["a\u0301" * 256, "a%2fb", "a\x00b", "UTF-8''%ff", "UTF-8''", "UTF-8''%0a%01", "\u0958" * 200]
)
async def test_a_user_id_that_cannot_be_is_refused_by_name(header: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await DevAuthenticator().authenticate({"x-dev-user": header})
    assert caught.value.field == "x-dev-user"
