"""The source code as data, for the tests of its shape."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.processes import ROOT

type Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of Python. `path` is relative to the repository."""

    path: str
    text: str

    @property
    def name(self) -> str:
        """As one imports it: `chat.turns.feed`; a package by its own name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.tree) or ""

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    @property
    def imports(self) -> set[str]:
        """Every name that is imported, at the top or inside a function: `from a.b import c` is `a.b.c`."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {f"{node.module}.{each.name}" for each in node.names}
        return found

    @property
    def functions(self) -> Iterator[tuple[str, int]]:
        """The name of each function, methods and inner ones too, and how many lines it has without its docstring."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, _length(node)

    @property
    def docstrings(self) -> Iterator[str]:
        """Those of the module, its classes and its functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""

    def imports_from(self, package: str) -> bool:
        """Whether it imports the package or anything in it."""
        return any(name == package or name.startswith(package + ".") for name in self.imports)


def modules(*folders: str) -> list[Module]:
    """The modules below these folders, or in these files."""
    return [
        Module(str(file.relative_to(ROOT)), file.read_text())
        for folder in folders
        for file in sorted(_files(ROOT / folder))
    ]


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else list(path.rglob("*.py"))
    assert found, f"no Python at {path}"
    return found


def _length(function: Function) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines
