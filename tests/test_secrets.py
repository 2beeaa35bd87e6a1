"""Where a secret is within reach of an error: services that are away or quote what they were sent, settings that hold
one in the wrong place. All that is logged meanwhile is looked at by `tests/conftest.py`; here is what else goes out."""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from fastapi import Request, Response

from chat.app import ChatApp
from chat.calls import ToolCall
from chat.databricks import DatabricksAccess
from chat.errors import ChatError, PushError
from chat.providers.build import build_providers
from chat.push.web_pubsub import WebPubSub
from chat.routes.replies import answer_anyone, json_reply
from chat.settings import SETTINGS
from chat.settings.values import PROVIDERS
from chat.store.tables.table_storage import TableStorage
from chat.telemetry import record_error, without_secrets
from chat.tools.genie import Genie
from chat.tools.overpass import Overpass
from chat.tools.place_file import PlaceFile
from chat.tools.registry import ToolRegistry
from tests.support import canaries
from tests.support.canaries import canary
from tests.support.model_requests import QUESTION, read
from tests.support.processes import Command
from tests.support.provider_settings import STORAGE, provider_settings, settings_for
from tests.support.web_server import served

SECRET = canary("secret")
NOWHERE = "http://127.0.0.1:9"
STATUSES = (200, 302, 400, 401, 403, 404, 422, 429, 500, 503)


def shows(text: str | bytes) -> bool:
    """Whether a secret is in it. What is noted then is taken back: here it is the test that says so."""
    canaries.look(text, where="")
    return bool(canaries.found())


def test_the_look_finds_secrets_in_every_dress() -> None:
    assert shows(SECRET) and shows(f"x{SECRET[:12]}") and shows(SECRET.encode())
    for before in ("", "u", "us", "user:"):
        assert shows(canaries.base64.b64encode(f"{before}{SECRET}".encode()))
    assert not shows("a canary sings")


@pytest.mark.parametrize(
    "text",
    [
        "GET /a?x=1&code=0123456789",
        "/client?access_token=eyJhbGciOi",
        "ws://x?ticket=01M7.abcdef",
        "AccountKey=Eby8vdM0==;",
        "Authorization: Bearer 0123456789",
        "SharedKey account:c2lnbmF0dXJl",
        "eyJhbGciOiJI.eyJzdWIiOiJh.c2ln",
    ],
)
def test_the_look_finds_credentials_in_logs_by_their_form(text: str) -> None:
    canaries.look(text, where="", logged=True)
    assert canaries.found()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_look_finds_what_a_process_prints(stream: str) -> None:
    code = f"import sys; print({SECRET!r}, file=sys.{stream})"
    command = Command("timeit", ["-n", "1", "-r", "1", code])
    command.process.wait(timeout=30)
    command.kill()
    assert canaries.found()


@asynccontextmanager
async def echo(status: int) -> AsyncGenerator[str]:
    """A service that quotes all that it was sent."""

    async def answer(request: web.Request) -> web.Response:
        quoted = f"{request.url} {dict(request.headers)}"
        of_tables = {"code": "Wrong", "message": {"lang": "en-US", "value": quoted}}
        error = {"message": quoted, "code": "Wrong", "type": "invalid"}
        body = {"error": error, "odata.error": of_tables, "error_code": "WRONG", "message": quoted}
        return web.json_response(body, status=status, headers={"location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with served(app) as url:
        yield url


def told(error: BaseException) -> str:
    """All that an error can tell: its text, and as the log shows it."""
    details = str(error.details) if isinstance(error, ChatError) else ""
    return f"{error!r} {error} {details}" + without_secrets("".join(traceback.format_exception(error)))


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_model_service_that_quotes_its_key(name: str, status: int) -> None:
    async with echo(status) as url:
        [provider] = build_providers(provider_settings(name, url, key=SECRET)).values()
        with pytest.raises(ChatError) as caught:
            await read(provider, QUESTION)
        await provider.aclose()
    assert not shows(told(caught.value))


ACCOUNTS = {
    "key": "AccountName=a;AccountKey=Y2FuYXJ5LW9mLXBhcmxleS0wMTIzNDU2Nzg5;TableEndpoint={}/a;",
    "signature": f"TableEndpoint={{}}/a;SharedAccessSignature=sv=2020&sig={SECRET}",
}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, None], ids=str)
@pytest.mark.parametrize("account", ACCOUNTS)
async def test_a_table_service_that_quotes_what_signs_a_request(
    monkeypatch: pytest.MonkeyPatch, account: str, status: int | None
) -> None:
    monkeypatch.setattr("chat.store.tables.table_errors.seldom.due", lambda _kind: 0)  # log each of them
    async with echo(status or 500) as url:
        address = ACCOUNTS[account].format(url if status else NOWHERE)
        monkeypatch.setenv("AzureWebJobsStorage", address)
        storage = TableStorage.open(settings_for(NOWHERE))
        for ask in (storage.ping, lambda: storage.conversations.get_session("ann", "0" * 26)):
            with pytest.raises(ChatError) as caught:
                await ask()
                raise ChatError
            record_error("asked", caught.value)
            assert not shows(told(caught.value))
        await storage.aclose()


