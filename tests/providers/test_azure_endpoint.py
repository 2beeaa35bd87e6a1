"""The forms of endpoint that people paste."""

import pytest

from chat.providers.azure_endpoint import Endpoint, resolve_endpoint
from chat.settings import SettingsError
from tests.support.provider_settings import KEY, settings_for

AI, COGNITIVE = "https://ai.azure.com/.default", "https://cognitiveservices.azure.com/.default"
FOUNDRY, OPENAI = "https://r.services.ai.azure.com", "https://r.openai.azure.com"

FORMS: dict[str, Endpoint] = {
    FOUNDRY: Endpoint(f"{FOUNDRY}/openai/v1", "v1", AI),
    f"{FOUNDRY}/": Endpoint(f"{FOUNDRY}/openai/v1", "v1", AI),
    f"{FOUNDRY}/openai/v1": Endpoint(f"{FOUNDRY}/openai/v1", "v1", AI),
    f"{FOUNDRY}/openai/v1/": Endpoint(f"{FOUNDRY}/openai/v1", "v1", AI),
    f"{FOUNDRY}/openai/v1/chat/completions": Endpoint(f"{FOUNDRY}/openai/v1", "v1", AI),
    f"{FOUNDRY}/api/projects/p/openai/v1": Endpoint(f"{FOUNDRY}/api/projects/p/openai/v1", "v1", AI),
    f"{OPENAI}/openai/v1": Endpoint(f"{OPENAI}/openai/v1", "v1", COGNITIVE),
    f"{OPENAI}/openai/deployments/gpt": Endpoint(
        f"{OPENAI}/openai/deployments/gpt", "2024-10-21", COGNITIVE, "gpt"
    ),
    f"{OPENAI}/openai/deployments/gpt/chat/completions?api-version=2025-01-01": Endpoint(
        f"{OPENAI}/openai/deployments/gpt", "2025-01-01", COGNITIVE, "gpt"
    ),
    "http://127.0.0.1:8000/openai/v1": Endpoint("http://127.0.0.1:8000/openai/v1", "v1", COGNITIVE),
    "http://localhost:8000": Endpoint("http://localhost:8000/openai/v1", "v1", COGNITIVE),
    "http://[::1]:8000": Endpoint("http://[::1]:8000/openai/v1", "v1", COGNITIVE),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_leads_to_one_url(form: str):
    assert resolve_endpoint(settings_for(form)) == FORMS[form]


def test_the_settings_outrank_what_the_url_says():
    settings = settings_for(
        f"{OPENAI}?api-version=v1", AZURE_AI_API_VERSION="preview", AZURE_AI_SCOPE="api://x"
    )
    assert resolve_endpoint(settings) == Endpoint(f"{OPENAI}/openai/v1", "preview", "api://x")


REFUSED = {
    f"{FOUNDRY}/models": "retired",
    f"{FOUNDRY}/models/": "retired",
    f"{FOUNDRY}/models/chat/completions?api-version=2024-05-01-preview": "retired",
    "r.services.ai.azure.com": "not a URL",
    "ftp://r": "not a URL",
    "https://": "not a URL",
    "https://me:secret@r.openai.azure.com": "does not belong",
    "http://r.openai.azure.com": "in the clear",
    "http://10.0.0.1": "in the clear",
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_work_is_refused_with_its_reason(form: str):
    with pytest.raises(SettingsError, match=f"AZURE_AI_ENDPOINT: .*{REFUSED[form]}") as refusal:
        resolve_endpoint(settings_for(form))
    assert KEY not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_an_identity_is_never_sent_in_the_clear():
    with pytest.raises(SettingsError, match="AZURE_AI_KEY"):
        resolve_endpoint(settings_for("http://127.0.0.1:8000", key=""))
