"""The composition root where it says no: to strangers in Azure, and to settings that cannot be."""

import json
from typing import Any

import pytest
from fastapi import Request, Response

from chat.app import ChatApp, authenticators
from chat.auth.base import Principal
from chat.errors import Unauthenticated
from chat.routes.replies import answer, answer_anyone
from chat.settings import SettingsError
from tests.support.apps import make_app
from tests.support.provider_settings import settings_for

ENDPOINT = "http://127.0.0.1:9/openai/v1"


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": raw})


async def hello(_app: ChatApp, principal: Principal, _request: Request) -> Response:
    return Response(principal.user_id)


async def test_on_a_laptop_a_caller_is_who_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", make_app().app)
    assert (await answer(request(x_dev_user="ann"), hello)).body == b"ann"


@pytest.mark.parametrize("headers", [{}, {"x_dev_user": "ann"}, {"x_dev_roles": "admin"}])
async def test_in_azure_dev_lets_nobody_in(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]) -> None:
    monkeypatch.setenv("WEBSITE_INSTANCE_ID", "one")
    monkeypatch.setattr("chat.app._current", make_app().app)
    reply = await answer(request(**headers), hello)
    assert reply.status_code == Unauthenticated.status == 401
    assert body(reply)["error_code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(("auth", "named"), [("devv", "devv"), ("dev,easyauth,jwt", "easyauth, jwt")])
def test_a_way_of_signing_in_that_is_not_known_is_refused(auth: str, named: str) -> None:
    with pytest.raises(SettingsError, match=f"^CHAT_AUTH: {named} is not known"):
        authenticators(settings_for(ENDPOINT, CHAT_AUTH=auth))


async def test_without_its_settings_the_app_names_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", None)
    for name in ("AZURE_AI_ENDPOINT", "AzureWebJobsStorage"):
        monkeypatch.delenv(name, raising=False)
    reply = await answer_anyone(request(), _never)
    assert (reply.status_code, body(reply)["error_code"]) == (503, "MISCONFIGURED")
    named = [line.partition(":")[0] for line in body(reply)["details"]["settings"]]
    assert named == ["AZURE_AI_ENDPOINT", "AzureWebJobsStorage"]


async def _never(_app: ChatApp, _request: Request) -> Response:
    raise AssertionError("there is no app")


def body(reply: Response) -> Any:
    return json.loads(bytes(reply.body))
