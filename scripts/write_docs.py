"""Writes the tables in docs/ that repeat what the code says: `.venv/bin/python -m scripts.write_docs`.

A table stands between `<!-- generated: NAME -->` and `<!-- end -->`; everything else in the pages is written by hand.
`tests/test_docs.py` fails when a table is not what this would write.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from chat import errors
from chat.errors import ChatError
from chat.routes.admission import scope_of
from chat.routes.route_table import Route
from chat.settings import SETTINGS, Setting

ROOT = Path(__file__).resolve().parent.parent
GENERATED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PROTOCOL = "docs/protocol.md"
PAGES = ("docs/settings.md", "docs/errors.md", "docs/architecture.md", "docs/security.md", PROTOCOL)
TIMED = ("chat/turns", "chat/rooms", "chat/routes", "chat/auth")  # where the numbers of a turn's life are
NUMBER = re.compile(r"^([A-Z_]+) = ([0-9(][0-9. *_,()]*)  # (.+)$", re.MULTILINE)

SECTION = re.compile(r"^## (\d+)\. ", re.MULTILINE)
SHOW_ROUTES = """
import dataclasses, json, function_app
rows = [(method, path, row) for path, rows in function_app.ROUTES.items() for method, row in rows.items()]
print(json.dumps([(method, path, dataclasses.asdict(row)) for method, path, row in rows]))
"""


def settings_table() -> str:
    """Every row of the settings' table."""
    return table(("setting", "default", "meaning"), (_setting_row(row) for row in SETTINGS))


def errors_table() -> str:
    """Every code that a caller can see, in the order of the tree."""
    kinds: dict[str, list[type[ChatError]]] = {}
    for kind in _error_classes():
        kinds.setdefault(kind.code, []).append(kind)
    head = ("code", "status", "retryable", "class", "meaning")
    return table(head, (_error_row(same) for same in kinds.values()))


def numbers_table() -> str:
    """The times and limits of a turn, as the modules that obey them name them."""
    head = ("module", "name", "value", "meaning")
    files = sorted(file for folder in TIMED for file in (ROOT / folder).glob("*.py"))
    return table(head, (row for file in files for row in _number_rows(file)))


def routes_table() -> str:
    """Every row of the table in `function_app.py`, with the first section of the protocol that names it."""
    _, *sections = SECTION.split((ROOT / PROTOCOL).read_text())
    head = ("method and path", "what", "who may ask", "section")
    rows = ((f"`{method} {path}`", route.summary, route.who) for method, path, route in read_routes())
    return table(head, ((name, what, who, _section_of(name, sections)) for name, what, who in rows))


def access_table() -> str:
    """The same rows: what one must be to call each."""
    head = ("method and path", "who", "least role in the session", "scope", "admins for others")
    return table(head, (_access_row(method, path, route) for method, path, route in read_routes()))


def _access_row(method: str, path: str, route: Route) -> tuple[str, ...]:
    open_to_all = route.who == "anyone"
    scope = "" if open_to_all else f"`{scope_of(route, method)}`"
    who = f"{route.who}, or a link" if route.by_link else route.who
    return f"`{method} {path}`", who, route.role, scope, "`?user_id=`" if route.for_others else ""


@cache
def read_routes() -> list[tuple[str, str, Route]]:
    """`(method, path, row)` of every route. Asked in a process of its own: to import `function_app.py` mends the
    worker."""
    command = [sys.executable, "-c", SHOW_ROUTES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return [(method, path, _route(row)) for method, path, row in json.loads(done.stdout)]


def _route(row: Mapping[str, Any]) -> Route:
    """JSON has no tuples."""
    return Route(**{name: tuple(each) if isinstance(each, list) else each for name, each in row.items()})


# What the docstring of the root says is meant for those who raise it.
FOR_CALLERS: Mapping[type[ChatError], str] = {ChatError: "Something that nobody foresaw."}

TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "errors": errors_table,
    "numbers": numbers_table,
    "routes": routes_table,
    "access": access_table,
}


def filled(page: str) -> str:
    """The text of a page with its tables as they should be. KeyError for a table that nobody writes."""
    return GENERATED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "".join(f"| {' | '.join(cell.replace('|', r'\|') for cell in line)} |\n" for line in lines)


def _setting_row(row: Setting) -> tuple[str, str, str]:
    default = f"`{row.default}`" if row.default else "not set"
    return f"`{row.name}`", default, row.help + (" A secret: never logged or shown." if row.secret else "")


def _section_of(name: str, sections: list[str]) -> str:
    """The number of the first section that has this name; "" when none has it. Numbers and texts take turns."""
    return next(
        (number for number, text in zip(sections[::2], sections[1::2], strict=True) if name in text), ""
    )


def _error_classes() -> list[type[ChatError]]:
    known = vars(errors).values()
    found = (each for each in known if isinstance(each, type) and issubclass(each, ChatError))
    return list(dict.fromkeys(found))


def _error_row(same: list[type[ChatError]]) -> tuple[str, ...]:
    """Classes that share a code, the root first: what is raised is the last one."""
    kind = same[-1]
    meaning = FOR_CALLERS.get(kind) or (kind.__doc__ or "").split("\n")[0]
    names = ", ".join(f"`{each.__name__}`" for each in same)
    return f"`{kind.code}`", str(kind.status), "yes" if kind.retryable else "no", names, meaning


def _number_rows(file: Path) -> Iterable[tuple[str, ...]]:
    for name, value, meaning in NUMBER.findall(file.read_text()):
        yield f"`{file.relative_to(ROOT)}`", f"`{name}`", value, meaning


def main() -> None:
    for name in PAGES:
        page = ROOT / name
        page.write_text(filled(page.read_text()))


if __name__ == "__main__":
    main()
