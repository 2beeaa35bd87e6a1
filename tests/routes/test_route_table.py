"""The table of routes: what it names is there, and the functions of the host and the 405s are made from it."""

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

import pydantic
import pytest
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.dialects.catalogue import DIALECTS
from chat.errors import MethodNotAllowed
from chat.routes.fallback import no_such_route
from chat.routes.functions import functions
from chat.routes.replies import answer_body
from chat.routes.route_table import Route, Routes, load
from chat.routes.schemas import MemberBody, RegenerateBody
from tests.support.apps import make_app
from tests.support.processes import ROOT

SHOW_APP = """
import dataclasses, json, sys, function_app as parley
found = [(each.get_function_name(), each.get_trigger().get_dict_repr()) for each in parley.app.get_functions()]
ours = [name for name in sys.modules if name.partition(".")[0] == "chat"]
rows = [(path, method, dataclasses.asdict(row)) for path, some in parley.ROUTES.items() for method, row in some.items()]
print(json.dumps([ours, rows, found], default=str))
"""


@dataclass(frozen=True)
class Indexed:
    """What the host learns from `function_app.py`, and which modules of ours that took."""

    modules: set[str]
    routes: Routes
    functions: list[tuple[str, dict[str, Any]]]

    @property
    def rows(self) -> list[Route]:
        return [route for rows in self.routes.values() for route in rows.values()]


@cache
def indexed() -> Indexed:
    """In a process of its own, since the worker is mended when the app is imported."""
    command = [sys.executable, "-c", SHOW_APP]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    modules, rows, found = json.loads(done.stdout)
    routes: dict[str, dict[str, Route]] = {}
    for path, method, row in rows:
        lists = {name: tuple(row[name]) for name in ("statuses", "silent", "problems")}
        routes.setdefault(path, {})[method] = Route(**row | lists)
    return Indexed(set(modules), routes, found)


def test_a_cold_start_imports_no_handler() -> None:
    """Nor what they stand on: of the routes, their tables and the mends to the worker alone."""
    tables = ("chat.setting", "chat.routes.protocols")
    found = {name for name in indexed().modules if not name.startswith(tables)}
    others = {"chat", "chat.model_services", "chat.quotas", "chat.routes"}
    assert found - others == {"chat.routes.functions", "chat.routes.route_table", "chat.routes.worker"}


def test_every_handler_takes_what_its_row_says() -> None:
    for row in indexed().rows:
        handler = load(row.handler)
        known = [ChatApp, Request] if row.who == "anyone" else [ChatApp, Principal, Request]
        taken = [*known, *([load(row.body)] if row.body else []), *([str] if row.dialect else [])]
        taken += [Routes] if row.wants_routes else []
        hints = get_type_hints(handler)
        assert inspect.iscoroutinefunction(handler), row
        assert [hints.get(name) for name in inspect.signature(handler).parameters] == taken, row
        assert hints["return"] is Response, row


def test_every_repeat_is_answered_from_what_was_made() -> None:
    for row in (row for row in indexed().rows if row.again):
        handler = load(row.again)
        taken = [ChatApp, Principal, Request, Mapping[str, str], *([str] if row.dialect else [])]
        hints = get_type_hints(handler)
        assert inspect.iscoroutinefunction(handler), row
        assert [hints.get(name) for name in inspect.signature(handler).parameters] == taken, row
        assert hints["return"] is Response, row


def test_every_post_that_makes_something_is_made_once() -> None:
    posts = [rows["POST"] for rows in indexed().routes.values() if "POST" in rows]
    assert {row.handler for row in posts if not row.again} == {
        "turns:cancel_turn",
        "past_responses:cancel_response",
        "ui_streams:stop_ui_stream",
        "invitations:accept_invitation",  # whoever is a member stays one
        "invitations:decline_invitation",
        "socket_routes:take_socket_event",
        "turn_streams:make_link",  # nothing is stored of a link
        "mcp_exchange:exchange",  # its clients have no keys: a turn that began is asked for by its id
    }
    assert not [row for row in indexed().rows if row.again and row not in posts]


def test_every_body_is_a_model_and_belongs_to_a_caller_who_is_known() -> None:
    bodies = [row for row in indexed().rows if row.body]
    assert bodies
    assert all(issubclass(load(row.body), pydantic.BaseModel) for row in bodies)
    assert {row.who for row in bodies} <= {"caller", "admin"}
    assert all(row.body for row in indexed().rows if not row.needs_body)


def test_of_every_row_that_takes_a_body_its_model_is_known() -> None:
    """By the row, or by the door of its dialect."""
    rows = [(method, row) for rows in indexed().routes.values() for method, row in rows.items()]
    doors = [DIALECTS[row.dialect].door for _, row in rows if row.handler == "doors:enter"]
    assert doors
    assert all(door and issubclass(door.body, pydantic.BaseModel) for door in doors)
    changing = {row.handler for method, row in rows if method in ("POST", "PUT") and not row.body}
    assert changing == {
        "doors:enter",
        "turns:cancel_turn",
        "past_responses:cancel_response",
        "invitations:accept_invitation",
        "invitations:decline_invitation",
        "socket_routes:take_socket_event",
    }


