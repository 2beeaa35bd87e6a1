"""The models that may be named in a request, and who is asked when one is."""

import json

import pytest

from chat.asking.asks import known_models
from chat.settings import load_settings
from tests.support.apps import make_app
from tests.support.http_instance import Instance
from tests.support.processes import ROOT
from tests.support.virtual_time import virtual

VALUES = json.loads((ROOT / "local.settings.json.example").read_text())["Values"]
TWO = {"CHAT_PROVIDERS": "OPENROUTER,AZURE,LOCAL", "LOCAL_AI_MODEL": "model-router"}


def test_each_service_has_a_name_of_its_own_in_the_order_in_which_they_are_asked() -> None:
    assert known_models(load_settings(VALUES | TWO)) == {
        "openrouter/auto": "OPENROUTER",
        "model-router": "AZURE",
        "local/model-router": "LOCAL",
    }


@virtual
@pytest.mark.parametrize(("model", "provider"), [("gpt", "AZURE"), ("another", ""), ("", "")])
async def test_a_model_of_the_list_is_answered_by_its_service(model: str, provider: str) -> None:
    app = make_app(["Hi"], settings={"AZURE_AI_MODEL": "gpt"})
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    here = Instance(app.app)
    assert (await here.call("POST", "/api/openai/v1/chat/completions", body)).status == 200
    assert [each.provider for each in app.provider.requests] == [provider]


@virtual
async def test_a_model_that_is_not_there_is_404() -> None:
    here = Instance(make_app().app)
    listed = (await here.call("GET", "/api/openai/v1/models")).json["data"]
    found = await here.call("GET", f"/api/openai/v1/models/{listed[0]['id']}")
    assert (found.status, found.json) == (200, listed[0])
    missing = await here.call("GET", "/api/openai/v1/models/another")
    assert (missing.status, missing.json["error"]["code"]) == (404, "not_found")


@virtual
@pytest.mark.parametrize("segment", ["publisher%2Fmodel", "publisher%2fmodel"])
async def test_a_slash_in_the_name_of_a_model_is_escaped(segment: str) -> None:
    here = Instance(make_app(settings={"AZURE_AI_MODEL": "publisher/model"}).app)
    found = await here.call("GET", f"/api/openai/v1/models/{segment}")
    assert (found.status, found.json["id"]) == (200, "publisher/model")
