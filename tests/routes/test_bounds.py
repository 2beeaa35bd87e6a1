"""Whatever a caller sends has a bound: too long or out of range is 422, or an error frame, that names the field."""

from collections.abc import Iterator
from time import process_time
from types import ModuleType
from typing import Any

import orjson
import pydantic
import pytest

from chat.dialects import delta, frames, plan, session_frames, shape_schemas
from chat.dialects.ag_ui import ag_ui_input
from chat.dialects.ai_chat import ai_chat_schemas
from chat.dialects.ai_sdk import body_schemas
from chat.dialects.base import spoken
from chat.dialects.catalogue import DIALECTS
from chat.dialects.completions import completion_body
from chat.dialects.responses import response_body
from chat.errors import ChatError, RequestError, ValidationError
from chat.pubsub import connect_body
from chat.routes import schemas, tool_schemas, ui_stream_schemas
from chat.schemas import mcp_bodies
from chat.schemas.fields import FORMS, SENTENCES, read_json, validate
from tests.routes.conftest import Tables
from tests.support.clients import ChatClient

SHOWN = (shape_schemas.Shown, pydantic.RootModel)  # what is said, not taken
MODULES = (
    *(schemas, tool_schemas, ui_stream_schemas, delta, plan, completion_body, response_body, body_schemas),
    *(ag_ui_input, ai_chat_schemas, frames, session_frames, connect_body, mcp_bodies),
)
# Texts whose size is a setting, or a limit in bytes: over it is 413.
SIZED = {"content", "message", "output", "text", "refusal", "arguments", "instructions", "input", "url"}
BOUNDS = {
    "string": ("maxLength", "pattern", "enum", "const"),
    "integer": ("maximum",),
    "array": ("maxItems",),
}
# Limited by the size of the body, of which they are most.
UNCOUNTED = {"messages", "parts", "subprotocols"}


def models(module: ModuleType) -> Iterator[type[pydantic.BaseModel]]:
    for each in vars(module).values():
        if (
            isinstance(each, type)
            and issubclass(each, pydantic.BaseModel)
            and each.__module__ == module.__name__
            and not issubclass(each, SHOWN)
        ):
            yield each


