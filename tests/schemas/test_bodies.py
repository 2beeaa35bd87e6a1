"""Requests are read leniently: `null` for a field that may be left out is as if it were left out, in every body."""

import importlib
from collections.abc import Iterator
from typing import Any

import orjson
import pydantic
import pytest
from fastapi import Request

from chat.dialects.catalogue import DIALECTS
from chat.dialects.delta import StreamBody
from chat.dialects.session_frames import read_session
from chat.dialects.shape_schemas import Shown
from chat.errors import ValidationError
from chat.routes import schemas
from chat.routes.requests import read_query
from chat.routes.schemas import NewSessionBody, SessionBody, TurnBody
from chat.schemas.fields import validate
from chat.schemas.mcp_bodies import McpMessage
from tests.support.source import modules

NEEDED: dict[str, dict[str, Any]] = {
    "StreamBody": {"messages": [{"role": "user", "content": "Hi"}]},
    "HistoryMessage": {"role": "user"},
    "MessageBody": {"content": "Hi"},
    "MemberBody": {"role": "viewer"},
    "KeyBody": {"name": "ci"},
    "PlanBody": {"message": "a day in Tokyo"},
    "RerunBody": {"from_stage": "plan"},
    "ClientFunction": {"name": "pick_color"},
    "ClientTool": {"type": "function", "function": {"name": "pick_color"}},
    "ClientToolOutput": {"call_id": "call_1", "output": "red"},
    "CallApproval": {"call_id": "call_1", "approved": True},
    "ResumeFields": {"turn_id": "t"},
    "OwnerBody": {"user_id": "bob"},
    "CompletionCalledFunction": {"name": "f"},
    "CompletionCall": {"id": "c", "function": {"name": "f"}},
    "CompletionMessage": {"role": "user"},
    "CompletionFunction": {"name": "f"},
    "CompletionTool": {"type": "function", "function": {"name": "f"}},
    "CompletionNamedFunction": {"name": "f"},
    "CompletionToolChoice": {"type": "auto"},
    "CompletionFormat": {"type": "text"},
    "CompletionApproval": {"call_id": "c", "approved": True},
    "CompletionsBody": {"messages": [{"role": "user", "content": "Hi"}]},
    "FunctionTool": {"type": "function"},
    "ChosenTool": {"type": "function"},
    "ConversationParam": {"id": "c"},
    "PageTool": {"name": "f"},
    "RunMessage": {"role": "user"},
    "ResumeEntry": {"interruptId": "i", "status": "resolved"},
    "RunAgentInput": {"threadId": "t", "runId": "r"},
    "TextPart": {"type": "text"},
    "FilePart": {"type": "file", "url": "data:,x"},
    "ToolPart": {"type": "tool-f", "toolCallId": "c"},
    "OtherPart": {"type": "step-start"},
    "UIMessage": {"role": "user"},
    "SendFrame": {"requestId": "r", "id": "c"},
    "ResumeFrame": {"requestId": "r", "id": "c"},
    "GetConversation": {"conversation_id": "c"},
    "Stop": {"turn_id": "t"},
    "SendMessageFields": {"content": "Hi"},
    "ApproveToolFields": {"approvals": [{"call_id": "call_1", "approved": True}]},
}
"""What a body cannot do without, where there is such a thing."""


DESCRIBING = {each.schemas for each in DIALECTS.values()}
NOT_THESE = (Shown, McpMessage)  # what is said; JSON-RPC, to which null is not nothing
EDGES = ("chat.routes", "chat.pubsub", "chat.dialects", "chat.schemas")


def bodies() -> Iterator[type[pydantic.BaseModel]]:
    """Every schema of a body or a frame. A query string has no null, and what only describes reads nothing."""
    for module in modules("chat"):
        if module.name.startswith(EDGES) and module.name not in DESCRIBING:
            for value in vars(importlib.import_module(module.name)).values():
                is_schema = isinstance(value, type) and issubclass(value, pydantic.BaseModel)
                if not is_schema or value.__module__ != module.name or issubclass(value, NOT_THESE):
                    continue
                if not value.__name__.endswith("Query"):
                    yield value


OPTIONAL = [
    (body, name) for body in bodies() for name, field in body.model_fields.items() if not field.is_required()
]
REQUIRED = [(body, name) for body in bodies() for name in NEEDED.get(body.__name__, {})]


