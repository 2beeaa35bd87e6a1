"""The body of a request of the Responses protocol."""

import json
from typing import Any

import pytest

from chat.calls import ToolCall, ToolDefinition
from chat.errors import ProviderRejected
from chat.events import JSONObject
from chat.providers.base import ModelMessage, ModelProvider, ModelRequest, ResponseSchema
from chat.providers.responses_request import LONGEST_ID, responses_body
from chat.reply_options import ReplyOptions, ToolChoice
from tests.providers.conftest import RESPONSES, MakeProvider
from tests.support.model_requests import QUESTION, read
from tests.support.model_service import ModelService
from tests.support.wires import ModelWire

SYSTEM, USER = ModelMessage("system", "Be kind."), ModelMessage("user", "Hi")
CALLED = ModelMessage("assistant", "I look.", (ToolCall("c1", "now", "{}"),))
TOOL = ToolDefinition("now", "The time.", {"type": "object"})


def body(*messages: ModelMessage, **more: Any) -> JSONObject:
    return responses_body(ModelRequest(messages=messages, **more), "m")


def test_the_whole_conversation_is_sent_and_nothing_is_kept_there():
    said = body(SYSTEM, USER, CALLED, ModelMessage("tool", "noon", (), "c1"))
    assert said == {
        "model": "m",
        "stream": True,
        "store": False,
        "input": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "I look."},
            {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "noon"},
        ],
    }