MODELS = [each for module in MODULES for each in models(module)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_of_every_body_query_and_frame_has_a_bound(model: type[pydantic.BaseModel]) -> None:
    for name, schema in model.model_json_schema()["properties"].items():
        for each in schema.get("anyOf", [schema]):
            bounds = BOUNDS.get(each.get("type"), ())
            unbounded = bounds and not any(bound in each for bound in bounds)
            in_bytes = name in SIZED | UNCOUNTED or (model, name) in SMALL
            assert not unbounded or in_bytes, (name, each)


def test_the_bodies_of_the_doors_of_dialects_are_among_them() -> None:
    assert {each.door.body for each in DIALECTS.values() if each.door} <= set(MODELS)


# Counted in bytes of JSON together with what is around it.
SMALL = {(schemas.ChatSettings, "system_prompt")}

LONG, TURNS = "x" * 256, "/api/v1/chat/sessions/{}/turns"
MESSAGES, SOCKET = "/api/v1/chat/sessions/{}/messages", "/api/v1/chat/sessions/{}/websocket"
HI: dict[str, Any] = {"content": "Hi"}
MANY = {"messages": [{"role": "user", "content": "Hi"}]}
TOOL: dict[str, Any] = {"name": "t", "description": "", "parameters": {}}


def tool(**more: Any) -> dict[str, Any]:
    return {**HI, "tools": [{"type": "function", "function": TOOL | more}]}


REQUESTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/api/chat/stream", {"json": {**MANY, "session_id": LONG}}, "session_id"),
    ("POST", "/api/chat/stream", {"json": MANY, "headers": {"idempotency-key": LONG}}, "idempotency-key"),
    ("POST", "/api/chat/stream", {"json": MANY, "headers": {"x-dev-user": LONG}}, "x-dev-user"),
    ("POST", "/chat", {"json": {"message": "Hi", "session_id": LONG}}, "session_id"),
    ("POST", "/chat", {"json": {"message": "Hi", "pois": [{"a": "x" * 140_000}]}}, "pois"),
    ("POST", "/chat", {"json": {"message": "Hi", "plan": [{}] * 201}}, "plan"),
    ("POST", "/chat", {"json": {"message": "Hi"}, "headers": {"idempotency-key": LONG}}, "idempotency-key"),
    ("POST", "/api/v1/chat/sessions", {"json": {"title": "x" * 501}}, "title"),
    ("POST", "/api/v1/chat/sessions", {"json": {"llm_model": "x" * 101}}, "llm_model"),
    ("POST", "/api/v1/chat/sessions", {"json": {"llm_provider": "X" * 51}}, "llm_provider"),
    ("POST", "/api/v1/chat/sessions", {"json": {"settings": {"a": "x" * 17_000}}}, "settings"),
    ("POST", "/api/v1/chat/sessions", {"json": {"settings": {"temperature": 3}}}, "settings.temperature"),
    ("PUT", "/api/v1/chat/sessions/{}", {"json": {"llm_model": "x" * 101}}, "llm_model"),
    ("GET", "/api/v1/chat/sessions?page=10001", {}, "page"),
    ("GET", "/api/v1/chat/sessions?page=0", {}, "page"),
    ("GET", "/api/v1/chat/sessions?page=99999999999999999999", {}, "page"),
    ("GET", "/api/v1/chat/sessions?page_size=201", {}, "page_size"),
    ("GET", f"/api/v1/chat/sessions?cursor={LONG}", {}, "cursor"),
    ("GET", f"/api/v1/chat/sessions/{LONG}", {}, "session_id"),
    ("DELETE", f"/api/v1/chat/sessions/{LONG}", {}, "session_id"),
    ("GET", MESSAGES + "?page_size=201", {}, "page_size"),
    ("GET", MESSAGES + f"?before={LONG}", {}, "before"),
    ("GET", MESSAGES + f"?cursor={LONG}", {}, "cursor"),
    ("POST", MESSAGES, {"json": {**HI, "parent_message_id": LONG}}, "parent_message_id"),
    ("POST", MESSAGES, {"json": {**HI, "metadata": {"a": "x" * 17_000}}}, "metadata"),
    ("POST", TURNS, {"json": {"message_id": LONG}}, "message_id"),
    ("POST", TURNS, {"json": {**HI, "dialect": LONG}}, "dialect"),
    ("POST", TURNS, {"json": {**HI, "pipeline": LONG}}, "pipeline"),
    ("POST", TURNS, {"json": {**HI, "on_busy": LONG}}, "on_busy"),
    ("POST", TURNS, {"json": {**HI, "state": {}}}, "state"),
    ("POST", TURNS + "?pipeline=trip", {"json": {**HI, "state": {"plan": [{}] * 201}}}, "state.plan"),
    (
        "POST",
        TURNS + "?pipeline=trip",
        {"json": {**HI, "state": {"pois": [{"name": 5}]}}},
        "state.pois.0.name",
    ),
    ("POST", TURNS + f"?dialect={LONG}", {"json": HI}, "dialect"),
    ("POST", TURNS + f"?pipeline={LONG}", {"json": HI}, "pipeline"),
    ("POST", TURNS, {"json": HI, "headers": {"idempotency-key": LONG}}, "idempotency-key"),
    ("POST", TURNS, {"json": {**HI, "settings": {"max_tokens": 10**7}}}, "settings.max_tokens"),
    ("POST", TURNS, {"json": tool(name="x" * 65)}, "tools.0.function.name"),
    ("POST", TURNS, {"json": tool(description="x" * 1025)}, "tools.0.function.description"),
    ("POST", TURNS, {"json": tool(parameters={"a": "x" * 17_000})}, "tools.0.function.parameters"),
    ("POST", TURNS, {"json": {**HI, "tools": tool()["tools"] * 65}}, "tools"),
    (
        "POST",
        TURNS,
        {"json": {"tool_outputs": [{"call_id": "x" * 501, "output": ""}]}},
        "tool_outputs.0.call_id",
    ),
    ("POST", TURNS, {"json": {}}, "content"),
    ("POST", TURNS, {"json": {**HI, "message_id": "x"}}, "message_id"),
    ("POST", f"/api/v1/chat/messages/{LONG}/regenerate", {"json": {}}, "message_id"),
    ("POST", f"/api/v1/chat/turns/{LONG}/cancel", {}, "turn_id"),
    ("GET", f"/api/v1/chat/turns/{LONG}", {}, "turn_id"),
    ("POST", f"/api/v1/chat/turns/{LONG}/rerun", {"json": {"from_stage": "pois"}}, "turn_id"),
    ("GET", "/api/v1/chat/turns/x/events?after=100000000", {}, "after"),
    ("GET", f"/api/v1/chat/turns/x/events?after={LONG}", {}, "after"),
    ("GET", "/api/v1/chat/turns/x/events", {"headers": {"last-event-id": LONG}}, "last-event-id"),
    ("GET", f"/api/v1/chat/turns/x/events?dialect={LONG}", {}, "dialect"),
    ("GET", f"/ws?session_id={LONG}", {}, "session_id"),
    ("GET", f"/ws?dialect={LONG}", {}, "dialect"),
    ("GET", f"/ws/chat?protocol={LONG}", {}, "protocol"),
    ("GET", SOCKET + f"?dialect={LONG}", {}, "dialect"),
    ("PUT", "/api/v1/chat/sessions/{}/members/" + LONG, {"json": {"role": "viewer"}}, "user_id"),
    ("DELETE", "/api/v1/chat/sessions/{}/members/" + LONG, {}, "user_id"),
]


