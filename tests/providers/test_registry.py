"""Which providers there are, and what making them costs."""

import subprocess
import sys

import pytest

from chat.providers.build import build_providers, service_hosts
from chat.providers.presets import PRESETS
from chat.settings import SettingsError, load_settings
from chat.settings.values import PROVIDERS
from tests.support.processes import ROOT
from tests.support.provider_settings import STORAGE

EVERYTHING = STORAGE | {
    "AZURE_AI_ENDPOINT": "https://r.openai.azure.com",
    "AZURE_AI_KEY": "k",
    "LOCAL_AI_ENDPOINT": "http://localhost:11434",
    "LOCAL_AI_MODEL": "m",
    "OPENROUTER_AI_KEY": "k",
    "DATABRICKS_HOST": "w.databricks.com",
    "DATABRICKS_TOKEN": "k",
    "MAS_ENDPOINT_NAME": "m",
    "GITHUB_AI_KEY": "k",
    "GITHUB_AI_MODEL": "p/m",
}


@pytest.mark.parametrize("names", [PROVIDERS, PROVIDERS[::-1], ("LOCAL",), ("LOCAL", "AZURE", "LOCAL")])
def test_the_named_providers_come_in_order(names: tuple[str, ...]):
    providers = build_providers(load_settings(EVERYTHING | {"CHAT_PROVIDERS": ",".join(names)}))
    assert list(providers) == list(dict.fromkeys(names))
    assert [provider.name for provider in providers.values()] == list(providers)


def test_the_hosts_of_the_services_are_known_and_nothing_more_of_them():
    secret = {
        "AZURE_AI_ENDPOINT": "https://r.openai.azure.com/openai/deployments/d?api-version=v1&code=secret"
    }
    assert service_hosts(load_settings(EVERYTHING | secret | {"CHAT_PROVIDERS": ",".join(PROVIDERS)})) == {
        "AZURE": "r.openai.azure.com",
        "LOCAL": "localhost:11434",
        "OPENROUTER": "openrouter.ai",
        "DATABRICKS": "w.databricks.com",
        "GITHUB": "models.github.ai",
    }


def test_every_provider_but_azure_is_a_preset():
    assert ("AZURE", *PRESETS) == PROVIDERS


def test_everything_that_is_wrong_is_said_at_once():
    wrong = {"CHAT_PROVIDERS": ",".join(PROVIDERS), "AZURE_AI_ENDPOINT": "x", "DATABRICKS_HOST": "ftp://x"}
    with pytest.raises(SettingsError) as refusal:
        build_providers(load_settings(EVERYTHING | wrong))
    named = [line.partition(":")[0] for line in refusal.value.wrong]
    assert named == ["AZURE_AI_ENDPOINT", "DATABRICKS_HOST"]


def test_the_sdk_of_azure_is_loaded_for_azure_alone():
    code = f"""
import sys
from chat.providers.build import build_providers
from chat.settings import load_settings
build_providers(load_settings({EVERYTHING | {"CHAT_PROVIDERS": "LOCAL,OPENROUTER"}!r}))
print([name for name in sys.modules if name.startswith("azure")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
