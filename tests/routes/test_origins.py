"""Whose pages may change something for whom a cookie signs in."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from fastapi import Request

from chat.app import ChatApp
from chat.auth.base import Authenticator, Principal
from chat.errors import Forbidden
from chat.routes.admission import admit
from chat.routes.route_table import Route
from tests.support.apps import make_app

READS, CHANGES, NEGOTIATES = Route("", "reads"), Route("", "changes"), Route("", "", scope="write")
ALLOWED = "https://chat.example.com, http://localhost:*"
OWN = {"host": "app.azurewebsites.net", "origin": "https://app.azurewebsites.net"}


class Known(Authenticator):
    def __init__(self, *, by_cookie: bool) -> None:
        self._principal = replace(Principal("ann"), by_cookie=by_cookie)

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        return self._principal


def app(*, by_cookie: bool = True) -> ChatApp:
    made = make_app(settings={"CHAT_COOKIE_ORIGINS": ALLOWED}).app
    made.authenticators = (Known(by_cookie=by_cookie),)
    return made


def request(method: str, headers: Mapping[str, str], *more: tuple[str, str]) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in [*headers.items(), *more]]
    return Request({"type": "http", "method": method, "path": "/x", "query_string": b"", "headers": raw})


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"host": "App.azurewebsites.net", "origin": "https://app.AzureWebsites.net"},
        {"host": "127.0.0.1:7071", "origin": "http://127.0.0.1:7071"},
        {"host": "[::1]:7071", "origin": "http://[::1]:7071"},
        OWN | {"host": "10.0.0.1:8080", "disguised-host": "app.azurewebsites.net"},
        OWN | {"origin": "https://chat.example.com"},
        OWN | {"origin": "http://localhost:3000"},
        {"host": "app.azurewebsites.net", "sec-fetch-site": "same-origin"},
    ],
)
async def test_a_page_that_may_does(headers: dict[str, str]) -> None:
    for method, route in (("POST", CHANGES), ("DELETE", CHANGES), ("GET", NEGOTIATES), ("GET", READS)):
        assert (await admit(app(), request(method, headers), route)).user_id == "ann"


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://app.azurewebsites.net"},
    {"origin": "https://app.azurewebsites.net:444"},
    {"origin": "https://app.azurewebsites.net.evil.example"},
    {"origin": "https://evil.app.azurewebsites.net"},
    {"origin": "http://chat.example.com"},
    {"origin": "https://localhost"},
    {"origin": "null", "sec-fetch-site": "same-origin"},
    {},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"referer": "https://app.azurewebsites.net/"},
    {"x-forwarded-host": "evil.example", "origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_another_page_may_only_ask_for_what_it_cannot_read(headers: dict[str, str]) -> None:
    headers = {"host": OWN["host"]} | headers
    for method, route in (("POST", CHANGES), ("PUT", CHANGES), ("GET", NEGOTIATES), ("HEAD", NEGOTIATES)):
        with pytest.raises(Forbidden, match="CHAT_COOKIE_ORIGINS"):
            await admit(app(), request(method, headers), route)
    assert await admit(app(), request("GET", headers), READS)


async def test_of_two_origins_both_must_be_allowed() -> None:
    with pytest.raises(Forbidden):
        await admit(app(), request("POST", OWN, ("origin", "https://evil.example")), CHANGES)


@pytest.mark.parametrize("headers", FOREIGN)
async def test_who_signs_in_by_a_header_of_their_own_may_from_anywhere(headers: dict[str, str]) -> None:
    assert await admit(app(by_cookie=False), request("POST", headers), CHANGES)