@pytest.mark.parametrize(("method", "path", "options", "field"), REQUESTS, ids=lambda value: repr(value)[:60])
async def test_what_is_too_long_or_out_of_range_is_422_and_named(
    client: ChatClient, tables: Tables, method: str, path: str, options: dict[str, Any], field: str
) -> None:
    session_id = await client.new_session()
    before = tables.rows()
    reply = await client.call(method, path.format(session_id), **options)
    assert (reply.status, reply.body["error_code"]) == (422, "INVALID_INPUT"), reply.body
    assert reply.body["details"]["field"] == field
    assert len(reply.body["details"]["message"]) < 400
    assert tables.rows() == before


FRAMES: list[tuple[str, Any, str]] = [
    ("chat", {"type": "chat_cancel", "payload": {"turn_id": LONG}}, "turn_id"),
    ("chat", {"type": "chat_resume", "payload": {"turn_id": LONG, "after": 1}}, "turn_id"),
    ("chat", {"type": "chat_resume", "payload": {"turn_id": "t", "after": 100_000_000}}, "after"),
    ("chat", {"type": "chat_resume", "payload": {"turn_id": "t", "after": 2**70}}, "after"),
    ("plan", {"type": "cancel", "turn_id": LONG}, "turn_id"),
    ("plan", {"type": "resume", "turn_id": "t", "after": 2**31}, "after"),
    ("plan", {"message": "Hi", "session_id": LONG}, "session_id"),
    ("plan", {"message": "Hi", "pois": [{"a": "x" * 140_000}]}, "pois"),
    ("session", {"type": "send_message", "content": "x", "request_id": LONG}, "request_id"),
    (
        "session",
        {"type": "send_message", "content": "x", "parent_message_id": "m" * 33_000},
        "parent_message_id",
    ),
    ("session", {"type": "cancel", "turn_id": LONG}, "turn_id"),
    ("session", {"type": "resume", "turn_id": LONG, "after": 1}, "turn_id"),
    ("session", {"type": "resume", "turn_id": "t", "after": 2**31}, "after"),
    ("session", {"type": "resume", "turn_id": "t", "after": -1}, "after"),
    ("session", {"type": "resume", "turn_id": "t", "after": "1.100000000"}, "after"),
    ("session", {"type": "resume", "turn_id": "t", "after": LONG}, "after"),
    ("chat", '{"type":"chat","payload":{"text":"\\ud800"}}', "payload.text"),
    ("plan", '{"message":"Hi","pois":[{"a":["ok","\\udfff"]}]}', "pois.0.a.1"),
    ("session", '{"type":"send_message","content":"\\ud83d"}', "content"),
    ("session", '{"type":"send_message","content":"x","request_id":"\\ud800"}', "request_id"),
]


