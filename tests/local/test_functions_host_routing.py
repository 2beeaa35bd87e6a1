"""Route templates: what they match, what they capture and which one wins."""

import pytest

from local.functions_host.routing import Route, RouteError, Router, compile_template

MATCHES: list[tuple[str, str, dict[str, str] | None]] = [
    ("api/chat", "/api/chat", {}),
    ("api/chat", "/API/Chat", {}),
    ("api/chat", "/api/chat/", {}),
    ("api/chat", "/api/chats", None),
    ("api/chat", "/api//chat", None),
    ("", "/", {}),
    ("s/{id}", "/s/42", {"id": "42"}),
    ("s/{id}", "/s/", None),
    ("s/{id}", "/s/a/b", None),
    ("s/{id}/stop", "/s/4/stop", {"id": "4"}),
    ("s/{id}", "/s/a%20b%2Fc", {"id": "a b%2Fc"}),
    ("s/{id?}", "/s", {}),
    ("s/{id?}", "/s/7", {"id": "7"}),
    ("s/{id=5}", "/s", {"id": "5"}),
    ("s/{id:int}", "/s/7", {"id": "7"}),
    ("s/{id:int}", "/s/x", None),
    ("s/{id:int}", "/s/99999999999", None),
    ("s/{id:long}", "/s/99999999999", {"id": "99999999999"}),
    ("s/{id:int:range(1,9)}", "/s/10", None),
    ("s/{id:length(2,3)}", "/s/abcd", None),
    ("s/{id:length(2)}", "/s/ab", {"id": "ab"}),
    (
        "s/{id:guid}",
        "/s/6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        {"id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"},
    ),
    ("s/{id:alpha}", "/s/a1", None),
    ("s/{id:regex(^a+$)}", "/s/aaa", {"id": "aaa"}),
    ("s/{id:bool}", "/s/True", {"id": "True"}),
    ("{*path}", "/", {"path": ""}),
    ("{*path}", "/a/b.js", {"path": "a/b.js"}),
    ("files/{*path}", "/files", {"path": ""}),
    ("files/{*path}", "/files/a/", {"path": "a/"}),
    ("files/{name}.{kind}", "/files/a.b.txt", {"name": "a.b", "kind": "txt"}),
]


@pytest.mark.parametrize(("template", "path", "expected"), MATCHES)
def test_a_template_matches_as_in_aspnet(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert compile_template(template).match(path) == expected


def test_an_unknown_constraint_is_an_error() -> None:
    with pytest.raises(RouteError, match="colour"):
        compile_template("s/{id:colour}")


def winner(method: str, path: str, *routes: tuple[str, str | None]) -> str | None:
    router = Router(
        Route(compile_template(text), frozenset({methods}) if methods else None, text)
        for text, methods in routes
    )
    found = router.match(method, path)
    return found.target if found else None


ORDER = [("{*rest}", None), ("{id}", None), ("{id:int}", None), ("x-{id}", None), ("seven", None)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/seven", "seven"), ("/7", "{id:int}"), ("/x-7", "x-{id}"), ("/other", "{id}"), ("/a/b", "{*rest}")],
)
def test_the_most_specific_template_wins(path: str, expected: str) -> None:
    assert winner("GET", path, *ORDER) == expected


def test_a_route_with_another_method_is_passed_over() -> None:
    assert winner("POST", "/chat", ("chat", "GET"), ("{*rest}", "POST")) == "{*rest}"


def test_a_wrong_method_alone_matches_nothing() -> None:
    assert winner("HEAD", "/chat", ("chat", "GET")) is None