def test_the_table_sees_bodies_frames_and_what_is_in_them() -> None:
    names = {body.__name__ for body, _ in OPTIONAL}
    assert {
        "NewSessionBody",
        "TurnBody",
        "MessageBody",
        "PlanBody",
        "ClientFunction",
        "SendMessageFields",
    } <= names


@pytest.mark.parametrize(("body", "name"), OPTIONAL, ids=lambda each: getattr(each, "__name__", each))
def test_null_for_an_optional_field_is_as_if_left_out(body: type[pydantic.BaseModel], name: str) -> None:
    needed = NEEDED.get(body.__name__, {})
    read = validate(body, {**needed, name: None})
    assert read.model_dump() == validate(body, needed).model_dump()


@pytest.mark.parametrize(("body", "name"), REQUIRED, ids=lambda each: getattr(each, "__name__", each))
def test_null_for_a_needed_field_is_refused_by_its_name(body: type[pydantic.BaseModel], name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate(body, {**NEEDED[body.__name__], name: None})
    assert refused.value.field == name


def test_null_within_free_json_is_kept() -> None:
    free: Any = {"a": None, "temperature": None, "deep": [None, {"b": None}]}
    assert validate(NewSessionBody, {"settings": free}).settings == free


QUERIES = [each for name, each in vars(schemas).items() if name.endswith("Query")]


@pytest.mark.parametrize("query", QUERIES, ids=lambda each: each.__name__)
def test_an_empty_value_in_a_query_is_as_if_left_out(query: type[pydantic.BaseModel]) -> None:
    left_out = read_query(asked(""), query)
    for name in query.model_fields:
        assert read_query(asked(f"{name}="), query) == left_out


def asked(query: str) -> Request:
    return Request({"type": "http", "method": "GET", "headers": [], "query_string": query.encode()})


FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "pick colour"}}
UPPER = "Must be in upper case, like AZURE: at most 50 letters, digits and _, a letter first"
SENTENCES: list[tuple[type[pydantic.BaseModel], dict[str, Any], str, str]] = [
    (NewSessionBody, {"llm_provider": "local"}, "llm_provider", UPPER),
    (SessionBody, {"llm_provider": ""}, "llm_provider", UPPER),
    (SessionBody, {"is_active": "no"}, "is_active", "Must be true or false"),
    (SessionBody, {"is_active": 0}, "is_active", "Must be true or false"),
    (StreamBody, {"messages": []}, "messages", "Must not be empty"),
    (TurnBody, {"tool_outputs": []}, "tool_outputs", "Must not be empty"),
    (TurnBody, {"tools": [FUNCTION]}, "tools.0.function.name", "Must be 1 to 64 letters, digits, _ or -"),
    (
        TurnBody,
        {"tool_outputs": [{"call_id": "c", "output": "", "is_error": "false"}]},
        "tool_outputs.0.is_error",
        "Must be true or false",
    ),
]


@pytest.mark.parametrize(("model", "body", "field", "sentence"), SENTENCES)
def test_what_is_wrong_is_said_in_a_sentence(
    model: type[pydantic.BaseModel], body: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        validate(model, body)
    assert (refused.value.field, refused.value.message) == (field, sentence)


TYPES = "one of send_message, approve_tool, typing_start, typing_stop, cancel, resume, ping"
FRAMES: list[tuple[dict[str, Any], str, str]] = [
    ({"content": "Hi"}, "type", f"A frame needs a `type`: {TYPES}"),
    ({"type": None}, "type", f"A frame needs a `type`: {TYPES}"),
    ({"type": "what"}, "type", f"There is no frame of type what: it is {TYPES}"),
    ({"type": 7}, "type", f"There is no frame of type 7: it is {TYPES}"),
    *(
        ({"type": "send_message", "content": "Hi", "reply": each}, "reply", "Must be true or false")
        for each in ("no", "false", "", 0, 1)
    ),
]


@pytest.mark.parametrize(("frame", "field", "sentence"), FRAMES)
def test_a_frame_of_a_room_that_will_not_do_is_told_why(
    frame: dict[str, Any], field: str, sentence: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        read_session("message", orjson.dumps(frame).decode())
    assert (refused.value.field, refused.value.message) == (field, sentence)