def test_calls_without_a_word_are_no_message():
    assert body(ModelMessage("assistant", "", CALLED.tool_calls))["input"] == [
        {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"}
    ]


def test_ids_and_names_that_other_services_made_are_ones_that_this_takes():
    call = ToolCall("x" * 300, "read.wiki page", "{}")
    asked, answered = body(ModelMessage("assistant", "", (call,)), ModelMessage("tool", "", (), call.id))[
        "input"
    ]  # type: ignore[misc]
    assert asked["call_id"] == answered["call_id"]  # type: ignore[index,call-overload]
    assert len(asked["call_id"]) <= LONGEST_ID  # type: ignore[index,call-overload,arg-type]
    assert asked["name"] == "read_wiki_page"  # type: ignore[index,call-overload]


@pytest.mark.parametrize("given", ["call_0", "x" * 300])
def test_an_id_that_calls_of_several_turns_have_is_sent_once(given: str):
    turn = ModelMessage("assistant", "", (ToolCall(given, "now", "{}"),))
    told = [ModelMessage("tool", text, (), given) for text in ("noon", "one", "two")]
    items: Any = body(*(each for output in told for each in (turn, output)))["input"]
    called = [each["call_id"] for each in items if each["type"] == "function_call"]
    outputs = {each["call_id"]: each["output"] for each in items if each["type"] == "function_call_output"}
    assert len(set(called)) == 3 and max(map(len, called)) <= LONGEST_ID
    assert [outputs[each] for each in called] == ["noon", "one", "two"]


def test_limits_and_sampling_have_their_names():
    assert {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 7}.items() <= body(
        USER, temperature=0.5, top_p=0.9, max_tokens=7
    ).items()


def test_tools_and_schemas_have_their_forms():
    said = body(USER, tools=(TOOL,), response_schema=ResponseSchema("plan", {"type": "object"}))
    assert said["tools"] == [
        {
            "type": "function",
            "name": "now",
            "description": "The time.",
            "parameters": {"type": "object"},
            "strict": False,
        }
    ]
    assert said["text"] == {
        "format": {"type": "json_schema", "name": "plan", "schema": {"type": "object"}, "strict": True}
    }


def test_what_the_caller_wants_of_the_reply_is_sent():
    options = ReplyOptions(
        ("x",), 1, ToolChoice("required", "now"), parallel_tool_calls=False, json_object=True
    )
    said = body(USER, options=options, tools=(TOOL,))
    assert (said["tool_choice"], said["parallel_tool_calls"]) == ({"type": "function", "name": "now"}, False)
    assert said["text"] == {"format": {"type": "json_object"}}
    assert (
        body(USER, options=ReplyOptions(tool_choice=ToolChoice("none")), tools=(TOOL,))["tool_choice"]
        == "none"
    )
    assert "tool_choice" not in body(USER, options=options)


def test_what_a_service_refused_is_left_out():
    request = ModelRequest(messages=(USER,), temperature=0.5, extras={"temperature": None, "reasoning": None})
    assert {"temperature", "reasoning"}.isdisjoint(responses_body(request, "m", summary="auto"))


PATHS = {
    "AZURE/responses": "/openai/v1/responses?api-version=v1",
    "LOCAL/responses": "/v1/responses",
    "DATABRICKS/agent": "/serving-endpoints/responses",
}


@pytest.mark.parametrize("provider_name", RESPONSES)
async def test_each_service_is_asked_at_its_route(
    service: ModelService, provider: ModelProvider, wire: ModelWire, provider_name: str
):
    service.script = [wire.begin, wire.text("Hi"), wire.stop]
    await read(provider, ModelRequest(messages=QUESTION.messages, tools=(TOOL,)))
    [asked] = service.asked
    assert asked.path == PATHS[provider_name]
    assert asked.body["input"] == [{"role": "user", "content": "Hi"}]
    assert (asked.body["model"], asked.body["store"]) == ("model-router", False)
    assert ("tools" in asked.body) == (provider_name != "DATABRICKS/agent"), "agents refuse tools of others"


@pytest.mark.parametrize("provider_name", ["AZURE/responses"])
@pytest.mark.parametrize(
    ("path", "route", "model"),
    [
        ("/openai/deployments/gpt-5", "/openai/v1/responses?api-version=v1", "gpt-5"),
        ("/openai/v1/responses", "/openai/v1/responses?api-version=v1", "model-router"),
    ],
)
async def test_a_deployment_of_azure_is_named_in_the_body(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire, path: str, route: str, model: str
):
    service.script = [wire.text("Hi"), wire.stop]
    await read(make_provider(path))
    assert (service.asked[0].path, service.asked[0].body["model"]) == (route, model)


@pytest.mark.parametrize("provider_name", ["DATABRICKS/agent"])
async def test_the_url_of_one_endpoint_is_asked_as_it_stands(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire
):
    service.script = [wire.text("Hi"), wire.stop]
    await read(make_provider("/serving-endpoints/e/invocations"))
    [asked] = service.asked
    assert asked.path == "/serving-endpoints/e/invocations"
    assert asked.body.keys() == {"input", "stream", "store"}


@pytest.mark.parametrize("provider_name", ["AZURE/responses", "LOCAL/responses"])
async def test_a_summary_of_the_reasoning_is_asked_for_when_the_settings_say_so(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire
):
    service.script = [wire.text("Hi"), wire.stop]
    await read(make_provider())
    await read(make_provider(CHAT_REASONING_SUMMARY="auto"))
    assert [asked.body.get("reasoning") for asked in service.asked] == [None, {"summary": "auto"}]


@pytest.mark.parametrize(
    ("param", "parameter"),
    [
        ("max_output_tokens", "max_output_tokens"),
        ("reasoning.summary", "reasoning"),
        ("temperature", "temperature"),
        ("tools", ""),
        ("reasoning.effort", "reasoning"),
    ],
)
@pytest.mark.parametrize("provider_name", ["AZURE/responses", "LOCAL/responses"])
async def test_what_a_model_refuses_and_can_do_without_is_named(
    service: ModelService, make_provider: MakeProvider, param: str, parameter: str
):
    error = {"message": "?", "code": "unsupported_parameter", "param": param}
    service.status, service.script = 400, [json.dumps({"error": error}).encode()]
    request = ModelRequest(messages=QUESTION.messages, temperature=0.5, max_tokens=9, tools=(TOOL,))
    with pytest.raises(ProviderRejected) as refusal:
        await read(make_provider(CHAT_REASONING_SUMMARY="auto"), request)
    assert refusal.value.parameter == parameter
