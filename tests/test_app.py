"""The composition root where it says no: to strangers in Azure, and to settings that cannot be."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.apikey import ApiKeyAuthenticator
from chat.auth.base import Principal
from chat.auth.dev import DevAuthenticator
from chat.errors import ChatError, PushError, Unauthenticated
from chat.events import JSONObject
from chat.process import Closing
from chat.push.base import EVERYBODY
from chat.routes.health import health
from chat.routes.replies import answer, answer_anyone
from chat.routes.route_table import Route
from chat.store.presence_store import Presence
from chat.tools.base import NoTools
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.processes import ROOT
from tests.support.provider_settings import STORAGE

ENDPOINT = "http://127.0.0.1:9/openai/v1"
ROUTE = Route("", "for callers who are known")


def request(**headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": raw})


async def hello(_app: ChatApp, principal: Principal, _request: Request) -> Response:
    return Response(principal.user_id)


async def test_on_a_laptop_a_caller_is_who_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", make_app().app)
    assert (await answer(request(x_dev_user="ann"), hello, ROUTE)).body == b"ann"


async def test_parts_are_closed_from_the_last_to_the_first_and_one_that_fails_keeps_none_open() -> None:
    closed: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        async def aclose(self) -> None:
            closed.append(self.name)
            if self.name == "sockets":
                raise PushError

    closing = Closing()
    for name in ("storage", "models", "sockets", "runner"):
        closing.add(Part(name))
    with pytest.raises(PushError):
        await closing.aclose()
    assert closed == ["runner", "sockets", "models", "storage"]


async def test_without_a_socket_service_nobody_watches_and_nobody_can() -> None:
    made = make_app(["Hello"])
    with pytest.raises(PushError, match="the setting is missing"):
        made.app.sockets.require("the setting is missing")
    with pytest.raises(PushError, match="The socket service cannot be reached"):
        made.app.sockets.require()
    made.app.tell("session", {"type": "x"})
    await made.app.sockets.work_off(now=made.app.clock.now())
    assert await made.app.sockets.present("session") == Presence()
    assert made.store.calls == {}


PLATFORMS = {
    "premium": {"WEBSITE_SITE_NAME": "app", "WEBSITE_INSTANCE_ID": "one", "WEBSITE_SKU": "ElasticPremium"},
    "flex": {"WEBSITE_SITE_NAME": "app", "WEBSITE_SKU": "FlexConsumption", "LEGION_SERVICE_HOST": "x"},
    "linux consumption": {"CONTAINER_NAME": "x"},
    "container apps": {"CONTAINER_APP_NAME": "x", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    "kubernetes": {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    "nothing is known": {"AZURE_FUNCTIONS_ENVIRONMENT": ""},
    "said to be development": {"AZURE_FUNCTIONS_ENVIRONMENT": "Development", "WEBSITE_POD_NAME": "x"},
}


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("headers", [{}, {"x_dev_user": "ann"}, {"x_dev_roles": "admin"}])
async def test_where_an_app_is_deployed_dev_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], platform: str
) -> None:
    for name, value in PLATFORMS[platform].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("chat.app._current", make_app().app)
    reply = await answer(request(**headers), hello, ROUTE)
    assert reply.status_code == Unauthenticated.status == 401
    assert body(reply)["error_code"] == "UNAUTHENTICATED"


RINGS = """
import asyncio, collections, gc
from chat.app import current_app

class Ring:
    def __init__(self):
        self.ring = self

async def main():
    app = await current_app()
    held = collections.deque(maxlen=25_000)  # long enough for the collections of young objects to pass them on
    most = 0
    for _ in range(30):
        held.extend(Ring() for _ in range(10_000))
        most = max(most, sum(type(each) is Ring for each in gc.get_objects()))
    print(most)
    await app.close()
asyncio.run(main())
"""


def test_rubbish_that_goes_in_circles_is_not_kept_for_long() -> None:
    """A failed call of an SDK is such a ring, with all that was being read when it failed."""
    done = subprocess.run(
        [sys.executable, "-c", RINGS],
        cwd=ROOT,
        env={**os.environ, **STORAGE, "AZURE_AI_ENDPOINT": ENDPOINT, "AZURE_AI_KEY": "x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert 25_000 < int(done.stdout) < 100_000


async def test_an_app_that_nobody_can_sign_in_to_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CONTAINER_NAME", "x")
    app = make_app().app
    for _ in range(2):
        reply = body(await health(app, request()))
    assert reply["status"] == "degraded"
    assert reply["dependencies"]["auth"]["status"] == "unhealthy"
    assert [each.levelname for each in caplog.records if "nobody_can_sign_in" in each.message] == ["WARNING"]


async def test_an_app_that_people_can_sign_in_to_is_healthy() -> None:
    reply = body(await health(make_app().app, request()))
    assert (reply["status"], reply["dependencies"]["auth"]) == ("healthy", {"status": "healthy"})


async def test_which_ways_are_on_is_for_admins_alone() -> None:
    app = make_app().app
    callers = [
        {},
        {"x_dev_user": "ann"},
        {"x_dev_roles": "admin"},
        {"x_dev_user": "u" * 256, "x_dev_roles": "admin"},
    ]
    shown = [body(await health(app, request(**each)))["dependencies"]["auth"] for each in callers]
    healthy = {"status": "healthy"}
    assert shown == [healthy, healthy, healthy | {"ways": ["dev"]}, healthy]


class ShopTools(NoTools):
    @property
    def states(self) -> Mapping[str, JSONObject]:
        return {"shop": {"status": "unreachable", "tools": 0, "withheld": []}}


async def test_how_servers_of_tools_are_is_for_admins_alone() -> None:
    app = make_app().app
    app.tools = ShopTools()
    callers: list[dict[str, str]] = [{"x_dev_user": "ann"}, {"x_dev_roles": "admin"}]
    shown = [body(await health(app, request(**each)))["dependencies"].get("tools") for each in callers]
    assert shown == [None, ShopTools().states]


async def test_without_a_socket_service_the_streams_alone_are_open() -> None:
    app = make_app().app
    app.connections = 2
    assert body(await health(app, request()))["active_connections"] == 2


@pytest.mark.parametrize("call", ["count", "counted", "note_count"])
async def test_a_number_of_sockets_that_nobody_knows_is_null(call: str) -> None:
    push = FakePush()
    made = make_app(push=push)
    made.app.connections = 2
    push.groups[EVERYBODY] = ["c1"]
    (push if call == "count" else made.store).fail_next(call, ChatError())
    replies = [body(await health(made.app, request())) for _ in range(2)]
    assert [each["active_connections"] for each in replies] == [None, 3]
    assert [each["status"] for each in replies] == ["healthy", "healthy"]


@pytest.mark.parametrize("auth", ["apikey,dev", "dev,apikey"])
def test_a_key_is_looked_at_before_everybody_is_believed(auth: str) -> None:
    made = make_app(settings={"CHAT_AUTH": auth})
    assert [type(way) for way in made.app.authenticators] == [ApiKeyAuthenticator, DevAuthenticator]


@pytest.mark.parametrize(("auth", "known"), [("apikey", 1), ("apikey,dev", 1), ("dev", 0)])
def test_programs_are_known_where_an_app_is_deployed(
    monkeypatch: pytest.MonkeyPatch, auth: str, known: int
) -> None:
    monkeypatch.setenv("WEBSITE_SITE_NAME", "app")
    assert len(make_app(settings={"CHAT_AUTH": auth}).app.authenticators) == known


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
