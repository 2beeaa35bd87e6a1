"""What is peculiar to the services of the presets: their URLs, their headers, and what only they say."""

from typing import Any

import aiohttp
import pytest

from chat.errors import (
    BadProviderReply,
    ProviderError,
    ProviderRateLimited,
    ProviderSilent,
    ProviderTimeout,
    ProviderUnavailable,
)
from chat.providers.base import ModelChosen, ModelRequest, StopReason, TextPiece, UsageReport
from chat.providers.openai_compatible import ERRORS, ChatEndpoint, resolve_chat_endpoint
from chat.providers.presets import PRESETS
from chat.providers.reply_stream import translated
from chat.settings import SettingsError
from tests.providers.conftest import MakeProvider
from tests.support.model_requests import QUESTION, read, read_until_error
from tests.support.model_service import DONE, HOLD, STOP, ModelService, chunk, frame, text
from tests.support.provider_settings import KEY, provider_settings

PRESET = pytest.mark.parametrize("provider_name", PRESETS)
OPENROUTER = pytest.mark.parametrize("provider_name", ["OPENROUTER"])
DATABRICKS = pytest.mark.parametrize("provider_name", ["DATABRICKS"])
LOCAL = pytest.mark.parametrize("provider_name", ["LOCAL"])


def endpoint(name: str, text: str, *, key: str = KEY) -> ChatEndpoint:
    settings = provider_settings(name, text, key=key)
    return resolve_chat_endpoint(PRESETS[name], settings.services[name])


FORMS: list[tuple[str, str, str]] = [
    ("LOCAL", "http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
    ("LOCAL", "http://localhost:11434/", "http://localhost:11434/v1/chat/completions"),
    ("LOCAL", "http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
    ("LOCAL", "http://localhost:11434/v1/chat/completions", "http://localhost:11434/v1/chat/completions"),
    ("LOCAL", "localhost:11434", "http://localhost:11434/v1/chat/completions"),
    ("LOCAL", "localhost/v1.0", "http://localhost/v1.0/chat/completions"),
    ("LOCAL", "[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
    ("LOCAL", "vllm:8000/v1", "http://vllm:8000/v1/chat/completions"),
    ("LOCAL", "http://10.1.2.3:8000", "http://10.1.2.3:8000/v1/chat/completions"),
    ("LOCAL", "http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
    ("LOCAL", "models.example.com", "https://models.example.com/v1/chat/completions"),
    (
        "LOCAL",
        "https://r.openai.azure.com/openai/v1?api-version=preview",
        "https://r.openai.azure.com/openai/v1/chat/completions?api-version=preview",
    ),
    ("OPENROUTER", "https://openrouter.ai", "https://openrouter.ai/api/v1/chat/completions"),
    ("OPENROUTER", "https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
    ("GITHUB", "https://models.github.ai", "https://models.github.ai/inference/chat/completions"),
    (
        "GITHUB",
        "https://models.github.ai/orgs/o/inference",
        "https://models.github.ai/orgs/o/inference/chat/completions",
    ),
    (
        "DATABRICKS",
        "adb-1.2.azuredatabricks.net",
        "https://adb-1.2.azuredatabricks.net/serving-endpoints/chat/completions",
    ),
    (
        "DATABRICKS",
        "https://w.databricks.com/",
        "https://w.databricks.com/serving-endpoints/chat/completions",
    ),
    (
        "DATABRICKS",
        "https://w.databricks.com/serving-endpoints/e/invocations",
        "https://w.databricks.com/serving-endpoints/e/invocations",
    ),
]


@pytest.mark.parametrize(("name", "form", "url"), FORMS)
def test_every_form_of_endpoint_leads_to_one_url(name: str, form: str, url: str):
    assert endpoint(name, form) == ChatEndpoint(url, names_model=url.endswith("/invocations"))


REFUSED = {
    "ftp://host": "not a URL such as",
    "https://": "not a URL such as",
    "https://host:port": "not a URL such as",
    "https://[host": "not a URL such as",
    "[host": "not a URL such as",
    "https://me:secret@host": "does not belong",
    "http://models.example.com": "in the clear",
    "http://8.8.8.8": "in the clear",
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_work_is_refused_with_its_reason(form: str):
    with pytest.raises(SettingsError, match=f"^LOCAL_AI_ENDPOINT: .*{REFUSED[form]}") as refusal:
        endpoint("LOCAL", form)
    assert KEY not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_without_a_key_there_is_nothing_to_hide():
    assert endpoint("LOCAL", "http://models.example.com", key="").url.startswith("http://models.example.com/")


ASKED = {
    "LOCAL": ("/v1/chat/completions", True),
    "OPENROUTER": ("/api/v1/chat/completions", False),
    "DATABRICKS": ("/serving-endpoints/chat/completions", False),
    "GITHUB": ("/inference/chat/completions", True),
}


@PRESET
async def test_each_service_is_asked_in_its_way(
    service: ModelService, make_provider: MakeProvider, provider_name: str
):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider())
    [asked] = service.asked
    assert (asked.path, "stream_options" in asked.body) == ASKED[provider_name]


@PRESET
async def test_the_key_and_the_model_of_the_settings_are_sent(
    service: ModelService, make_provider: MakeProvider
):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider())
    [asked] = service.asked
    assert (asked.headers["authorization"], asked.body["model"]) == (f"Bearer {KEY}", "model-router")
    assert asked.headers["accept-encoding"] == "identity"


@PRESET
async def test_the_model_of_the_request_outranks_the_settings(
    service: ModelService, make_provider: MakeProvider
):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider(), ModelRequest(messages=QUESTION.messages, model="other/model"))
    assert service.asked[0].body["model"] == "other/model"


@LOCAL
async def test_a_server_without_a_key_is_sent_none(service: ModelService, make_provider: MakeProvider):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider(key=""))
    assert "authorization" not in service.asked[0].headers


SITE = {"OPENROUTER_AI_SITE": "https://chat.example.com"}


@OPENROUTER
@pytest.mark.parametrize(
    ("settings", "sent"),
    [({}, (None, "Parley")), (SITE | {"OPENROUTER_AI_TITLE": "Mine"}, ("https://chat.example.com", "Mine"))],
)
async def test_openrouter_is_told_who_asks(
    service: ModelService,
    make_provider: MakeProvider,
    settings: dict[str, str],
    sent: tuple[str | None, str],
):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider(**settings))
    headers = service.asked[0].headers
    assert (headers.get("http-referer"), headers.get("x-title")) == sent


@OPENROUTER
async def test_openrouter_is_read_past_its_comments(service: ModelService, make_provider: MakeProvider):
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "cost": 0.1}
    waiting = b": OPENROUTER PROCESSING\n\n"
    service.script = [
        *[waiting, waiting, text("Hi"), waiting],
        frame(chunk({"role": "assistant", "content": ""}, reason="stop", native_finish_reason="STOP")),
        frame(chunk({"content": ""}, usage=usage)),
        DONE,
    ]
    assert await read(make_provider()) == [
        ModelChosen("gpt-9"),
        TextPiece("Hi"),
        StopReason("stop"),
        UsageReport(9, 1),
    ]


