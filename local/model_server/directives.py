"""The `#name=value` orders that a user message can give to the model stand-in, and how they are read.

A directive is a known name behind a `#` that opens the text or follows white space: a flag stands alone up to the
next white space, any other has `=value` at once. All else is ordinary text, but for `#word=` with a word so like a
known name that it must be a slip: that is an error.
"""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

MARK = re.compile(r"(?<!\S)#([A-Za-z][A-Za-z0-9_-]*)(=?)")
NAME = re.compile(r"[A-Za-z0-9_.:-]+")
LIKENESS = 0.8  # of difflib: one slip in a name of five letters, not another word


class DirectiveError(Exception):
    """A directive that cannot be obeyed; the text names it."""


class ToolOrder(NamedTuple):
    """A tool call that the message asks for; `arguments` is JSON text as written."""

    name: str
    arguments: str


class Read(NamedTuple):
    """A value and the position behind it."""

    value: object
    end: int


type Reader = Callable[[str, int], Read]


def _word(convert: Callable[[str], object]) -> Reader:
    """Reads up to the next white space."""

    def read(text: str, start: int) -> Read:
        word = text[start:].split(maxsplit=1)[0] if text[start : start + 1].strip() else ""
        return Read(convert(word), start + len(word))

    return read


def _count(least: int, most: int = 1_000_000) -> Reader:
    def convert(word: str) -> int:
        number = int(word)
        if not least <= number <= most:
            raise ValueError(f"must be from {least} to {most}")
        return number

    return _word(convert)


def _duration(word: str) -> float:
    number = float(word)
    if not 0 <= number < math.inf:
        raise ValueError("must be a number from 0 up")
    return number


def _rate(word: str) -> float:
    number = _duration(word)
    if number < 0.001:
        raise ValueError("must be at least 0.001")
    return number


def _name(word: str) -> str:
    if not NAME.fullmatch(word):
        raise ValueError("must be a name")
    return word


def _json_text(text: str, start: int) -> Read:
    _, end = json.JSONDecoder().raw_decode(text, start)
    _encodable(text[start:end])
    return Read(text[start:end], end)


def _string(text: str, start: int) -> Read:
    value, end = json.JSONDecoder().raw_decode(text, start)
    if not isinstance(value, str):
        raise ValueError("must be a JSON string")
    _encodable(value)
    return Read(value, end)


def _encodable(text: str) -> None:
    """ValueError for half a surrogate pair, which no JSON reply can hold."""
    text.encode()


def _tool(text: str, start: int) -> Read:
    name = NAME.match(text, start)
    if name is None:
        raise ValueError("must begin with the name of a tool")
    if text[name.end() : name.end() + 1] != "{":
        return Read(ToolOrder(name[0], "{}"), name.end())
    arguments = _json_text(text, name.end())
    return Read(ToolOrder(name[0], str(arguments.value)), arguments.end)


@dataclass(frozen=True, slots=True)
class Directive:
    """One row of the table. A flag has no reader."""

    example: str
    help: str
    read: Reader | None


def _directive(example: str, help: str, read: Reader | None = None, *, default: object = None) -> Any:
    default = False if read is None else default
    return field(default=default, metadata={"directive": Directive(example, help, read)})


