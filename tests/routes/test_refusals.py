"""What is refused on a route of a dialect is told in its words, whoever refuses it, with the headers of HTTP."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.dialects.catalogue import DIALECTS
from chat.errors import (
    BudgetSpent,
    ChatError,
    Conflict,
    EncodedBody,
    Forbidden,
    LimitReached,
    NotFound,
    SlowBody,
    StoreUnavailable,
    TooLarge,
    Unauthenticated,
    ValidationError,
)
from chat.routes.fallback import answer_rest
from chat.routes.functions import functions
from chat.routes.operations import Operation
from chat.routes.replies import answer
from chat.routes.route_table import Route, Routes
from tests.support.apps import make_app
from tests.support.shout import SHOUT

ROUTES: Routes = {
    "/shout": {
        "POST": Route("doors:enter", "ask", again="doors:enter_again", dialect=SHOUT.name),
    },
    "/shouted/{turn_id}": {
        "GET": Route("turns:get_turn", "how it stands", refuses=SHOUT.name),
        "PUT": Route("limits:put_limits", "for admins", "limit_schemas:LimitsBody", who="admin"),
    },
    "/limits": {
        "PUT": Route(
            "limits:put_limits", "for admins", "limit_schemas:LimitsBody", who="admin", refuses=SHOUT.name
        ),
        "GET": Route("health:health", "no one asks who", who="anyone", refuses=SHOUT.name),
    },
}


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(cast("dict[str, Any]", DIALECTS), SHOUT.name, SHOUT)
    monkeypatch.setattr("chat.app._current", make_app(settings={"CHAT_MAX_BODY_BYTES": "99"}).app)
    yield


def request(method: str, path: str, body: bytes = b"", **headers: str) -> Request:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": raw}
    return Request({**scope, "query_string": b"", "path_params": {"turn_id": path.split("/")[-1]}}, receive)


async def asked(method: str, template: str, path: str, body: bytes = b"", **headers: str) -> Response:
    for known, methods, function in functions(ROUTES):
        if f"/{known}" == template and method in methods:
            return await function(request(method, path, body, **headers))
    raise AssertionError(path)


def no(reply: Response) -> tuple[int, bytes]:
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.headers["x-content-type-options"] == "nosniff"
    return reply.status_code, bytes(reply.body)


def told(status: int, code: str) -> tuple[int, bytes]:
    return status, b'{"NO":"%s"}\n' % code.encode()


BAD_USER = {"x_dev_user": "x" * 256}
# (method, template, path, body, headers): status and code.
GATES: list[tuple[str, str, str, bytes, dict[str, str], int, str]] = [
    ("POST", "/shout", "/shout", b"{}", BAD_USER, 422, "INVALID_INPUT"),
    ("POST", "/shout", "/shout", b"{", {}, 400, "INVALID_JSON"),
    ("POST", "/shout", "/shout", b"x" * 100, {}, 413, "TOO_LARGE"),
    ("POST", "/shout", "/shout", b"{}", {"content_encoding": "gzip"}, 415, "ENCODED_BODY"),
    ("POST", "/shout", "/shout", b"{}", {"idempotency_key": ""}, 422, "INVALID_INPUT"),
    ("POST", "/shout", "/shout", b"x" * 100, {"idempotency_key": "k"}, 413, "TOO_LARGE"),
    ("GET", "/shouted/{turn_id}", "/shouted/x", b"", {}, 404, "TURN_NOT_FOUND"),
    ("GET", "/shouted/{turn_id}", "/shouted/" + "x" * 300, b"", {}, 422, "INVALID_INPUT"),
    ("PUT", "/limits", "/limits", b"{}", {"x_dev_user": "ann"}, 403, "FORBIDDEN"),
    ("GET", "/limits", "/limits" + "x" * 5000, b"", {}, 414, "ADDRESS_TOO_LONG"),
]


@pytest.mark.parametrize(("method", "template", "path", "body", "headers", "status", "code"), GATES)
async def test_whoever_refuses_it(
    method: str, template: str, path: str, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    assert no(await asked(method, template, path, body, **headers)) == told(status, code)


async def test_a_row_that_names_no_dialect_refuses_with_problems() -> None:
    reply = await asked("PUT", "/shouted/{turn_id}", "/shouted/x", b"{}", x_dev_user="ann")
    assert (reply.status_code, b'"error_code":"FORBIDDEN"' in bytes(reply.body)) == (403, True)


async def test_a_wrong_method_on_its_path() -> None:
    reply = await answer_rest(request("PATCH", "/shout"), ROUTES)
    assert no(reply) == told(405, "METHOD_NOT_ALLOWED")
    assert reply.headers["allow"] == "POST"


# What a handler raises: the headers that go with it.
RAISED: list[tuple[Exception, int, dict[str, str]]] = [
    (Unauthenticated(), 401, {"www-authenticate": "Bearer"}),
    (Forbidden(), 403, {}),
    (NotFound(), 404, {}),
    (SlowBody(), 408, {"connection": "close"}),
    (Conflict(), 409, {}),
    (TooLarge(), 413, {}),
    (EncodedBody(), 415, {"accept-encoding": "identity"}),
    (ValidationError("a", "wrong"), 422, {}),
    (LimitReached(retry_after=2.5), 429, {"retry-after": "3"}),
    (BudgetSpent(), 429, {"retry-after": "1"}),
    (StoreUnavailable(), 503, {}),
    (ChatError(), 500, {}),
    (RuntimeError("unforeseen"), 500, {}),
]


@pytest.mark.parametrize(("error", "status", "headers"), RAISED, ids=lambda each: type(each).__name__)
async def test_whatever_is_raised(error: Exception, status: int, headers: dict[str, str]) -> None:
    async def handler(_app: ChatApp, _principal: Principal, _request: Request) -> Response:
        raise error

    reply = await answer(request("GET", "/x"), handler, Route("", "", refuses=SHOUT.name))
    code = error.code if isinstance(error, ChatError) else "INTERNAL"
    assert no(reply) == told(status, code)
    assert headers.items() <= dict(reply.headers).items()


def test_the_document_says_in_which_words() -> None:
    row = ROUTES["/shouted/{turn_id}"]["GET"]
    responses = Operation("/shouted/{turn_id}", "GET", row).shown()["responses"]
    assert set(responses["404"]["content"]) == {"application/x-ndjson"}
    assert "retry-after" in responses["429"]["headers"]
    whole = Operation("/shout", "POST", ROUTES["/shout"]["POST"]).shown()["responses"]
    assert set(whole["422"]["content"]) == {"application/x-ndjson"}
    problems = Operation("/x", "PUT", ROUTES["/shouted/{turn_id}"]["PUT"]).shown()["responses"]
    assert problems["403"] == {"$ref": "#/components/responses/Problem403"}
