"""The shape of the code: which layer may import which, who may touch the platform, and how long things may get.

docs/architecture.md draws these layers. Imports inside functions count as well.
"""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping

import pytest

from tests.support.processes import ROOT
from tests.support.source import Module, modules

VALUES = (
    "chat.events",
    "chat.messages",
    "chat.errors",
    "chat.settings",
    "chat.clock",
    "chat.telemetry",
    "chat.tokens",
    "chat.user_ids",
    "chat.credentials",
    "chat.calls",
    "chat.reply_options",
    "chat.requests",
    "chat.conversation",
    "chat.news",
    "chat.quotas",
    "chat.blocking",
)
SIBLINGS = (
    "chat.providers",
    "chat.store",
    "chat.dialects",
    "chat.push",
    "chat.auth",
    "chat.tools",
)
# From the top down; a module may import what is below its own layer, and what is in its own part of it.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("function_app", "chat"),
    ("chat.routes", "chat.direct", "chat.timers"),
    ("chat.pubsub",),
    ("chat.asking",),
    ("chat.app",),
    ("chat.pipelines", "chat.rooms", "chat.process"),
    ("chat.turns",),
    SIBLINGS,
    ("chat.schemas", "chat.databricks"),
    VALUES,
)
# Which files may import a package of the platform; every one of them does.
OWNERS = {
    "azure.functions": {"function_app.py"},
    "azurefunctions": {"function_app.py", "chat/routes/worker.py"},
    "azure_functions_runtime": {"chat/routes/worker.py"},
    "azure.ai.inference": {"chat/providers/azure_inference.py"},
    "azure.data.tables": {
        "chat/store/tables/table_client.py",
        "chat/store/tables/table_connection.py",
        "chat/store/tables/table_reads.py",
        "chat/store/tables/table_service.py",
        "chat/store/tables/table_writes.py",
    },
    "duckdb": {"chat/tools/data_worker.py"},
    "databricks": {"chat/databricks.py", "chat/tools/genie.py"},
    "mcp": {"chat/tools/remote/mcp_connection.py"},
    "mcp_types": {"chat/tools/remote/mcp_connection.py", "chat/tools/remote/mcp_outputs.py"},
    "httpx2": {"chat/tools/remote/mcp_connection.py", "chat/tools/remote/mcp_http.py"},
    "azure.identity": {
        "chat/providers/azure_inference.py",
        "chat/push/web_pubsub.py",
        "chat/store/tables/table_service.py",
    },
    "azure.messaging.webpubsubservice": {"chat/push/web_pubsub.py"},
}
# `azure.core` is what both SDKs stand on: their files, and the one that translates what it raises.
CORE = (
    OWNERS["azure.ai.inference"]
    | OWNERS["azure.data.tables"]
    | {"chat/push/web_pubsub.py", "chat/store/tables/table_errors.py", "chat/store/tables/table_signing.py"}
) - {"chat/store/tables/table_writes.py"}

# Modules that share a name on purpose: a value, and the routes that read or show it.
NAMESAKES = {
    "messages.py": {"chat/messages.py", "chat/routes/messages.py"},
    "requests.py": {"chat/requests.py", "chat/routes/requests.py"},
}

MAX_FUNCTION, MAX_FILE = 50, 300
MEDIAN_FUNCTION, P90_FUNCTION = 8, 20

CHAT = modules("chat")
APP = [*CHAT, *modules("function_app.py")]
LOCAL = modules("local")
NAMES = {module.name for module in APP}


def test_imports_point_down() -> None:
    assert not [f"{who} -> {whom}" for who, whom in _inner_imports() if not _points_down(who, whom)]


def test_no_modules_need_each_other() -> None:
    assert _circles({module.name: _inner(module) for module in APP}) == []


def test_edges_ask_the_app_and_not_the_parts_of_its_parts() -> None:
    edges = [
        module for module in APP if _unit(module.name) in {*LAYERS[0], *LAYERS[1], *LAYERS[2], *LAYERS[3]}
    ]
    assert not [f"{each.path}: {name}" for each in edges for name in _reaches(each)]