@dataclass(frozen=True, slots=True)
class Directives:
    """What a message asks for. None, False and () leave a thing as it is without the directive."""

    chunks: int | None = _directive("#chunks=200", "answer with 200 deltas: `word1 word2 ...`", _count(0))
    size: int = _directive("#size=1000", "pad each of these deltas to 1000 bytes", _count(1), default=0)
    stamp: bool = _directive("#stamp", "each of these deltas is its send time, monotonic microseconds")
    text: str | None = _directive('#text="a b"', "answer with the text of this JSON string", _string)
    json: str | None = _directive('#json={"a":1}', "answer with exactly this JSON text", _json_text)
    echo: bool = _directive("#echo", "answer with the request body, as compact JSON")
    empty: bool = _directive("#empty", "answer without any text")
    endless: bool = _directive("#endless", "never stop the words until the client leaves")
    reasoning: int = _directive("#reasoning=3", "3 deltas of reasoning first", _count(0), default=0)
    refuse: bool = _directive("#refuse", "a refusal in place of text")
    tool: tuple[ToolOrder, ...] = _directive(
        '#tool=name{"a":1}',
        "call this tool, then quote its output; repeat it for parallel calls",
        _tool,
        default=(),
    )
    serve: tuple[ToolOrder, ...] = _directive(
        '#serve=name{"a":1}',
        "by Responses: call this tool and run it itself before the text; repeat it for more",
        _tool,
        default=(),
    )
    rounds: int = _directive(
        "#rounds=3", "call the tools 3 times in a row before the text", _count(1), default=1
    )
    tool_cut: bool = _directive("#tool_cut", "leave out the last byte of the tools' arguments")
    model: str | None = _directive("#model=name", "name this model as the one that answers", _word(_name))
    finish: str | None = _directive("#finish=length", "end with this finish_reason", _word(_name))
    rate: float | None = _directive(
        "#rate=50", "50 deltas a second; otherwise as fast as it can", _word(_rate)
    )
    first: float = _directive("#first=300", "300 ms before the first delta", _word(_duration), default=0.0)
    delay: float = _directive(
        "#delay=300", "300 ms before anything, headers too", _word(_duration), default=0.0
    )
    status: int | None = _directive("#status=429", "an error with this HTTP status", _count(400, 599))
    retry_after: float | None = _directive("#retry_after=1", "its retry-after header", _word(_duration))
    filter: bool = _directive("#filter", "the content filter refuses the prompt: 400")
    filter_after: int | None = _directive("#filter_after=3", "the filter ends it after 3 deltas", _count(0))
    error_after: int | None = _directive(
        "#error_after=3", "an error frame after 3 deltas, then the end", _count(0)
    )
    cut: int | None = _directive("#cut=5", "drop the connection after 5 deltas", _count(0))
    stall: int | None = _directive("#stall=5", "send nothing more after 5 deltas, and wait", _count(0))
    malformed: int | None = _directive("#malformed=3", "break the JSON of the third `data:` frame", _count(1))
    nodone: bool = _directive("#nodone", "end without finish_reason and [DONE]")
    times: int | None = _directive(
        "#times=2",
        "let status, filter*, error_after, cut, stall, malformed fail this text only twice",
        _count(1),
    )
    comments: bool = _directive("#comments", "an SSE comment before every frame")
    crlf: bool = _directive("#crlf", "frames end with CRLF")


TABLE: Mapping[str, Directive] = {each.name: each.metadata["directive"] for each in fields(Directives)}
PLAIN = Directives()


def parse(text: str) -> Directives:
    """The directives anywhere in `text`. DirectiveError for a bad value, a second one of a kind, a slip of a name."""
    found: dict[str, Any] = {}
    end = 0
    for mark in MARK.finditer(text):
        if mark.start() < end or not _is_directive(mark, text):
            continue
        name = mark[1]
        value, end = _read(name, text, mark.end())
        if name in ("tool", "serve"):
            value = (*found.get(name, ()), value)
        elif name in found:
            raise DirectiveError(f"#{name} is given twice")
        found[name] = value
    return Directives(**found)


def _is_directive(mark: re.Match[str], text: str) -> bool:
    name, has_value = mark[1], bool(mark[2])
    row = TABLE.get(name)
    if row is None:
        if has_value:
            _refuse_slip(name)
        return False
    if row.read is None and has_value:
        raise DirectiveError(f"#{name} takes no value")
    return has_value or (row.read is None and not text[mark.end() : mark.end() + 1].strip())


def _refuse_slip(name: str) -> None:
    close = difflib.get_close_matches(name.lower(), TABLE, n=1, cutoff=LIKENESS)
    if close:
        raise DirectiveError(f"#{name} is unknown; is #{close[0]} meant?")


def _read(name: str, text: str, start: int) -> Read:
    read = TABLE[name].read
    if read is None:
        return Read(True, start)
    try:
        return read(text, start)
    except (ValueError, RecursionError) as error:
        raise DirectiveError(
            f"#{name} cannot be read, write it like {TABLE[name].example}: {error}"
        ) from None


def describe() -> str:
    """The table as text, for `--help`."""
    return "\n".join(f"  {row.example:<19} {row.help}" for row in TABLE.values())
