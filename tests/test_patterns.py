"""Every regular expression of the app, and that its time grows as its text does: a pattern that goes over what it read
again and again stops the event loop, and with it all other callers.

A pattern that is not in the table fails the last test but one. Its row says how it is used, and up to which size text
from outside can reach it.
"""

import ast
import itertools
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from chat import credentials, telemetry, user_ids
from chat.dialects.ag_ui.ag_ui_input import PageTool
from chat.dialects.ai_sdk.body_schemas import ToolName
from chat.dialects.completions.completion_body import CompletionNamedFunction
from chat.dialects.responses.response_body import FunctionTool
from chat.pipelines import trip_plan
from chat.providers import responses_request, service_errors
from chat.routes import fallback, operations, schemas
from chat.routes.tool_schemas import ClientFunction
from chat.settings import KEY, NAME, issuers, mcp_servers, values
from chat.store.tables import table_audit, table_keys, table_limits, table_lists, table_service, table_writes
from chat.tools import data, function_tool, genie
from chat.tools.remote import mcp_definitions, mcp_texts
from tests.support.source import Module, modules

KIB = 1024
LINE = 64 * KIB  # the most that a request line, a header or a setting may have
BODY = 256 * KIB  # what is measured of a body, of arguments and of replies, which may have more


@dataclass(frozen=True)
class Use:
    """How a pattern meets text of at most `largest` characters; `worst` are beginnings that it goes along with."""

    apply: Callable[[str], object]
    largest: int
    worst: tuple[str, ...] = ()


def encoded(apply: Callable[[bytes], object]) -> Callable[[str], object]:
    return lambda text: apply(text.encode())


def checked(kind: Any) -> Callable[[str], object]:
    """A pattern that pydantic looks at."""
    validate = TypeAdapter(kind).validator.isinstance_python
    return lambda text: validate(text)


ROUTES = {"/chat/sessions/{session_id}/messages": ("GET",), "/chat/{a}/{b}/{c}/{d}": ("POST",)}