def test_every_module_has_a_layer() -> None:
    assert {module.name for module in APP if _unit(module.name) == "chat"} == {"chat"}


def test_the_core_knows_its_siblings_by_their_ports_alone() -> None:
    known = {whom for who, whom in _inner_imports() if _unit(who) == "chat.turns" and _unit(whom) in SIBLINGS}
    assert known
    assert all(whom.rpartition(".")[2].endswith(("base", "_store")) for whom in known), known


def test_the_tables_are_known_to_the_composition_root_alone() -> None:
    known = {who for who, whom in _inner_imports() if whom.startswith("chat.store.tables")}
    assert {who for who in known if not who.startswith("chat.store.tables")} == {"chat.app"}


def test_values_need_the_standard_library_alone() -> None:
    for module in CHAT:
        if _unit(module.name) in VALUES:
            packages = {name.partition(".")[0] for name in module.imports} - {"chat"}
            assert packages <= sys.stdlib_module_names, module.path


@pytest.mark.parametrize("package", OWNERS)
def test_a_package_of_the_platform_stays_with_its_owners(package: str) -> None:
    assert {module.path for module in APP if module.imports_from(package)} == OWNERS[package]


def test_the_core_of_the_azure_sdks_stays_with_their_owners() -> None:
    assert {module.path for module in APP if module.imports_from("azure.core")} == CORE


def test_no_package_of_azure_is_without_an_owner() -> None:
    known = (*OWNERS, "azure.core")
    for module in APP:
        strange = {name for name in module.imports if name.startswith("azure") and not name.startswith(known)}
        assert not strange, module.path


@pytest.mark.parametrize("package", ["fastapi", "starlette"])
def test_fastapi_is_known_to_the_routes_alone(package: str) -> None:
    strangers = [
        each.path for each in CHAT if each.imports_from(package) and _unit(each.name) != "chat.routes"
    ]
    assert not strangers


def test_the_environment_is_read_by_the_settings_alone() -> None:
    assert {module.path for module in APP if _reads_environment(module)} == {"chat/settings/__init__.py"}


def test_the_app_and_the_local_stack_do_not_know_each_other() -> None:
    assert not [each.path for each in APP if each.imports_from("local")]
    assert not [each.path for each in LOCAL if each.imports_from("chat")]


def test_to_import_every_module_opens_nothing_and_needs_no_setting() -> None:
    assert _opened_by(f"for name in {sorted(NAMES)!r}: importlib.import_module(name)") == "set()"


def test_only_dialects_ask_which_dialect_it_is() -> None:
    assert not [module.path for module in _beside_dialects() if _compares_dialects(module)]


def test_nothing_but_the_catalogue_knows_a_dialect() -> None:
    """A socket of one's own is documented to speak `chat`, so its module may know that one; the map of routes names
    dialects, which it need not import."""
    names = ("base", "catalogue", "framing", "merging", "shapes", "shape_schemas")
    port = {f"chat.dialects.{name}" for name in names}
    known = {(each.name, whom) for each in _beside_dialects() for whom in _inner(each)}
    strange = {(who, whom) for who, whom in known if _unit(whom) == "chat.dialects" and whom not in port}
    assert strange == {("chat.direct", "chat.dialects.chat")}


def test_nothing_but_dialects_writes_frames() -> None:
    written = {(each.path, kind) for each in _beside_dialects() for kind in _frames_written(each)}
    assert not written


def _beside_dialects() -> list[Module]:
    return [module for module in APP if _unit(module.name) != "chat.dialects"]


FRAMES = (
    "chat_start",
    "chat_chunk",
    "chat_error",
    "text.delta",
    "tool.call",
    "tool.approval",
    "tool.output",
    "poi",
    "pong",
    "ack",
)
ROOM_FRAMES = (
    *("connection_established", "user_joined", "user_left", "message_update", "message_delta", "tool_update"),
    *("stage_update", "typing_indicator", "notice", "session_update"),
)