def test_only_what_says_nothing_of_people_or_is_signed_is_open_to_anyone() -> None:
    assert {row.handler for row in indexed().rows if row.who == "anyone"} == {
        "health:health",
        "socket_routes:take_socket_event",
        "openapi:show_document",
        "docs_page:show_page",
        "mcp_exchange:show_metadata",
    }


def test_every_row_has_a_summary_in_one_line() -> None:
    assert not [row for row in indexed().rows if not row.summary or "\n" in row.summary or "|" in row.summary]


def test_the_functions_of_the_host_are_the_rows_of_the_table() -> None:
    triggers = [(name, each) for name, each in indexed().functions if each["type"] == "httpTrigger"]
    found = {(name, f"/{each['route']}", method) for name, each in triggers for method in each["methods"]}
    rows = indexed().routes.items()
    table = {(row.function, path, method) for path, methods in rows for method, row in methods.items()}
    rest = {"fallback", "preflight"}
    assert {each for each in found if each[0] not in rest} == table
    names = [name for name, _ in triggers]
    assert sorted(names) == sorted({row.function for row in indexed().rows} | rest)


def test_a_wrong_method_is_told_the_right_ones_from_the_table() -> None:
    routes = indexed().routes
    for path, rows in routes.items():
        problem = no_such_route(routes, re.sub(r"{\w+}", "x", path))
        assert isinstance(problem, MethodNotAllowed)
        assert list(problem.allowed) == sorted(rows)


def test_rows_of_one_path_that_differ_in_their_summary_alone_share_a_function() -> None:
    table = {
        "/a": {
            "GET": Route("health:health", "all of it", who="anyone"),
            "HEAD": Route("health:health", "its status", who="anyone"),
            "POST": Route("sessions:create_session", "another", body="schemas:NewSessionBody"),
        }
    }
    made = [(path, methods, function.__name__) for path, methods, function in functions(table)]
    assert made == [("a", ["GET", "HEAD"], "health"), ("a", ["POST"], "create_session")]


STRANGER = {"x-dev-user": "x" * 256}  # no user can be called that

# (row, headers, body): status of the reply.
ASKED: list[tuple[Route, dict[str, str], bytes, int]] = [
    (Route("health:health", "", who="anyone"), {}, b"", 200),
    (Route("sessions:list_sessions", ""), {"x-dev-user": "ann"}, b"", 200),
    (Route("sessions:list_sessions", ""), STRANGER, b"", 422),
    (Route("sessions:create_session", "", "schemas:NewSessionBody"), {}, b"{}", 201),
    (Route("sessions:create_session", "", "schemas:NewSessionBody"), {}, b"", 400),
    (Route("sessions:create_session", "", "schemas:NewSessionBody"), {}, b'{"title":0}', 422),
    (Route("sessions:create_session", "", "schemas:NewSessionBody"), STRANGER, b"?", 422),
    (Route("sessions:create_session", "", "schemas:NewSessionBody", needs_body=False), {}, b"", 201),
]


@pytest.mark.parametrize(("row", "headers", "body", "status"), ASKED)
async def test_a_function_asks_who_it_is_reads_the_body_and_calls_the_handler(
    monkeypatch: pytest.MonkeyPatch, row: Route, headers: dict[str, str], body: bytes, status: int
) -> None:
    monkeypatch.setattr("chat.app._current", make_app().app)
    [(_, _, function)] = functions({"/a": {"POST": row}})
    assert (await function(request(body, **headers))).status_code == status


async def test_a_body_that_is_too_large_does_not_reach_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", make_app(settings={"CHAT_MAX_BODY_BYTES": "10"}).app)
    reply = await answer_body(request(b'{"role":"editor"}'), _never, Route("", ""), MemberBody)
    assert reply.status_code == 413


async def test_a_handler_gets_its_body_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", make_app().app)

    async def handler(
        _app: ChatApp, principal: Principal, _request: Request, body: RegenerateBody
    ) -> Response:
        return Response(f"{principal.user_id} {body.dialect}")

    given = request(b'{"dialect":"chat"}', **{"x-dev-user": "ann"})
    assert (await answer_body(given, handler, Route("", ""), RegenerateBody)).body == b"ann chat"
    assert (
        await answer_body(request(b""), handler, Route("", "", needs_body=False), RegenerateBody)
    ).body == b"dev None"


def request(body: bytes, **headers: str) -> Request:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/a", "query_string": b"", "headers": raw}
    return Request(scope, receive)


async def _never(_app: ChatApp, _principal: Principal, _request: Request, _body: MemberBody) -> Response:
    raise AssertionError("its body is too large")
