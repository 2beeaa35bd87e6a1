"""Callers on a laptop."""

from collections.abc import Mapping

import pytest

from chat.auth.base import Authenticator, Principal
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


@pytest.mark.parametrize(
    ("query", "headers", "principal"),
    [
        ({}, {}, Principal("dev")),
        ({}, {"x-dev-user": "ann", "x-dev-roles": "admin"}, Principal("ann", frozenset({"admin"}))),
        ({"user_id": ["Zo\u0308e"]}, {"x-dev-user": "ann"}, Principal("Z\u00f6e")),
        ({"user_id": ["ann", "bob"]}, {}, Principal("ann")),
        ({"user_id": [""]}, {}, Principal("dev")),
        ({"user_id": []}, {}, Principal("dev")),
    ],
)
async def test_a_socket_names_its_user_in_its_address_too(
    query: Mapping[str, list[str]], headers: Mapping[str, str], principal: Principal
) -> None:
    assert await DevAuthenticator().authenticate_socket(query, headers) == principal


async def test_a_socket_whose_user_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError):
        await DevAuthenticator().authenticate_socket({"user_id": ["u" * 256]}, {})


async def test_a_way_that_says_nothing_of_sockets_knows_nobody_there() -> None:
    class Trusting(Authenticator):
        async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
            return Principal("root")

    assert await Trusting().authenticate_socket({"user_id": ["root"]}, {"x-user-id": "root"}) is None