def _frames_written(module: Module) -> Iterator[str]:
    """The frames of dialects that a module names in a text of its own."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and node.value in (*FRAMES, *ROOM_FRAMES):
            yield str(node.value)


def test_nothing_imports_from_a_test() -> None:
    ours = modules("tests", "benchmarks", "scripts", "examples")
    assert not [f"{each.path}: {name}" for each in ours for name in each.imports if _is_of_a_test(name)]


def test_modules_of_the_app_do_not_share_names() -> None:
    paths: dict[str, set[str]] = {}
    for module in CHAT:
        paths.setdefault(module.path.rpartition("/")[2], set()).add(module.path)
    shared = {name: found for name, found in paths.items() if len(found) > 1}
    assert {name: shared[name] for name in shared.keys() - {"__init__.py", "base.py"}} == NAMESAKES


@pytest.mark.parametrize("folder", ["chat", "local", "function_app.py", "benchmarks", "scripts"])
def test_every_module_says_what_it_holds(folder: str) -> None:
    assert not [module.path for module in modules(folder) if not module.docstring]


@pytest.mark.parametrize("folder", ["chat", "local", "tests/support"])
def test_functions_and_files_stay_short(folder: str) -> None:
    for module in modules(folder):
        assert module.lines <= MAX_FILE, f"{module.path} has {module.lines} lines"
        for name, lines in module.functions:
            assert lines <= MAX_FUNCTION, f"{module.path}: {name} has {lines} lines"


def test_most_functions_are_small() -> None:
    lengths = [lines for module in CHAT for _, lines in module.functions]
    assert statistics.median(lengths) <= MEDIAN_FUNCTION
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_FUNCTION


# The tests of the tests: each rule sees what it is there to see.


@pytest.mark.parametrize(
    ("who", "text", "allowed"),
    [
        ("chat.turns.x", "from chat.errors import NotFound", True),
        ("chat.turns.x", "from chat import events", True),
        ("chat.turns.x", "from chat.turns.y import z", True),
        ("chat.turns.x", "from chat.routes.replies import problem", False),
        ("chat.store.x", "def f():\n    from chat.providers import base", False),
        ("chat.store.x", "import chat.turns", False),
        ("chat.errors", "from chat.dialects.framing import HEADERS", False),
        ("chat.routes.x", "from chat.direct import handle_chat_message", False),
        ("chat.routes.x", "from chat import handle_chat_message", False),
        ("chat.dialects.x", "from chat.schemas.fields import validate", True),
        ("chat.store.x", "from chat.dialects.base import Dialect", False),
    ],
)
def test_the_rule_of_layers_sees(who: str, text: str, allowed: bool) -> None:
    module = Module(who.replace(".", "/") + ".py", text)
    assert all(_points_down(who, whom) for whom in _inner(module)) is allowed


def test_the_rule_of_circles_sees() -> None:
    needs = {"a": {"b", "x"}, "b": {"c"}, "c": {"d"}, "d": {"b"}, "x": {"x"}}
    assert _circles(needs) == [["b", "c", "d"]]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("app.runner.waiting.answer(x)", ["app.runner.waiting.answer"]),
        ("await app.runner.start(x)", []),
        ("f(app.settings.busy, live.turn.request.dialect)", []),
    ],
)
def test_the_rule_of_edges_sees(text: str, seen: list[str]) -> None:
    assert list(_reaches(Module("x.py", text))) == seen


@pytest.mark.parametrize(
    "text",
    ["import os\nos.environ['A']", "import os\nos.getenv('A')", "def f():\n    from os import environ"],
)
def test_the_rule_of_the_environment_sees(text: str) -> None:
    assert _reads_environment(Module("x.py", text))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("if dialect.name == 'chat': pass", True),
        ("x = 1 if turn.dialect != 'chat' else 2", True),
        ("match request.dialect:\n    case 'chat': pass", True),
        ("z = app.dialects[dialect]", False),
    ],
)
def test_the_rule_of_dialects_sees(text: str, seen: bool) -> None:
    assert _compares_dialects(Module("x.py", text)) is seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("from tests.turns.test_log import say", True),
        ("def f():\n    import tests.turns.test_log", True),
        ("from tests.turns import test_log", True),
        ("import test_report", True),
        ("from tests.store.builders import said", False),
        ("from aiohttp.test_utils import TestServer", False),
    ],
)
def test_the_rule_of_tests_sees(text: str, seen: bool) -> None:
    assert any(map(_is_of_a_test, Module("x.py", text).imports)) is seen


def test_the_rule_of_imports_sees() -> None:
    held = "from chat.providers.scripted import ScriptedProvider; held = ScriptedProvider()"
    assert _opened_by(held) == "{'ScriptedProvider'}"


def _opened_by(statement: str) -> str:
    """The clients, sessions and credentials that exist in a new process after a statement, without any setting and
    without a loop to make them in."""
    code = f"""