@pytest.mark.parametrize(("dialect", "frame", "field"), FRAMES, ids=lambda value: repr(value)[:60])
def test_a_frame_that_goes_too_far_is_an_error_frame_that_names_the_field(
    dialect: str, frame: Any, field: str
) -> None:
    data = frame if isinstance(frame, str) else str(pydantic.TypeAdapter(Any).dump_json(frame), "utf-8")
    with pytest.raises(ValidationError) as caught:
        DIALECTS[dialect].face.read("message", data)
    assert caught.value.field == field
    assert f'"field":"{field}"' in orjson.dumps(DIALECTS[dialect].face.error(caught.value)).decode()


SURROGATES = [
    ("/api/chat/stream", '{"messages":[{"role":"user","content":"\\ud800"}]}', "messages.0.content"),
    (TURNS, '{"content":"\\uDC00 x"}', "content"),
    (TURNS, '{"content":"x","settings":{"system_prompt":"\\ud800"}}', "settings.system_prompt"),
    (TURNS, '{"tool_outputs":[{"call_id":"c","output":"\\ud800"}]}', "tool_outputs.0.output"),
    (MESSAGES, '{"content":"x","metadata":{"a":{"\\ud800":1}}}', "metadata.a"),
    ("/api/v1/chat/sessions", '{"title":"\\ud83dx"}', "title"),
    ("/chat", '{"message":"\\ud800"}', "message"),
]


@pytest.mark.parametrize(("path", "body", "field"), SURROGATES)
async def test_what_cannot_be_written_as_utf8_is_422_and_named(
    client: ChatClient, path: str, body: str, field: str
) -> None:
    path = path.format(await client.new_session())
    reply = await client.call("POST", path, data=body)
    assert (reply.status, reply.body["details"].get("field")) == (422, field)


