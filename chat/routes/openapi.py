"""The OpenAPI document (3.1.1, https://spec.openapis.org/oas/v3.1.1.html): made from the table of routes, the models of
what callers say and of what they are told, and the docstrings of handlers, with the first request for it."""

from collections.abc import Iterable, Mapping
from functools import cache

import orjson
from fastapi import Request, Response

from chat.app import VERSION, ChatApp
from chat.routes.header_schemas import HEADERS
from chat.routes.json_schemas import Schema, schemas_of
from chat.routes.operations import Operation, models_of, models_of_dialects
from chat.routes.problem_responses import Problem, problem_responses
from chat.routes.route_table import Route, Routes

ABOUT = """Chats whose answers survive reloads, crashes and scale-out: every answer is a log of numbered events, which
any stream follows from any place. Bodies are JSON whatever their content type. Unknown keys are ignored, and null for
a field that may be left out is as if it were left out. Keys may be added to whatever is answered. What streams and
sockets carry are the schemas whose names end in `Frame`."""

SECURITY: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of the organisation's sign-in."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "For programs."},
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "Of the Functions host: where it wants one, it comes beside one of the others.",
    },
    "link": {"type": "apiKey", "in": "query", "name": "key", "description": "Of a link to one turn."},
    "devUser": {
        "type": "apiKey",
        "in": "header",
        "name": "x-dev-user",
        "description": "On a laptop alone: who one says one is.",
    },
}
"""Ways to say who asks. Which of them are on is a setting (`CHAT_AUTH`)."""

type Row = tuple[str, str, Route]  # path, method, row


async def show_document(_app: ChatApp, _request: Request, *, routes: Routes) -> Response:
    """`GET /api/openapi.json`: for clients that are made from it, and for `/api/docs`."""
    rows = tuple((path, method, row) for path, some in routes.items() for method, row in some.items())
    return Response(_written(rows), media_type="application/json")


@cache
def _written(rows: tuple[Row, ...]) -> bytes:
    return orjson.dumps(make_document(rows))


def make_document(rows: Iterable[Row]) -> Schema:
    """The document of these rows, as JSON."""
    operations = [Operation(path, method, row) for path, method, row in rows]
    paths: dict[str, Schema] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = each.shown()
    models = [*models_of_dialects(), *(model for each in operations for model in models_of(each)), Problem]
    licence = {"name": "MIT", "identifier": "MIT"}
    return {
        "openapi": "3.1.1",
        "info": {"title": "Parley", "version": VERSION, "description": ABOUT, "license": licence},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": {
            "schemas": schemas_of(models),
            "responses": problem_responses(),
            "headers": HEADERS,
            "securitySchemes": SECURITY,
        },
    }