# (module, the pattern as it is written there): how it is used.
PATTERNS: Mapping[tuple[str, str], Use] = {
    ("chat/credentials.py", "KEY"): Use(credentials.KEY.fullmatch, LINE, ("parley_", "parley_a_")),
    ("chat/credentials.py", "KEY_ID"): Use(credentials.KEY_ID.fullmatch, LINE),
    ("chat/pipelines/trip_plan.py", "TIME"): Use(trip_plan.TIME.fullmatch, BODY, ("12:3",)),
    ("chat/providers/responses_request.py", "NO_NAME"): Use(
        lambda text: responses_request.NO_NAME.sub("_", text), LINE, ("a", ".")
    ),
    ("chat/providers/service_errors.py", "SECRET"): Use(
        lambda text: service_errors.SECRET.sub("***", text),
        LINE,  # it is cut to far less before
        ("sk-", "bearer ", "bearer", "https://", "a:/", "1a+/=.~-", "a-b,"),
    ),
    ("chat/providers/service_errors.py", "[45][0-9][0-9]"): Use(
        lambda text: service_errors.error_in_stream({"code": text}), BODY, ("5", "4")
    ),
    ("chat/dialects/ag_ui/ag_ui_input.py", "TOOL"): Use(
        checked(get_type_hints(PageTool, include_extras=True)["name"]), BODY
    ),
    ("chat/dialects/shape_schemas.py", "^[A-Z][A-Z0-9_]*$"): Use(
        re.compile("^[A-Z][A-Z0-9_]*$").search, LINE, ("A",)
    ),
    ("chat/dialects/shape_schemas.py", r"^\d+\.\d+$"): Use(
        re.compile(r"^\d+\.\d+$").search, LINE, ("1", "1.")
    ),
    ("chat/dialects/openai_errors.py", r"\.(\d+)"): Use(
        lambda text: re.sub(r"\.(\d+)", r"[\1]", text), LINE, (".1", ".")
    ),
    ("chat/dialects/completions/completion_body.py", "TOOL"): Use(
        checked(get_type_hints(CompletionNamedFunction, include_extras=True)["name"]), BODY
    ),
    ("chat/dialects/responses/response_body.py", "TOOL"): Use(
        checked(get_type_hints(FunctionTool, include_extras=True)["name"]), BODY
    ),
    ("chat/routes/operations.py", "TITLE"): Use(
        lambda text: operations.TITLE.sub("", text), 2 * KIB, ("`GET` and `", "`A", "` and `")
    ),
    ("chat/routes/operations.py", r"{(\w+)}"): Use(
        lambda text: re.findall(r"{(\w+)}", text), 2 * KIB, ("{", "{a")
    ),
    ("chat/routes/fallback.py", r"\\\{\w+\\\}"): Use(
        lambda text: fallback.no_such_route({"{a}" + text: ()}, "/"), 2 * KIB, ("{", "{a")
    ),
    ("chat/routes/fallback.py", "pattern"): Use(
        lambda text: fallback.no_such_route(ROUTES, text), LINE, ("/chat/sessions/", "/chat/", "/")
    ),
    ("chat/routes/schemas.py", "PROVIDER"): Use(checked(schemas.Provider), BODY, ("A",)),
    ("chat/dialects/ai_sdk/body_schemas.py", "TOOL"): Use(checked(ToolName), BODY),
    ("chat/routes/tool_schemas.py", "TOOL"): Use(
        checked(get_type_hints(ClientFunction, include_extras=True)["name"]), BODY
    ),
    ("chat/settings/values.py", r"[A-Za-z][A-Za-z0-9_,.\[\]`]{0,127}"): Use(
        re.compile(r"[A-Za-z][A-Za-z0-9_,.\[\]`]{0,127}").fullmatch, LINE
    ),
    ("chat/settings/issuers.py", "OF_ENTRA"): Use(
        issuers.OF_ENTRA.fullmatch, LINE, ("https://sts.windows.net/", "https://login.microsoftonline.com/0")
    ),
    ("chat/settings/issuers.py", "NAME"): Use(issuers.NAME.fullmatch, LINE),
    ("chat/settings/__init__.py", "KEY"): Use(KEY.findall, LINE, ("0a",)),
    ("chat/settings/__init__.py", "NAME"): Use(NAME.fullmatch, LINE),
    ("chat/settings/mcp_servers.py", "DIGEST"): Use(mcp_servers.DIGEST.fullmatch, LINE),
    ("chat/settings/mcp_servers.py", "HEADER"): Use(mcp_servers.HEADER.fullmatch, LINE),
    ("chat/settings/mcp_servers.py", "NAME"): Use(mcp_servers.NAME.fullmatch, LINE),
    ("chat/settings/values.py", "ORIGIN"): Use(
        values.ORIGIN.fullmatch, LINE, ("a://", "a+.-", "http://[", "http://a:")
    ),
    ("chat/store/tables/table_keys.py", "ESCAPED"): Use(table_keys.unescaped, LINE, ("\ue100", "\ue000")),
    ("chat/store/tables/table_keys.py", "ID"): Use(table_keys.is_id, LINE),
    ("chat/store/tables/table_audit.py", "KEY"): Use(
        table_audit.KEY.fullmatch, LINE, ("1", "1234567890123-")
    ),
    ("chat/store/tables/table_limits.py", "BAD_IN_KEYS"): Use(table_limits.can_be_key, LINE),
    ("chat/store/tables/table_service.py", "TABLE_PREFIX"): Use(table_service.TABLE_PREFIX.fullmatch, LINE),
    ("chat/store/tables/table_lists.py", "INVITATION"): Use(
        table_lists.INVITATION.fullmatch, LINE, ("i-", "i-1234567890123-")
    ),
    ("chat/store/tables/table_lists.py", "SESSION"): Use(
        table_lists.SESSION.fullmatch, LINE, ("1", "1234567890123-")
    ),
    ("chat/store/tables/table_writes.py", "ETAG"): Use(
        encoded(table_writes.ETAG.search), BODY, ("ETag: ", "ETag:", "\r", "\nETag: x\r")
    ),
    ("chat/store/tables/table_writes.py", "STATUS"): Use(
        encoded(lambda text: re.split(table_writes.STATUS, text)), BODY, ("HTTP/1.1 20", "\nHTTP/1.1 200")
    ),
    ("chat/telemetry.py", "CREDENTIAL"): Use(
        telemetry.without_secrets, BODY, ("key=", "a://", "://", "bearer ", "code=a&", "key", "://a@")
    ),
    ("chat/tools/data.py", "PLAIN_NAME"): Use(data.PLAIN_NAME.fullmatch, LINE),
    ("chat/tools/function_tool.py", "ARGUMENT"): Use(
        function_tool.ARGUMENT.findall, LINE, ("    a: b\n", "    a: b\n" + " " * 8, "    ", "\n" + " " * 8)
    ),
    ("chat/tools/genie.py", r"^[A-Za-z0-9-]{1,64}$"): Use(checked(genie.SpaceId), BODY),
    ("chat/tools/overpass.py", r'["\\\n]'): Use(lambda text: re.sub(r'["\\\n]', "", text), BODY, ('"', "\\")),
    ("chat/tools/remote/mcp_definitions.py", "STRANGE"): Use(
        lambda text: mcp_definitions.STRANGE.sub("_", text), LINE
    ),
    ("chat/tools/remote/mcp_texts.py", "OPENS"): Use(mcp_texts.OPENS.search, LINE, ("passx", "toke")),
    ("chat/user_ids.py", "EXTENDED"): Use(user_ids.EXTENDED.fullmatch, LINE, ("utf-8'", "'", "utf-8''a")),
    ("chat/user_ids.py", "SLASH"): Use(lambda text: user_ids.SLASH.sub("/", text), LINE, ("%2f", "%2")),
}