import asyncio, gc, importlib
asyncio.get_event_loop = asyncio.new_event_loop = None
{statement}
kinds = {{type(each) for each in gc.get_objects()}}
ours = (kind for kind in kinds if str(kind.__module__).startswith(("azure.", "aiohttp", "chat.")))
ends = ("Client", "Session", "Credential", "Transport", "Storage", "Provider", "Runner", "ChatApp")
print({{kind.__name__ for kind in ours if kind.__name__.endswith(ends)}})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _inner_imports() -> Iterator[tuple[str, str]]:
    for module in APP:
        for whom in _inner(module):
            yield module.name, whom


def _inner(module: Module) -> set[str]:
    """The modules of ours that a module imports."""
    ours = (name for name in module.imports if name.partition(".")[0] in {"chat", "function_app"})
    return {name if name in NAMES else name.rpartition(".")[0] for name in ours}


def _circles(needs: Mapping[str, set[str]]) -> list[list[str]]:
    """Of each module that needs itself through others, all those on the way, sorted; once for each set."""
    behind = {name: _behind(name, needs) for name in needs}
    circles = {tuple(sorted(each for each in behind[name] if name in behind.get(each, ()))) for name in needs}
    return [list(circle) for circle in sorted(circles) if len(circle) > 1]


def _behind(name: str, needs: Mapping[str, set[str]]) -> set[str]:
    """All that a module needs, by however many steps."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        new = needs.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def _reaches(module: Module) -> Iterator[str]:
    """Chains of names like `app.part.part_of_it.do`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and re.fullmatch(r"app(\.\w+){3}", text := ast.unparse(node)):
            yield text


def _unit(name: str) -> str:
    """The part of a layer that a module belongs to: the longest name in the table that begins its own."""
    units = (unit for layer in LAYERS for unit in layer)
    return max((unit for unit in units if name == unit or name.startswith(unit + ".")), key=len)


def _layer(unit: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if unit in layer)


def _points_down(who: str, whom: str) -> bool:
    upper, lower = _unit(who), _unit(whom)
    same_values = upper in VALUES and lower in VALUES
    return upper == lower or same_values or _layer(upper) < _layer(lower)


def _reads_environment(module: Module) -> bool:
    attributes = {f"os.{node.attr}" for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    return bool({"os.environ", "os.environb", "os.getenv"} & (attributes | module.imports))


def _is_of_a_test(name: str) -> bool:
    """Whether an import names a test module, or something in one: `tests.turns.test_log.say`."""
    first, *others = name.split(".")
    return first.startswith("test_") or (
        first == "tests" and any(each.startswith("test_") for each in others)
    )


def _compares_dialects(module: Module) -> bool:
    return any(_is_dialect(each) for node in ast.walk(module.tree) for each in _compared(node))


def _compared(node: ast.AST) -> Iterable[ast.expr]:
    if isinstance(node, ast.Compare):
        return (node.left, *node.comparators)
    return (node.subject,) if isinstance(node, ast.Match) else ()


def _is_dialect(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text.endswith(("dialect", "dialect.name"))