@OPENROUTER
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "server_error", "message": "Provider disconnected"}, ProviderUnavailable),
        ({"code": 502, "message": "Provider returned error"}, ProviderUnavailable),
        ({"code": 429, "message": "slow down"}, ProviderRateLimited),
        ({"code": 408, "message": "too slow"}, ProviderTimeout),
    ],
)
async def test_openrouters_error_in_the_middle_is_raised(
    service: ModelService, make_provider: MakeProvider, error: dict[str, Any], kind: type[ProviderError]
):
    service.script = [text("Hel"), frame(chunk({"content": ""}, reason="error", error=error)), DONE]
    said, raised = await read_until_error(make_provider())
    assert (said, type(raised)) == ([ModelChosen("gpt-9"), TextPiece("Hel")], kind)


@OPENROUTER
async def test_an_error_with_status_200_is_raised(service: ModelService, make_provider: MakeProvider):
    service.headers = {"content-type": "application/json"}
    service.script = [b'\n\n{"error": {"code": 503, "message": "no provider"}}']
    said, raised = await read_until_error(make_provider())
    assert (said, type(raised)) == ([], ProviderUnavailable)


@PRESET
async def test_a_service_that_does_not_stream_is_read_whole(
    service: ModelService, make_provider: MakeProvider
):
    reply = {
        "model": "gpt-9",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1},
    }
    service.headers = {"content-type": "application/json; charset=utf-8"}
    whole = frame(reply).removeprefix(b"data: ")
    service.script = [whole[:20], 0.01, whole[20:]]
    assert await read(make_provider()) == [
        ModelChosen("gpt-9"),
        TextPiece("Hi"),
        StopReason("stop"),
        UsageReport(9, 1),
    ]


@LOCAL
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"choices":[', b'"text"'])
async def test_json_that_is_no_reply_is_a_bad_one(
    service: ModelService, make_provider: MakeProvider, body: bytes
):
    service.headers, service.script = {"content-type": "application/json"}, [body]
    said, raised = await read_until_error(make_provider())
    assert (said, type(raised)) == ([], BadProviderReply)


@LOCAL
async def test_json_that_never_ends_is_not_kept(
    service: ModelService, make_provider: MakeProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("chat.providers.reply_stream.MAX_EVENT_BYTES", 1000)
    service.headers, service.script = {"content-type": "application/json"}, [b"[" * 2000, HOLD]
    _, raised = await read_until_error(make_provider())
    assert isinstance(raised, BadProviderReply)


@DATABRICKS
async def test_the_url_of_invocations_names_the_model(service: ModelService, make_provider: MakeProvider):
    service.script = [frame({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}), DONE]
    request = ModelRequest(messages=QUESTION.messages, model="other")
    said = await read(make_provider("/serving-endpoints/e/invocations"), request)
    [asked] = service.asked
    assert asked.path == "/serving-endpoints/e/invocations"
    assert asked.body.keys() == {"messages", "stream"}
    assert said[0] == ModelChosen("model-router")


EVERY_ERROR = [
    each
    for each in vars(aiohttp).values()
    if isinstance(each, type) and issubclass(each, aiohttp.ClientError)
]


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_every_exception_of_the_client_has_its_error(kind: type[Exception]):
    assert isinstance(translated(kind.__new__(kind), ERRORS), ProviderError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.ServerDisconnectedError(), ProviderUnavailable),
        (aiohttp.ConnectionTimeoutError(), ProviderUnavailable),
        (aiohttp.ClientPayloadError(), BadProviderReply),
        (TimeoutError(), ProviderSilent),
        (ConnectionResetError(), ProviderUnavailable),
    ],
)
def test_the_nearest_base_class_of_an_exception_counts(error: Exception, kind: type[ProviderError]):
    assert type(translated(error, ERRORS)) is kind
