"""The OpenAPI document: it is valid, says of every row what there is to say, and costs a cold start nothing."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate as validate_document

from chat import errors
from chat.dialects.catalogue import DIALECTS
from chat.errors import ChatError
from chat.routes.route_table import Route
from scripts.write_docs import read_routes
from tests.support.clients import ChatClient
from tests.support.described import document, frame_of, validator_of

METHODS = {"get", "head", "post", "put", "delete", "options"}
NO_MODEL = {"socket_routes:take_socket_event", "openapi:show_document", "docs_page:show_page"}
"""What is written for the socket service, and the document itself."""

ROUTES = {(method, path): row for method, path, row in read_routes()}


def operations() -> Iterator[tuple[str, str, dict[str, Any], Route]]:
    """`(method, path, operation, row)`"""
    for path, some in document()["paths"].items():
        for method, operation in some.items():
            yield method.upper(), path, operation, ROUTES[method.upper(), path]


def test_it_is_openapi_3_1() -> None:
    assert document()["openapi"] == "3.1.1"
    validate_document(document())


async def test_it_is_served_as_it_is_made(client: ChatClient) -> None:
    reply = await client.call("GET", "/api/openapi.json")
    assert (reply.status, reply.body) == (200, document())


def test_it_has_every_row_and_names_each_once() -> None:
    found = {(path, method) for method, path, _, _ in operations()}
    assert found == {(path, method) for method, path in ROUTES}
    names = [operation["operationId"] for _, _, operation, _ in operations()]
    assert len(names) == len(set(names))


def test_every_reply_has_a_model() -> None:
    rows = {row for _, _, _, row in operations() if row.handler != "doors:enter" or row.dialect != "delta"}
    assert {row.handler for row in rows if not row.reply and not row.streams} == NO_MODEL


def test_whoever_may_ask_without_a_login_is_told_so() -> None:
    for _, path, operation, row in operations():
        assert (operation["security"] == []) == (row.who == "anyone"), path
        assert ("401" in operation["responses"]) or row.who == "anyone", path


def test_descriptions_are_sentences_without_the_names_of_routes() -> None:
    for _, path, operation, _ in operations():
        assert re.match(r"[A-Z0-9][^`]", operation["description"]), (path, operation["description"])
        assert operation["description"].endswith("."), path


def test_every_parameter_of_a_path_is_described() -> None:
    for _, path, operation, _ in operations():
        given = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
        assert given == set(re.findall(r"{(\w+)}", path))


EXPECTED_PARAMETERS = {
    ("POST", "/api/chat/stream"): {"Idempotency-Key"},
    ("POST", "/chat"): {"Idempotency-Key"},
    ("POST", "/api/openai/v1/chat/completions"): {"Idempotency-Key", "x-session-id"},
    ("GET", "/api/v1/chat/sessions"): {"page", "page_size", "cursor", "user_id"},
    ("POST", "/api/v1/chat/sessions/{session_id}/turns"): {"dialect", "pipeline", "Idempotency-Key"},
    ("GET", "/api/v1/chat/turns/{turn_id}/events"): {"after", "dialect", "Last-Event-ID", "user_id"},
    ("GET", "/ws"): {"session_id", "dialect", "protocol"},
    ("GET", "/api/v1/chat/sessions/{session_id}/websocket"): {"dialect", "protocol"},
}


@pytest.mark.parametrize(("method", "path"), EXPECTED_PARAMETERS)
def test_queries_and_headers_are_described(method: str, path: str) -> None:
    given = document()["paths"][path][method.lower()]["parameters"]
    assert {each["name"] for each in given if each["in"] != "path"} == EXPECTED_PARAMETERS[method, path]


def test_streams_name_the_frames_of_every_dialect_that_they_may_be_in() -> None:
    for _, _, operation, row in operations():
        if row.streams and not row.words:
            for kind, content in operation["responses"]["200"]["content"].items():
                shown, end = content["schema"], list[Any]()
                if kind == "text/event-stream":
                    data, *end = shown["properties"]["data"]["anyOf"]
                    shown = data["contentSchema"]
                found = {each["$ref"] for each in shown["anyOf"]}
                assert found == {f"#/components/schemas/{frame_of(name)}" for name in framed(kind)}
                assert end == [{"const": "[DONE]"}] * (kind == "text/event-stream")


def test_streams_that_are_no_events_are_not_said_to_be() -> None:
    """Lines are those objects, and a stream that a call of MCP may be answered by is one content of its route."""
    paths = document()["paths"]
    [(kind, lines)] = paths["/api/ai-chat/stream"]["post"]["responses"]["200"]["content"].items()
    assert (kind, lines["schema"]) == (
        "application/jsonl",
        {"anyOf": [{"$ref": "#/components/schemas/AiChatFrame"}]},
    )
    assert "text/event-stream" in paths["/api/mcp"]["post"]["responses"]["200"]["content"]


def framed(kind: str) -> set[str]:
    """The dialects whose streams have this content type."""
    return {name for name, each in DIALECTS.items() if each.framing and each.framing.content_type == kind}


def test_every_dialect_describes_its_frames() -> None:
    schemas = document()["components"]["schemas"]
    assert {frame_of(name) for name in DIALECTS} <= schemas.keys()
    sockets = {name for name, each in DIALECTS.items() if each.socket is not None}
    assert {frame_of(f"{name}-client") for name in sockets} <= schemas.keys()


def test_names_of_schemas_are_those_of_models() -> None:
    assert not [name for name in document()["components"]["schemas"] if not re.fullmatch(r"[A-Z]\w+", name)]


def test_every_code_stands_at_its_status() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ChatError)]
    for kind in kinds:
        response = document()["components"]["responses"][f"Problem{kind.status}"]
        assert kind.code in response["content"]["application/json"]["examples"]


def test_every_example_is_one() -> None:
    """Of bodies, replies and problems."""
    schemas = document()["components"]["schemas"]
    shown = [(name, each) for name, schema in schemas.items() for each in schema.get("examples", ())]
    problems = document()["components"]["responses"].values()
    media = [each["content"]["application/json"] for each in problems]
    shown += [("Problem", each["value"]) for some in media for each in some["examples"].values()]
    for name, example in shown:
        validator_of(f"/components/schemas/{name}").validate(example)
    assert {"NewSessionBody", "TurnBody", "StreamBody", "PlanBody", "Session", "Message", "Turn"} <= {
        name for name, _ in shown
    }


def test_every_body_has_an_example() -> None:
    for _, path, operation, _ in operations():
        if body := operation.get("requestBody"):
            assert body["content"]["application/json"]["examples"], path