MIB = 1024 * 1024
HOSTILE = {
    "deep and wide": "[" * 900 + "0," * (MIB // 4) + '"\\ud800"' + "]" * 900,
    "long names": '{"' + "n" * (MIB // 2) + '":[' + "[]," * (MIB // 6) + '"\\ud800"]}',
    "many texts": "[" + '"\\u0061",' * (MIB // 10) + '"\\ud800"]',
    "one text": '"' + "x" * MIB + '\\ud800"',
    "too deep": "[" * MIB + '"\\ud800"',
    "a long number": '["\\ud800",' + "9" * MIB + "]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_looking_for_what_cannot_be_written_takes_time_that_grows_with_the_body_alone(name: str) -> None:
    began = process_time()
    with pytest.raises(RequestError) as caught:
        read_json(HOSTILE[name], refusal="Not JSON")
    assert process_time() - began < 3
    assert len(str(caught.value.details.get("field", ""))) <= 255


async def test_a_whole_surrogate_pair_is_a_letter_like_others(client: ChatClient) -> None:
    reply = await client.call("POST", "/api/v1/chat/sessions", data='{"title":"\\ud83d\\ude00"}')
    assert reply.body["title"] == "😀"


WRONG = [
    ({}, "content", "This field must be given"),
    ({"content": 7}, "content", "Must be a text"),
    ({**HI, "on_busy": "x"}, "on_busy", "Must be 'reject', 'queue' or 'interrupt'"),
    ({**HI, "tools": 7}, "tools", "Must be a list"),
    ({**HI, "tools": [7]}, "tools.0", "Must be an object"),
    ({**HI, "settings": 7}, "settings", "Must be an object"),
    ({**HI, "settings": {"max_tokens": "many"}}, "settings.max_tokens", "Must be a whole number"),
    ({**HI, "settings": {"max_tokens": 1.5}}, "settings.max_tokens", "Must be a whole number"),
    ({**HI, "settings": {"max_tokens": 0}}, "settings.max_tokens", "Must be at least 1"),
    ({**HI, "settings": {"temperature": 9}}, "settings.temperature", "Must be at most 2.0"),
    ({**HI, "settings": {"temperature": []}}, "settings.temperature", "Must be a number"),
    ({**HI, "message_id": ""}, "message_id", "Must not be empty"),
    ({**HI, "tools": [{}] * 65}, "tools", "Has more than 64 entries"),
    ({"tool_outputs": []}, "tool_outputs", "Must not be empty"),
]


@pytest.mark.parametrize(("body", "field", "message"), WRONG, ids=lambda value: repr(value)[:40])
async def test_what_is_wrong_is_said_in_our_words(
    client: ChatClient, body: Any, field: str, message: str
) -> None:
    path = TURNS if body else MESSAGES
    reply = await client.call("POST", path.format(await client.new_session()), json=body)
    assert reply.body["details"] == {"field": field, "message": message}


def test_every_kind_of_mistake_that_a_field_can_have_has_a_sentence() -> None:
    """What is not in the schemas is of other uses of pydantic."""
    kinds = {kind for model in MODELS for kind in _kinds(model.__pydantic_core_schema__)}
    assert kinds <= SENTENCES.keys() | {"any", "definitions", "definition-ref"}


def test_every_form_that_a_text_must_have_is_said_in_words() -> None:
    patterns = {each for model in MODELS for each in _patterns(model.model_json_schema())}
    assert patterns - {r"\S"} == FORMS.keys()  # that is said by EMPTY


def _patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _patterns(each)


def _kinds(schema: Any) -> Iterator[str]:
    """The mistakes that pydantic can find by a schema, by the names of its errors."""
    if isinstance(schema, dict):
        match schema.get("type"):
            case "str":
                yield from ("string_type", "string_unicode")
            case "int":
                yield from ("int_type", "int_parsing", "int_from_float", "int_parsing_size")
            case "float":
                yield from ("float_type", "float_parsing", "finite_number")
            case "bool":
                yield from ("bool_type", "bool_parsing")
            case "list" | "dict" | "model" as kind:
                yield f"{kind}_type"
            case "literal":
                yield "literal_error"
            case _:
                pass
        for each in schema.values():
            yield from _kinds(each)
    elif isinstance(schema, list | tuple):
        for each in schema:
            yield from _kinds(each)


def test_an_error_that_names_no_field_is_shown_without_one() -> None:
    for dialect in spoken(DIALECTS).values():
        assert "field" not in orjson.dumps(dialect.face.error(ChatError("x"))).decode()


MANY = b"[" + b",".join([b"{}"] * 100_000) + b"]"
LARGE = [
    (schemas.MessageBody, b'{"content":"a","metadata":{"a":' + MANY + b"}}", "metadata"),
    (schemas.NewSessionBody, b'{"settings":{"a":' + MANY + b"}}", "settings"),
    (plan.PlanBody, b'{"message":"a","pois":[{"a":' + MANY + b"}]}", "pois"),
    (tool_schemas.ClientFunction, b'{"name":"a","parameters":{"a":' + MANY + b"}}", "parameters"),
    (delta.StreamBody, b'{"messages":' + MANY + b"}", "messages.0.role"),
]


@pytest.mark.parametrize(("model", "body", "field"), LARGE, ids=lambda each: getattr(each, "__name__", ""))
def test_a_large_body_is_refused_in_less_time_than_it_takes_to_read_it(
    model: type[pydantic.BaseModel], body: bytes, field: str
) -> None:
    """All others wait meanwhile. Time of the processor, which others do not share."""
    began = process_time()
    value = orjson.loads(body)
    read = process_time() - began
    began = process_time()
    with pytest.raises(ValidationError) as refused:
        validate(model, value)
    assert refused.value.field == field
    assert process_time() - began < max(2 * read, 0.02)
