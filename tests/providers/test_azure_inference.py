"""What is Azure's own about its provider: URLs, deployments, headers, and the SDK's client."""

import pytest
from azure.ai.inference.models import UserMessage

from chat.providers.azure_inference import get_inference_client
from chat.providers.base import ModelProvider, ModelRequest
from tests.providers.conftest import MakeProvider
from tests.support.model_requests import QUESTION, read
from tests.support.model_service import DONE, STOP, ModelService, chunk, frame, text
from tests.support.provider_settings import KEY, settings_for


@pytest.fixture
def provider_name() -> str:
    return "AZURE"


ENDPOINTS = {
    "": "/openai/v1/chat/completions?api-version=v1",
    "/": "/openai/v1/chat/completions?api-version=v1",
    "/openai/v1": "/openai/v1/chat/completions?api-version=v1",
    "/openai/v1/": "/openai/v1/chat/completions?api-version=v1",
    "/openai/deployments/gpt-4o": "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_each_form_of_endpoint_is_asked_at_its_url(
    service: ModelService, make_provider: MakeProvider, path: str
):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider(path))
    assert [asked.path for asked in service.asked] == [ENDPOINTS[path]]


async def test_the_api_version_of_the_settings_is_sent(service: ModelService, make_provider: MakeProvider):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider(AZURE_AI_API_VERSION="preview"))
    assert service.asked[0].path.endswith("?api-version=preview")


@pytest.mark.parametrize(
    ("path", "asked_for", "sent"),
    [
        ("/openai/v1", "", "model-router"),
        ("/openai/v1", "gpt-4.1", "gpt-4.1"),
        ("/openai/deployments/gpt-4o", "", "gpt-4o"),
    ],
)
async def test_the_body_names_the_deployment(
    service: ModelService, make_provider: MakeProvider, path: str, asked_for: str, sent: str
):
    service.script = [text("Hi"), STOP, DONE]
    await read(make_provider(path), ModelRequest(messages=QUESTION.messages, model=asked_for))
    assert service.asked[0].body["model"] == sent


async def test_a_key_is_sent_in_both_headers(service: ModelService, provider: ModelProvider):
    service.script = [text("Hi"), STOP, DONE]
    await read(provider)
    headers = service.asked[0].headers
    assert (headers["api-key"], headers["authorization"]) == (KEY, f"Bearer {KEY}")


async def test_the_pipeline_of_the_sdk_is_kept(service: ModelService, provider: ModelProvider):
    service.script = [text("Hi"), STOP, DONE]
    await read(provider)
    headers = service.asked[0].headers
    assert "ai-inference" in headers["user-agent"]
    assert headers["user-agent"].startswith("parley")
    assert headers["x-ms-client-request-id"]


async def test_the_client_of_the_factory_is_the_sdks_own(service: ModelService):
    reply = chunk({"content": "Hi"}) | {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]
    }
    service.headers = {"content-type": "application/json"}
    service.script = [frame(reply).removeprefix(b"data: ")]
    async with get_inference_client(settings_for(service.url)) as client:
        answer = await client.complete(messages=[UserMessage("Hi")])
    assert answer.choices[0].message.content == "Hi"
    assert service.asked[0].path == "/openai/v1/chat/completions?api-version=v1"
