"""Signing in to Databricks by the real SDK, in the ways of its `WorkspaceClient`, against a stand-in of its host."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chat.databricks import DatabricksAccess
from chat.errors import ProviderAuthFailed, ProviderUnavailable
from chat.providers import sign_in as module
from chat.providers.base import StopReason, TextPiece
from chat.providers.build import build_providers, service_hosts
from chat.providers.sign_in import DatabricksSignIn, KeySignIn, Signed, databricks_sign_in
from chat.settings import load_settings
from tests.support.canaries import canary
from tests.support.genie_service import CLIENT, TOKEN, GenieService, running_genie
from tests.support.model_requests import read
from tests.support.provider_settings import STORAGE
from tests.support.wires import WIRES

REPLY = b"".join([WIRES["agent"].text("Hi"), WIRES["agent"].stop])


class Workspace(GenieService):
    """Its agents take the token that its sign-in hands out."""

    @property
    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/serving-endpoints/responses", self.answer),
            web.get("/.well-known/databricks-config", self.about),
        ]

    async def about(self, request: web.Request) -> web.Response:
        """Where one signs in, which the SDK asks the host."""
        return web.json_response(
            {"oidc_endpoint": f"{self.url}/oidc", "account_id": "a", "workspace_id": "1"}
        )

    async def answer(self, request: web.Request) -> web.Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error_code": "PERMISSION_DENIED"}, status=403)
        return web.Response(body=REPLY, content_type="text/event-stream")


@pytest.fixture
async def workspace() -> AsyncGenerator[GenieService]:
    async with running_genie(Workspace()) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_lies_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without a file of the SDK; its path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CONFIG_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".databrickscfg"


def settings(**more: str) -> Any:
    named = {"CHAT_PROVIDERS": "DATABRICKS", "MAS_ENDPOINT_NAME": "mas", **more}
    return load_settings(STORAGE | named)


async def ask(**more: str) -> list[Any]:
    [provider] = build_providers(settings(**more)).values()
    try:
        return (await read(provider, within=30))[1:]
    finally:
        await provider.aclose()


PRINCIPAL = {"DATABRICKS_CLIENT_ID": CLIENT[0], "DATABRICKS_CLIENT_SECRET": CLIENT[1]}
FILE = """[DEFAULT]
host = {url}
token = {token}

[people]
host = {url}
client_id = {client[0]}
client_secret = {client[1]}
"""
WAYS: dict[str, dict[str, str]] = {
    "a token": {"DATABRICKS_HOST": "{url}", "DATABRICKS_TOKEN": TOKEN},
    "a service principal": {"DATABRICKS_HOST": "{url}", **PRINCIPAL},
    "a token before a principal": {"DATABRICKS_HOST": "{url}", "DATABRICKS_TOKEN": TOKEN, **PRINCIPAL},
    "a named way": {
        "DATABRICKS_HOST": "{url}",
        "DATABRICKS_TOKEN": "wrong",
        "DATABRICKS_AUTH_TYPE": "oauth-m2m",
        **PRINCIPAL,
    },
    "a profile": {"DATABRICKS_CONFIG_PROFILE": "people"},
    "a profile and its host": {"DATABRICKS_HOST": "{url}", "DATABRICKS_CONFIG_PROFILE": "people"},
    "the first profile of the file": {},
}


@pytest.mark.parametrize("name", WAYS)
async def test_whatever_works_for_the_client_of_the_sdk_works(
    workspace: GenieService, nothing_lies_about: Path, name: str
) -> None:
    nothing_lies_about.write_text(  # noqa: ASYNC240
        FILE.format(url=workspace.url, token=TOKEN, client=CLIENT)
    )
    named = {key: value.format(url=workspace.url) for key, value in WAYS[name].items()}
    assert await ask(**named) == [TextPiece("Hi"), StopReason("stop")]


async def test_who_cannot_sign_in_is_told_so_without_the_secret(workspace: GenieService) -> None:
    secret = canary("principal")
    wrong = {"DATABRICKS_CLIENT_ID": "x", "DATABRICKS_CLIENT_SECRET": secret}
    workspace.no_token = True
    with pytest.raises(ProviderAuthFailed) as refusal:
        await ask(DATABRICKS_HOST=workspace.url, **wrong)
    assert secret not in str(refusal.value)


async def test_nobody_who_could_sign_in_is_an_auth_failure() -> None:
    with pytest.raises(ProviderAuthFailed):
        await ask(DATABRICKS_HOST="https://workspace.invalid", DATABRICKS_AUTH_TYPE="pat")


async def test_a_workspace_that_is_away_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK itself would try for five minutes."""
    monkeypatch.setattr("chat.databricks.RETRYING", 1)
    monkeypatch.setattr(module, "PATIENCE", 4)
    with pytest.raises(ProviderUnavailable):
        await ask(DATABRICKS_HOST="http://127.0.0.1:9", **PRINCIPAL)


def test_a_token_alone_needs_no_sdk() -> None:
    assert isinstance(databricks_sign_in(DatabricksAccess("https://w", "t")), KeySignIn)
    for access in (
        DatabricksAccess("https://w", "t", auth_type="oauth-m2m"),
        DatabricksAccess("", "t"),
        DatabricksAccess("https://w"),
    ):
        assert isinstance(databricks_sign_in(access), DatabricksSignIn)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("w.databricks.com", "https://w.databricks.com"),
        ("https://w.databricks.com/serving-endpoints/e/invocations", "https://w.databricks.com"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9"),
        ("", ""),
    ],
)
def test_the_workspace_is_told_from_what_stands_behind_it(host: str, url: str) -> None:
    assert DatabricksAccess(host).url == url


def test_the_log_names_a_profile_where_no_host_is_set() -> None:
    assert service_hosts(settings(DATABRICKS_CONFIG_PROFILE="people")) == {"DATABRICKS": "(profile people)"}
    assert service_hosts(settings()) == {"DATABRICKS": "(profile DEFAULT)"}


class Config:
    """What the SDK would hold: `wait` blocks as a renewal does."""

    host = "https://w/"

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = threading.Event()
        self.threads: set[str] = set()

    def authenticate(self) -> dict[str, str]:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        assert self.go_on.wait(10)
        return {"Authorization": f"Bearer t{self.asked}"}


async def test_who_comes_meanwhile_waits_for_the_same_token_outside_the_loop() -> None:
    config = Config()
    sign_in = DatabricksSignIn(DatabricksAccess(), make=lambda access: config)
    waiting = [asyncio.create_task(sign_in.sign()) for _ in range(20)]
    await asyncio.sleep(0)
    began = time.monotonic()
    await asyncio.sleep(0.01)
    assert time.monotonic() - began < 0.5, "the loop is not held up"
    waiting[0].cancel()  # whoever leaves takes nothing from the others
    config.go_on.set()
    signed = Signed({"Authorization": "Bearer t1"}, "https://w")
    assert await asyncio.gather(*waiting[1:]) == [signed] * 19
    assert (await sign_in.sign()).headers == {"Authorization": "Bearer t2"}
    assert config.threads == {module.THREAD}


async def test_a_sign_in_that_hangs_is_given_up_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    config = Config()
    sign_in = DatabricksSignIn(DatabricksAccess(), make=lambda access: config)
    with pytest.raises(ProviderUnavailable):
        await sign_in.sign()
    config.go_on.set()
    assert (await sign_in.sign()).host == "https://w"
