"""schemathesis asks every route of the served document whatever comes to its mind, within bounds, and always the same:
nothing fails on our side, and every reply has a status, a content type, headers and a body that the document has."""

from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.described import document
from tests.support.stack import Stack

EXAMPLES = 12  # of each route and each caller, beside those of the document and the edges of its schemas
BOUNDED = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
WITHIN = 20.0  # seconds for one request


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def routes(*, edges: bool) -> Any:
    """Of the document that is served: see test_openapi.py. With `edges` every bound of every schema is tried."""
    config = {
        "seed": 1,
        "generation": {"deterministic": True, "with-security-parameters": False},
        "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": edges}},
    }
    return schemathesis.openapi.from_dict(document(), config=SchemathesisConfig.from_dict(config))


RERUN = "/api/v1/chat/turns/{turn_id}/rerun"
CHANGES = ("DELETE", "PUT")  # what later requests could not do without
UNANSWERED = {
    ("POST", "/api/webpubsub/events"),  # the trigger takes them
    ("OPTIONS", "/api/webpubsub/events"),
    ("PUT", "/api/v1/chat/limits/{user_id}"),  # nothing is limited here
    ("DELETE", "/api/v1/chat/limits/{user_id}"),
    ("GET", "/.well-known/oauth-protected-resource"),  # no issuer is trusted here
    ("GET", "/.well-known/oauth-protected-resource/api/mcp"),
    ("POST", "/api/chat"),  # takes messages or a message, which its schema cannot say
}


ANN = {"x-dev-user": "ann", "x-dev-roles": "admin"}


class World:
    """What there is: a session of `ann`'s with an answer in it, and one with a plan."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: set[tuple[str, str]] = set()  # the routes that were asked by whose they are
        self.well: set[tuple[str, str]] = set()  # and answered with success
        self._http = requests.Session()
        self._http.headers.update(ANN)
        self._answer, self._plan = self._made("/api/chat/stream"), self._made("/chat")

    def ids(self, case: Any) -> dict[str, str]:
        path = case.operation.path
        if (path.endswith("/members/{user_id}") and case.method == "DELETE") or path.endswith("/owner"):
            return self._shared()
        if "/invitations/" in path:
            return self._invited()
        if "{key_id}" in path:
            return self._key()
        if "{model_id}" in path:
            return {"model_id": "model-router"}
        if case.method in CHANGES:
            return self._made("/api/chat/stream")
        return self._plan if path == RERUN else self._answer

    def _made(self, path: str) -> dict[str, str]:
        body = {"message": "a day in Tokyo", "messages": [{"role": "user", "content": "#chunks=2"}]}
        reply = self._http.post(self.url + path, json=body, timeout=WITHIN)
        found = reply.json() if path == "/chat" else reply.headers
        turn = found.get("turn_id") or found["x-turn-id"]
        named = dict.fromkeys(("turn_id", "message_id", "response_id"), turn)
        return {"session_id": turn.rpartition("-")[0], **named}

    def _shared(self) -> dict[str, str]:
        """One with a member."""
        made = self._made("/api/chat/stream")
        self._call("PUT", f"sessions/{made['session_id']}/members/zelda", {"role": "viewer"})
        self._call("POST", f"invitations/{made['session_id']}/accept", user="zelda")
        return {**made, "user_id": "zelda"}

    def _invited(self) -> dict[str, str]:
        """One of another's that `ann` is invited to: she may have few at a time."""
        for each in self._call("GET", "invitations")["invitations"]:
            return {"session_id": each["session_id"]}
        session_id = self._call("POST", "sessions", {}, user="carl")["id"]
        self._call("PUT", f"sessions/{session_id}/members/ann", {"role": "viewer"}, user="carl")
        return {"session_id": session_id}

    def _key(self) -> dict[str, str]:
        """Nobody may have many."""
        for each in self._call("GET", "keys")["keys"]:
            self._call("DELETE", f"keys/{each['id']}")
        return {"key_id": self._call("POST", "keys", {"name": "x"})["id"]}

    def _call(self, method: str, path: str, body: Any = None, user: str = "ann") -> Any:
        url, headers = f"{self.url}/api/v1/chat/{path}", {"x-dev-user": user}
        reply = self._http.request(method, url, json=body, headers=headers, timeout=WITHIN)
        assert reply.ok, reply.text
        return reply.json()

    def ask(self, case: Any, user: str, given: dict[str, str]) -> None:
        path = case.path_parameters or {}
        case.path_parameters = {name: given.get(name, value) for name, value in path.items()}
        headers = ANN if user == "ann" else {"x-dev-user": user}
        response = case.call(self.url, headers=headers, timeout=WITHIN)
        if user == "ann" and (given or not path):
            self.asked.add((case.operation.method.upper(), case.operation.path))
            if response.status_code < 300:
                self.well.add((case.method, case.operation.path))
        case.validate_response(response, checks=CHECKS)


@pytest.fixture(scope="module")
def world(stack: Stack) -> World:
    return World(stack.url)


def whose_sessions_they_are(case: Any, world: World) -> None:
    world.ask(case, "ann", world.ids(case))


def a_stranger_to_what_is_there(case: Any, world: World) -> None:
    world.ask(case, "eve", world.ids(case))


def anybody_about_what_is_not_there(case: Any, world: World) -> None:
    world.ask(case, "ann", {})


def _add_tests() -> None:
    """One for each route and each caller, with a name of its own: of tests with one name only one is run where tests
    run side by side. What is asked of a route is made when its test runs: made for all of them where tests are
    collected, as schemathesis does it, it is a gigabyte and fifteen seconds in every worker."""
    names = [each["operationId"] for some in document()["paths"].values() for each in some.values()]
    for ask in (whose_sessions_they_are, a_stranger_to_what_is_there, anybody_about_what_is_not_there):
        for name in names:
            test = _named(ask, name)
            globals()[test.__name__] = test


def _named(ask: Any, name: str) -> Any:
    def test(world: World) -> None:
        def one(case: Any) -> None:
            ask(case, world)

        # What a body says is read after it is known who asks: its edges are tried by one caller.
        route = routes(edges=ask is whose_sessions_they_are).include(operation_id=name)
        tests = get_all_tests(schema=route, test_func=one, settings=BOUNDED, given_kwargs=None)
        [(_, hypothesis_test)] = [each.ok() for each in tests]
        hypothesis_test()

    test.__name__ = test.__qualname__ = f"test_{ask.__name__}__{name}"
    return test


_add_tests()


def test_every_route_was_asked_for_something_that_it_does(world: World) -> None:
    paths = document()["paths"].items()
    known = {(method.upper(), path) for path, operations in paths for method in operations}
    if world.asked < known:
        pytest.skip(f"not asked here: {sorted(known - world.asked)}")
    assert known - world.well == UNANSWERED
