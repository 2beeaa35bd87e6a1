"""Routes as the Functions host matches them: ASP.NET attribute templates, the most specific one first.

Follows learn.microsoft.com/aspnet/core/fundamentals/routing ("Route constraints", "Route template precedence").
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote
from uuid import UUID


class RouteError(Exception):
    """A template that cannot be read."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`{name:constraint=default}`, `{name?}` or `{*name}` in a template."""

    name: str
    constraints: tuple[Callable[[str], bool], ...]
    default: str | None
    optional: bool
    catch_all: bool


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. Of two that match, the one with the smaller `order` wins."""

    text: str
    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]
    order: tuple[int, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """The values of the parameters, or None. `path` is the raw path of the URL."""
        found = self.pattern.fullmatch(path.removeprefix("/"))
        if not found:
            return None
        values: dict[str, str] = {}
        for index, each in enumerate(self.parameters):
            text = found[f"p{index}"]
            value = _decode(text) if text else each.default
            if value is None:
                if each.catch_all:
                    values[each.name] = ""
            elif not all(holds(value) for holds in each.constraints):
                return None
            else:
                values[each.name] = value
        return values


def _decode(text: str) -> str:
    # An encoded slash stays encoded, as in Kestrel; it never separates segments.
    return "%2F".join(unquote(part) for part in re.split("%2[Ff]", text))


def _number(low: float, high: float) -> Callable[[str], bool]:
    return lambda value: bool(re.fullmatch(r"[+-]?\d{1,20}", value)) and low <= int(value) <= high


def _length(low: int, high: float) -> Callable[[str], bool]:
    return lambda value: low <= len(value) <= high


def _readable(read: Callable[[str], object]) -> Callable[[str], bool]:
    def holds(value: str) -> bool:
        try:
            read(value)
        except ValueError:
            return False
        return True

    return holds


INFINITY = float("inf")
CONSTRAINTS: dict[str, Callable[[list[str]], Callable[[str], bool]]] = {
    "int": lambda _: _number(-(2**31), 2**31 - 1),
    "long": lambda _: _number(-(2**63), 2**63 - 1),
    "bool": lambda _: lambda value: value.lower() in {"true", "false"},
    "decimal": lambda _: _readable(float),
    "double": lambda _: _readable(float),
    "float": lambda _: _readable(float),
    "guid": lambda _: _readable(UUID),
    "alpha": lambda _: lambda value: bool(re.fullmatch("[A-Za-z]*", value)),
    "length": lambda given: _length(int(given[0]), int(given[-1])),
    "minlength": lambda given: _length(int(given[0]), INFINITY),
    "maxlength": lambda given: _length(0, int(given[0])),
    "min": lambda given: _number(int(given[0]), INFINITY),
    "max": lambda given: _number(-INFINITY, int(given[0])),
    "range": lambda given: _number(int(given[0]), int(given[1])),
}


def _constraint(text: str) -> Callable[[str], bool]:
    name, _, arguments = text.partition("(")
    arguments = arguments.removesuffix(")")
    if name == "regex":
        return lambda value: bool(re.search(arguments, value, re.IGNORECASE))
    if name not in CONSTRAINTS:
        raise RouteError(f"unknown route constraint {text!r}")
    return CONSTRAINTS[name]([part.strip() for part in arguments.split(",") if part.strip()])


def _parameter(text: str) -> Parameter:
    catch_all = text.startswith("*")
    text, _, default = text.lstrip("*").partition("=")
    optional = text.endswith("?")
    name, *constraints = re.split(r":(?![^(]*\))", text.removesuffix("?"))
    return Parameter(name, tuple(map(_constraint, constraints)), default or None, optional, catch_all)


# What a segment adds to the order of its template; smaller is more specific.
LITERAL, MIXED, CONSTRAINED, PLAIN, CONSTRAINED_REST, REST = 1, 2, 2, 3, 4, 5
_PARAMETER = re.compile(r"\{([^{}]+)\}")


def _segment_order(parts: list[str], parameters: list[Parameter]) -> int:
    if not parameters:
        return LITERAL
    if any(parts):
        return MIXED
    only = parameters[0]
    if only.catch_all:
        return CONSTRAINED_REST if only.constraints else REST
    return CONSTRAINED if only.constraints else PLAIN


def _segment_pattern(literals: list[str], parameters: list[Parameter], first_index: int) -> str:
    pattern = re.escape(literals[0])
    for offset, (each, literal) in enumerate(zip(parameters, literals[1:], strict=True)):
        body = ".*" if each.catch_all else "[^/]+"
        pattern += f"(?P<p{first_index + offset}>{body}){re.escape(literal)}"
    return pattern


def compile_template(text: str) -> Template:
    """RouteError when a constraint is not known."""
    pattern, order, parameters = "", list[int](), list[Parameter]()
    for segment in filter(None, text.strip("/").split("/")):
        pieces = _PARAMETER.split(segment)
        literals, here = pieces[::2], [_parameter(piece) for piece in pieces[1::2]]
        order.append(_segment_order(literals, here))
        body = ("/" if pattern else "") + _segment_pattern(literals, here, len(parameters))
        may_miss = any(each.optional or each.catch_all or each.default for each in here)
        pattern += f"(?:{body})?" if may_miss else body
        parameters += here
    if not any(each.catch_all for each in parameters):
        pattern += "/?"
    return Template(text, re.compile(pattern, re.IGNORECASE), tuple(parameters), tuple(order))


class Match[T](NamedTuple):
    """The route that answers a request, and the values of its parameters."""

    target: T
    params: dict[str, str]


@dataclass(frozen=True, slots=True)
class Route[T]:
    """Where requests of some methods (None: of every method) to a template go."""

    template: Template
    methods: frozenset[str] | None
    target: T


class Router[T]:
    """Finds the most specific route; among equals the one that was given first."""

    def __init__(self, routes: Iterable[Route[T]]) -> None:
        self._routes = sorted(routes, key=lambda route: route.template.order)

    def match(self, method: str, path: str) -> Match[T] | None:
        """A route with another method is passed over, so a wrong method ends like an unknown path."""
        for route in self._routes:
            if route.methods is None or method in route.methods:
                params = route.template.match(path)
                if params is not None:
                    return Match(route.target, params)
        return None