# What is tried with every pattern, over and over, with an end that it does not expect.
ALWAYS = ("a", "A", "0", " ", "-", "/", "\n", "a ", "a1", "a/", "a:", "\u00e9")
ENDS = ("", "!", "\n", "\u2028")

SHARES = (16, 4, 1)  # of the largest text, what is measured
MOST = 1.6
"""A text four times as long takes four times as long where time is linear, 16 times where it is quadratic. As powers
of the length those are 1 and 2; noise does not bring them together."""
TOO_SHORT = 0.002  # seconds of processor time; what takes less for the longest text is in nobody's way


@pytest.mark.parametrize("place", PATTERNS, ids=" ".join)
def test_the_time_of_a_pattern_grows_as_its_text_does(place: tuple[str, str]) -> None:
    use = PATTERNS[place]
    for beginning, end in itertools.product((*ALWAYS, *use.worst), ENDS):
        power = growth(use.apply, beginning, end, use.largest)
        assert power < MOST, (
            f"{beginning!r}, {end!r}: the time grows with the length to the power of {power:.1f}"
        )


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"\w+://\S+|(?=\S*\d)[\w+/=.~-]{24,}", "a"), (r"a*b", "a"), (r"\s+$", " "), (r"(a|b)+c", "ab")],
)
def test_a_pattern_that_is_quadratic_is_found(pattern: str, text: str) -> None:
    assert growth(re.compile(pattern).search, text, "!", 16 * KIB) > MOST


def test_every_pattern_of_the_app_is_in_the_table() -> None:
    found = {(module.path, pattern) for module in modules("chat") for pattern in patterns(module)}
    assert found == PATTERNS.keys()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import re\nA = re.compile('a')\nA.search(x)\nre.split(A, x)", ["A"]),
        ("import re\ndef f(x): return re.sub('a', '', x)", ["a"]),
        ("import re\ndef f(x): return re.fullmatch(made(x), x)", ["made(x)"]),
        ("import re\ndef f(x): return re.compile(made(x))", ["made(x)"]),
        ("from re import match\nmatch('a', x)", ["from re"]),
        ("T = Annotated[str, Field(pattern='a')]\nU = StringConstraints(pattern='b')", ["a", "b"]),
        ("import regex", ["import regex"]),
    ],
)
def test_a_pattern_is_found_in_each_way_to_write_one(text: str, found: list[str]) -> None:
    assert sorted(patterns(Module("x.py", text))) == sorted(found)


def growth(apply: Callable[[str], object], beginning: str, end: str, largest: int) -> float:
    """With which power of the length the time grows. What seems too much is measured again, to be sure."""
    texts = [_text_of(largest // share, beginning, end) for share in SHARES]
    first = seconds(apply, texts[0], times=5)  # one that seems long hides how much longer the others take
    power = 0.0
    for share, text in zip(SHARES[1:], texts[1:], strict=True):
        longer = math.log(SHARES[0] / share)
        took = seconds(apply, text, times=1)
        power = math.log(took / first) / longer
        if took > TOO_SHORT and power >= MOST:
            took, first = seconds(apply, text, times=9), seconds(apply, texts[0], times=9)
            power = math.log(took / first) / longer
            if power >= MOST:
                return power
    return 0.0 if took < TOO_SHORT else power


def _text_of(length: int, beginning: str, end: str) -> str:
    return (beginning * (length // len(beginning) + 1))[: max(length - len(end), 0)] + end


def seconds(apply: Callable[[str], object], text: str, *, times: int) -> float:
    """Processor time, the shortest of a few: what else the machine does makes it longer, never shorter."""
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        apply(text)
        best = min(best, time.process_time() - began)
    return max(best, 1e-6)


def patterns(module: Module) -> Iterator[str]:
    """The regular expressions of a module: the name of one that the module holds, else as it is written."""
    held = dict(_held(module.tree))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module in ("re", "regex"):
            yield f"from {node.module}"
        elif isinstance(node, ast.Import) and any(each.name == "regex" for each in node.names):
            yield "import regex"
        elif isinstance(node, ast.Call):
            written = _written(node)
            if node in held:
                yield held[node]
            elif written and written not in held.values():
                yield written


def _held(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    for node in tree.body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Call() as call) if ast.unparse(call.func) == "re.compile":
                yield call, name
            case _:
                pass


def _written(call: ast.Call) -> str:
    """The pattern of a call that takes one."""
    match call.func:
        case ast.Attribute(ast.Name("re"), name) if name != "escape":
            given = call.args[:1]
        case _:
            given = []
    given += [each.value for each in call.keywords if each.arg in ("pattern", "regex")]
    return next((_text(each) for each in given), "")


def _text(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)
