"""The documentation says what the code says: tables are fresh, links lead somewhere, and what is named exists."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chat.conversation import Session, Turn
from chat.dialects.shapes import show_message, show_session, show_turn
from chat.events import JSONObject
from chat.messages import Message
from chat.requests import TurnRequest
from chat.settings import SETTINGS, load_settings
from scripts.write_docs import GENERATED, PAGES, TABLES, filled, read_routes, routes_table
from tests.support.processes import ROOT
from tests.support.source import modules

DOCUMENTS = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "local/**/*.md", "benchmarks/*.md")
    for file in ROOT.glob(pattern)
)
NAMES = [str(file.relative_to(ROOT)) for file in DOCUMENTS]
WRITTEN_BY_TARGETS = {"benchmarks/RESULTS.md"}  # by `make bench`, on the machine that it measures

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```[\s\S]*?```|`[^`\n]+`|^ {4}.*$", re.MULTILINE)
CITATION = re.compile(r"(?<![\w/.])docs/[\w./-]*\w")
SECTION = re.compile(r"docs/protocol\.md\)?, section (\d+)")
SETTING = re.compile(r"\b(?:CHAT|(?:AZURE|LOCAL|OPENROUTER|DATABRICKS|GITHUB)_AI)_[A-Z_]+\b")
ROUTE = re.compile(r"`([A-Z]+) /([^`\s?]*)`")

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SESSION = Session("s", "ann", "", NOW, NOW)
MESSAGE = Message("s-00000001", "s", 1, "user", "Hi", NOW, NOW)
TURN = Turn("s-00000002", "s", TurnRequest("ann"), "s-00000001", "running", "i", NOW)

EXAMPLE = json.loads((ROOT / "local.settings.json.example").read_text())
VALUES: dict[str, str] = EXAMPLE["Values"]
NEEDED_BY_THE_HOST = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}
SET_FOR_A_LAPTOP = {
    *("CHAT_SOCKET_DIRECT", "CHAT_PROVIDERS", "AZURE_AI_ENDPOINT", "AZURE_AI_KEY"),
    *("LOCAL_AI_ENDPOINT", "LOCAL_AI_KEY", "LOCAL_AI_MODEL", "OPENROUTER_AI_ENDPOINT", "OPENROUTER_AI_KEY"),
    "CHAT_RETRY_WAIT_S",  # three services that are one stand-in fail alike: one sees so within 10 s
}


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", PAGES)
def test_the_tables_of_a_page_are_fresh(name: str) -> None:
    assert GENERATED.search(read(name))
    assert filled(read(name)) == read(name), "run .venv/bin/python -m scripts.write_docs"


def test_every_table_stands_on_a_page() -> None:
    assert {found[2] for name in PAGES for found in GENERATED.finditer(read(name))} == TABLES.keys()


def test_a_stale_table_is_seen() -> None:
    page = read("docs/settings.md")
    assert filled(page.replace("| `CHAT_STORAGE` |", "| `CHAT_STORE` |")) == page


def test_the_example_has_every_setting_and_no_other() -> None:
    assert VALUES.keys() == {row.name for row in SETTINGS} | NEEDED_BY_THE_HOST


def test_the_example_shows_the_defaults() -> None:
    others = {row.name: VALUES[row.name] for row in SETTINGS if VALUES[row.name] != row.default}
    assert others.keys() == SET_FOR_A_LAPTOP


def test_the_example_works_and_holds_no_secret() -> None:
    settings = load_settings(VALUES)
    assert settings.providers == ("AZURE", "LOCAL", "OPENROUTER")
    named = [settings.services[name] for name in settings.providers[1:]]
    assert [settings.azure_key, *(each.key for each in named)] == ["local"] * 3
    for endpoint in (settings.azure_endpoint, *(each.endpoint for each in named)):
        assert endpoint.startswith("http://127.0.0.1:8089/")
    assert VALUES["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        if not re.match(r"\w+:", link):
            target = (page.parent / path).resolve() if path else page
            made_later = str(target.relative_to(ROOT)) in WRITTEN_BY_TARGETS
            assert target.exists() or made_later, link
            assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    assert set(SETTING.findall(read(name))) <= {row.name for row in SETTINGS}


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    code = " ".join(CODE.findall(read(name)))
    assert set(re.findall(r"(?:^|[`\s])make ([a-z]+)", code)) <= targets


def test_every_page_that_a_docstring_names_exists() -> None:
    cited = {page for text in _docstrings() for page in CITATION.findall(text)}
    assert cited
    assert not [page for page in cited if not (ROOT / page).exists() and not list(ROOT.glob(page + "-*.md"))]


def test_every_section_that_a_docstring_names_exists() -> None:
    sections = set(re.findall(r"^## (\d+)\. ", read("docs/protocol.md"), re.MULTILINE))
    cited = {number for text in _docstrings() for number in SECTION.findall(text)}
    assert cited
    assert cited <= sections


def test_the_protocol_names_every_route_and_no_other() -> None:
    named = {_route(method, path) for method, path in ROUTE.findall(read("docs/protocol.md"))}
    assert named == {_route(method, path.removeprefix("/")) for method, path, _ in read_routes()}


def test_a_section_of_the_protocol_tells_of_every_route() -> None:
    assert not [row for row in routes_table().splitlines() if row.endswith("|  |")]


@pytest.mark.parametrize(
    ("begins_with", "shown"),
    [
        ('{"id":"01M7XPW0CR', show_session(SESSION)),
        ('{"id":"01M7YZBTD6', show_message(MESSAGE)),
        ('{"id":"01M7XPTCBB', show_turn(TURN)),
    ],
)
def test_an_object_in_the_protocol_has_the_keys_that_the_code_shows(
    begins_with: str, shown: JSONObject
) -> None:
    page = read("docs/protocol.md")
    example, _ = json.JSONDecoder().raw_decode(page[page.index(begins_with) :])
    assert list(example) == list(shown)


def test_the_index_names_every_page() -> None:
    pages = {str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert pages <= set(LINK.findall(read("docs/README.md")))


def test_decisions_are_numbered_without_a_hole() -> None:
    numbers = sorted(int(file.name[:4]) for file in (ROOT / "docs/decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def _anchors(page: Path) -> set[str]:
    """The names that the headings of a page have as links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


def _docstrings() -> Iterator[str]:
    for module in modules("chat", "local", "benchmarks", "scripts", "tests", "function_app.py"):
        yield from module.docstrings


def _route(method: str, path: str) -> str:
    return f"{method} /{re.sub(r'{\w+}', '{}', path)}"
