"""The settings as an environment gives them."""

import traceback
from dataclasses import fields

import pytest

from chat.settings import (
    DEPLOYED,
    SETTINGS,
    Settings,
    SettingsError,
    load_settings,
    on_laptop,
    read_setting,
    storage_values,
)
from chat.settings.model_services import SERVICES, ServiceSettings
from chat.settings.values import ALL

LAPTOP = {"AZURE_FUNCTIONS_ENVIRONMENT": "Development"}
LEAST = {"AZURE_AI_ENDPOINT": "https://x.services.ai.azure.com/openai/v1", "AzureWebJobsStorage": "a=b"}
ACCOUNT = "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"


def problems(**environ: str) -> list[str]:
    """The lines of what is wrong."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert "\n" not in str(caught.value)
    return list(caught.value.wrong)


def test_the_least_that_is_needed_is_a_model_and_a_storage_account() -> None:
    settings = load_settings(LEAST)
    assert settings.azure_endpoint == LEAST["AZURE_AI_ENDPOINT"]
    assert settings.storage == "AzureWebJobsStorage"


def test_defaults_are_those_of_the_table() -> None:
    settings = load_settings(LEAST)
    assert (settings.providers, settings.auth, settings.azure_model) == (("AZURE",), ("dev",), "model-router")
    assert (settings.coalesce, settings.turn_max, settings.heartbeat) == (0.02, 300.0, 15.0)
    assert (settings.max_body_bytes, settings.max_message_bytes) == (1_048_576, 262_144)


@pytest.mark.parametrize("name", [row.name for row in SETTINGS])
def test_an_empty_value_is_the_default(name: str) -> None:
    assert load_settings({name: " "} | LEAST) == load_settings(LEAST)


def test_everything_that_is_missing_is_named_at_once() -> None:
    lines = problems()
    assert [line.partition(":")[0] for line in lines] == ["AZURE_AI_ENDPOINT", "AzureWebJobsStorage"]


def test_cookies_of_every_page_are_never_taken() -> None:
    [line] = problems(**LEAST, CHAT_CORS_ORIGINS="*", CHAT_CORS_CREDENTIALS="true")
    assert line.startswith("CHAT_CORS_CREDENTIALS: ")


def test_what_is_wrong_and_what_is_missing_come_together() -> None:
    lines = problems(CHAT_COALESCE_MS="soon", CHAT_TURN_MAX_S="-1", CHAT_STORAGE="Chat")
    names = [line.partition(":")[0] for line in lines]
    assert names == ["CHAT_COALESCE_MS", "CHAT_TURN_MAX_S", "AZURE_AI_ENDPOINT", "Chat"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAT_HISTORY_MESSAGES", "0"),
        ("CHAT_HISTORY_MESSAGES", "1.5"),
        ("CHAT_MAX_BODY_BYTES", "1MB"),
        ("CHAT_COALESCE_MS", "-1"),
        ("CHAT_HEARTBEAT_S", "nan"),
        ("CHAT_HEARTBEAT_S", "inf"),
        ("AZURE_AI_FIRST_TOKEN_TIMEOUT_S", "a minute"),
        ("GITHUB_AI_TOKEN_GAP_TIMEOUT_S", "-1"),
        ("CHAT_HTTP_AUTH_LEVEL", "NONE"),
        ("CHAT_TOOLS", "query_data,rm"),
        ("CHAT_TOOLS", "none,query_data"),
        ("CHAT_APPROVE_TOOLS", "qury_data"),
        ("CHAT_APPROVE_TOOLS", "*,query_data"),
        ("CHAT_TOOL_ROUNDS", "0"),
        ("CHAT_TOOL_TIMEOUT_S", "0"),
        ("CHAT_TOOL_OUTPUT_CHARS", "100001"),
        ("CHAT_SOCKET_DIRECT", "yes"),
        *(("CHAT_CORS_ORIGINS", each) for each in ("null", "*,https://x", "https://x/page", "https://*.x")),
        *(
            ("CHAT_SOCKET_ORIGINS", each)
            for each in (
                "null",
                "*",
                "localhost:3000",
                "http://x,null",
                "https://x/page",
                "https://*.x",
                "http://x:",
            )
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_shown(name: str, value: str) -> None:
    [line] = problems(**LEAST, **{name: value})
    assert line.startswith(f"{name}: {value!r} is not usable: ")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("CHAT_COALESCE_MS", "0", 0.0),
        ("CHAT_COALESCE_MS", "50", 0.05),
        ("CHAT_HTTP_AUTH_LEVEL", "function", "FUNCTION"),
        ("CHAT_PROVIDERS", " AZURE, ", ("AZURE",)),
        ("CHAT_PROVIDERS", "LOCAL,AZURE", ("LOCAL", "AZURE")),
        ("CHAT_TABLE_PREFIX", " parley ", "parley"),
        ("CHAT_TOOLS", "query_data, current_time", ("query_data", "current_time")),
        ("CHAT_TOOLS", "none", ()),
        ("CHAT_APPROVE_TOOLS", "", ()),
        ("CHAT_APPROVE_TOOLS", "query_data, current_time", ("query_data", "current_time")),
        ("CHAT_APPROVE_TOOLS", "*", (ALL,)),
        ("CHAT_SOCKET_DIRECT", "True", True),
        (
            "CHAT_SOCKET_ORIGINS",
            "https://X.example/, http://localhost:*",
            {"https://x.example", "http://localhost:*"},
        ),
        ("CHAT_SOCKET_ORIGINS", "http://[::1]:3000", {"http://[::1]:3000"}),
        ("CHAT_CORS_ORIGINS", "*", {"*"}),
        (
            "CHAT_CORS_ORIGINS",
            "https://x.example,http://localhost:*",
            {"https://x.example", "http://localhost:*"},
        ),
    ],
)
def test_a_setting_is_read(name: str, text: str, value: object) -> None:
    assert read_setting(name, {name: text}) == value


def test_a_setting_that_is_read_alone_has_its_default() -> None:
    assert read_setting("CHAT_HTTP_AUTH_LEVEL", {}) == "ANONYMOUS"


def test_a_setting_that_is_wrong_before_the_app_is_there_is_named_in_the_last_line() -> None:
    with pytest.raises(SettingsError) as caught:
        read_setting("CHAT_HTTP_AUTH_LEVEL", {"CHAT_HTTP_AUTH_LEVEL": "NONE"})
    message = "CHAT_HTTP_AUTH_LEVEL: 'NONE' is not usable: must be ANONYMOUS, FUNCTION or ADMIN"
    assert traceback.format_exception(caught.value)[-1] == f"chat.settings.SettingsError: {message}\n"
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize(
    "name", ["AZURE_AI_KEY", "OPENROUTER_AI_KEY", "LOCAL_AI_ENDPOINT", "OPENROUTER_AI_TITLE"]
)
def test_what_is_sent_as_a_header_is_one_line(name: str) -> None:
    [line] = problems(**LEAST, **{name: "first\nsecond"})
    assert line.startswith(f"{name}: ") and line.endswith("must be one line of printable characters")
    assert "KEY" not in name or "second" not in line


@pytest.mark.parametrize("storage", ["AzureWebJobsStorage", ACCOUNT])
def test_no_secret_stands_in_an_error(storage: str) -> None:
    lines = problems(AZURE_AI_KEY="hunter2", CHAT_COALESCE_MS="x", CHAT_STORAGE=storage)
    assert "hunter2" not in str(lines)
    assert "c2VjcmV0" not in str(lines)


def test_keys_tokens_and_secrets_are_the_secrets_of_the_table() -> None:
    secrets = {
        "AZURE_AI_KEY",
        "CHAT_MCP_SERVERS",
        "DATABRICKS_CLIENT_SECRET",
        "WebPubSubConnectionString",
        *(rows["key"].name for rows in SERVICES.values()),
    }
    assert {row.name for row in SETTINGS if row.secret} == secrets


@pytest.mark.parametrize(
    ("environ", "values"),
    [
        ({}, {}),
        ({"Store": "a=b"}, {"": "a=b"}),
        ({"Store": ""}, {}),
        ({"Store__tableServiceUri": "https://x"}, {"tableServiceUri": "https://x"}),
        ({"Store__accountName": "x", "Store__clientId": "y"}, {"accountName": "x", "clientId": "y"}),
        ({"Store__accountName": ""}, {}),
        ({"Storeroom": "a=b", "Store_x": "c"}, {}),
    ],
)
def test_a_storage_account_has_several_forms(environ: dict[str, str], values: dict[str, str]) -> None:
    assert storage_values("Store", environ) == values


def test_the_storage_account_can_be_another_setting() -> None:
    environ = {"CHAT_STORAGE": "Chat", "Chat__accountName": "x", "AZURE_AI_ENDPOINT": "https://x"}
    assert load_settings(environ).storage == "Chat"


@pytest.mark.parametrize(
    ("environ", "laptop"),
    [
        ({}, False),
        (LAPTOP, True),
        ({"AZURE_FUNCTIONS_ENVIRONMENT": "development"}, True),
        ({"AZURE_FUNCTIONS_ENVIRONMENT": "Production"}, False),
        ({**LAPTOP, "WEBSITE_INSTANCE_ID": ""}, True),
        *(({**LAPTOP, name: "x"}, False) for name in DEPLOYED),
    ],
)
def test_a_laptop_is_one_by_proof_alone(environ: dict[str, str], laptop: bool) -> None:
    assert on_laptop(environ) is laptop


def test_names_stand_in_the_table_once() -> None:
    names = [row.name for row in SETTINGS]
    assert len(set(names)) == len(names)
    assert len(names) == len(Settings.__dataclass_fields__) - 1 + len(SERVICES) * len(fields(ServiceSettings))