@pytest.mark.parametrize("status", [401, 403, 500, None], ids=str)
async def test_a_socket_service_that_quotes_its_token(status: int | None) -> None:
    async with echo(status or 500) as url:
        connection = f"Endpoint={url if status else NOWHERE};AccessKey={SECRET};Version=1.0;"
        push = WebPubSub(settings_for(NOWHERE, WebPubSubConnectionString=connection))
        for call in (push.send_to_group("g", {}), push.count("g"), push.close("c", "")):
            with pytest.raises(PushError) as caught:
                await call
            record_error("sent", caught.value)
            assert not shows(told(caught.value))
        await push.aclose()


@pytest.mark.parametrize("address", ["{}/?key={}", "{}/?code={}", "not-a-url?sig={1}"])
@pytest.mark.parametrize("status", [200, 403, None], ids=str)
async def test_an_address_of_places_with_a_key_in_it(address: str, status: int | None) -> None:
    async with echo(status or 500) as url:
        found = await Overpass(address.format(url if status else NOWHERE, SECRET), PlaceFile()).find(
            "Tokyo", "", 1
        )
    assert not shows(str(found))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_tool_s_service_that_quotes_its_token(status: int) -> None:
    async with echo(status) as url:
        tools = Genie(DatabricksAccess(url, SECRET)).tools
        box = ToolRegistry(tools, time_limit=20, max_output=100_000)
        result = await box.run(ToolCall("c", "execute_genie_query", '{"space_id":"s","query":"?"}'))
    assert result.is_error
    assert not shows(result.output)


NAMES = {"CHAT_AUTH", "CHAT_DATA_DIR"}  # are shown when there is no such way, or no data in the folder

# A secret in a wrong or spoilt place: what a stranger is told of it.
SPOILT: list[Mapping[str, str]] = [
    {"AzureWebJobsStorage": SECRET},
    {"AzureWebJobsStorage": f"AccountName=x;AccountKey={SECRET}"},
    {"AzureWebJobsStorage": f"AccountName=x;AccountKey={SECRET};EndpointSuffix=core.windows.net"},
    {"AzureWebJobsStorage": f"SharedAccessSignature=sv=2020&sig={SECRET}"},
    {"AzureWebJobsStorage": "", "AzureWebJobsStorage__tableServiceUri": f"{NOWHERE}/x?sv=1&sig={SECRET}"},
    {"CHAT_STORAGE": SECRET},
    {"WebPubSubConnectionString": SECRET},
    {"WebPubSubConnectionString": f"AccessKey={SECRET}"},
    {"WebPubSubConnectionString": f"Endpoint={SECRET};AccessKey=https://x"},
    {"WebPubSubConnectionString": f"Endpoint=http://[;AccessKey={SECRET}"},
    {"AZURE_AI_ENDPOINT": SECRET},
    {"AZURE_AI_ENDPOINT": f"ftp://x.example?key={SECRET}"},
    {"AZURE_AI_ENDPOINT": f"https://me:{SECRET}@x.example/openai/v1"},
    *({row.name: f"a\n{SECRET}"} for row in SETTINGS if row.secret),
    *({row.name: SECRET} for row in SETTINGS if row.name not in NAMES),
]


async def test_a_secret_that_stands_where_it_should_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apps that can be built all the same ask a store that is not there, side by side: each gives up after seconds."""
    asking: list[Coroutine[None, None, None]] = []
    for spoilt in SPOILT:
        with monkeypatch.context() as environment:
            right = STORAGE | {"AZURE_AI_ENDPOINT": f"{NOWHERE}/openai/v1", "AZURE_AI_KEY": "k"}
            for name, value in (right | spoilt).items():
                environment.setenv(name, value)
            environment.setattr("chat.app._current", None)

            async def handle(app: ChatApp, _request: Request) -> Response:
                asking.append(ask_in_vain(app))
                return json_reply({})

            reply = await answer_anyone(stranger(), handle)
            assert not shows(bytes(reply.body)), spoilt
    assert asking
    await asyncio.gather(*asking)


async def ask_in_vain(app: ChatApp) -> None:
    with pytest.raises(ChatError):
        await app.conversations.get_session("ann", "0" * 26)
    await app.close()


def stranger() -> Request:
    scope = {"type": "http", "method": "GET", "scheme": "http", "server": ("x", 80), "path": "/a"}
    return Request(scope | {"raw_path": b"/a", "query_string": b"", "headers": []})


MASKED = [
    ("403, url='https://x/api?key=abc&q=1'", "403, url='https://x/api?key=***&q=1'"),
    ("https://x/?a=1&code=abc==", "https://x/?a=1&code=***"),
    ("AccountName=a;AccountKey=abc==;x", "AccountName=a;AccountKey=***;x"),
    ("Authorization: Bearer a.b.c", "Authorization: Bearer ***"),
    ("SharedKey account:abc=", "SharedKey ***"),
    ("https://me:abc@x/y and https://x/y@z", "https://***x/y and https://x/y@z"),
    ("monkey=1 the key: is", "monkey=1 the key: is"),
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_what_an_error_says_is_logged_without_its_secrets(
    caplog: pytest.LogCaptureFixture, text: str, masked: str
) -> None:
    assert without_secrets(text) == masked
    try:
        raise ValueError(text)
    except ValueError as cause:
        error = RuntimeError("after")
        error.__cause__ = cause
    with caplog.at_level(logging.ERROR):
        record_error("failed", error)
    shown = caplog.handler.format(caplog.records[-1])
    assert f"ValueError: {masked}\n" in shown
    assert "RuntimeError: after" in shown
