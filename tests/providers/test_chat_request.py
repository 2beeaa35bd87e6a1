"""The chat completions protocol: bodies written."""

from dataclasses import replace
from typing import Any

from chat.calls import ToolCall, ToolDefinition
from chat.events import JSONObject
from chat.providers.base import ModelMessage, ModelRequest, ResponseSchema
from chat.providers.chat_request import request_body
from chat.reply_options import ReplyOptions, ToolChoice


def body(**fields: Any) -> JSONObject:
    return request_body(ModelRequest(messages=(ModelMessage("user", "Hi"),), **fields), "m")


def test_the_smallest_body():
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_usage_is_not_asked_of_a_service_that_cannot_tell():
    assert "stream_options" not in request_body(ModelRequest(messages=()), "m", include_usage=False)


def test_parameters_are_sent_even_when_they_are_zero():
    sent = body(temperature=0.0, top_p=0.5, max_tokens=7)
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.0, 0.5, 7)


def test_extras_add_to_the_body_and_yield_to_the_request():
    sent = body(temperature=0.5, extras={"seed": 1, "temperature": 2, "stream": False})
    assert (sent["seed"], sent["temperature"], sent["stream"]) == (1, 0.5, True)


def test_extras_are_not_written_to():
    extras: JSONObject = {"seed": 1}
    body(extras=extras)
    assert extras == {"seed": 1}


def test_tools_are_sent_as_functions():
    schema: JSONObject = {"type": "object", "properties": {}}
    assert body(tools=(ToolDefinition("now", "The time", schema),))["tools"] == [
        {"type": "function", "function": {"name": "now", "description": "The time", "parameters": schema}}
    ]


def test_a_service_is_not_told_that_a_tool_needs_an_approval():
    now = ToolDefinition("now", "The time", {"type": "object"})
    assert body(tools=(replace(now, needs_approval=True),)) == body(tools=(now,))


def test_calls_and_their_outputs_are_sent_back():
    request = ModelRequest(
        messages=(
            ModelMessage("assistant", "", tool_calls=(ToolCall("a", "now", "{}"),)),
            ModelMessage("tool", "noon", tool_call_id="a"),
        )
    )
    assert request_body(request, "m")["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "noon", "tool_call_id": "a"},
    ]


def test_a_schema_is_sent_as_the_format_of_the_response():
    schema: JSONObject = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    assert body(response_schema=ResponseSchema("answer", schema))["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def test_an_extra_of_none_leaves_its_parameter_out():
    sent = body(
        temperature=0.5, max_tokens=7, extras={"temperature": None, "stream_options": None, "seed": 1}
    )
    assert sent.keys() == {"model", "messages", "stream", "max_tokens", "seed"}


def test_a_model_that_the_url_names_is_not_sent():
    assert "model" not in request_body(ModelRequest(messages=()), "")


def test_what_the_caller_wants_of_the_reply_is_sent():
    tool = ToolDefinition("now", "The time", {})
    options = ReplyOptions(("x", "y"), 0, ToolChoice("auto"), parallel_tool_calls=False, json_object=True)
    sent = body(options=options, tools=(tool,))
    assert (sent["stop"], sent["seed"], sent["parallel_tool_calls"]) == (["x", "y"], 0, False)
    assert (sent["tool_choice"], sent["response_format"]) == ("auto", {"type": "json_object"})
    sent = body(options=ReplyOptions(tool_choice=ToolChoice("required", "now")), tools=(tool,))
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "now"}}
    assert not {"tool_choice", "parallel_tool_calls"} & body(options=options).keys()


def test_a_schema_that_is_not_strict_is_sent_as_one():
    sent = body(response_schema=ResponseSchema("answer", {}, strict=False))["response_format"]
    assert sent == {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}, "strict": False}}
