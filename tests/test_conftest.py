"""Tests side by side, and the rule for skips: one that lacks a tool is a failure in continuous integration, and
nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

SKIPS = """
import pytest
def test_a(tool): tool("surely-not-a-tool")
def test_b(): pytest.skip("for another reason")
"""
WAITS = """
import time
from pathlib import Path
def test_a():
    time.sleep(1)
    Path(__file__).with_name("a").touch()
"""
ALONE = """
import pytest
from pathlib import Path
@pytest.mark.usefixtures("alone")
def test_b(): assert Path(__file__).with_name("a").exists()
def test_c(): assert not Path(__file__).with_name("a").exists()
"""
WORKERS = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def run(folder: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, *flags, str(folder)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("flags", [(), WORKERS], ids=["one process", "workers"])
@pytest.mark.parametrize(("ci", "code"), [("", 0), ("1", 1)])
def test_a_missing_tool_fails_only_in_continuous_integration(
    tmp_path: Path, ci: str, code: int, flags: tuple[str, ...]
) -> None:
    (tmp_path / "test_probe.py").write_text(SKIPS)
    done = run(tmp_path, "-rs", *flags, PARLEY_CI=ci)
    assert done.returncode == code, done.stdout
    assert ("1 failed, 1 skipped" if ci else "2 skipped") in done.stdout


def test_what_must_be_alone_begins_when_the_other_workers_have_ended(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(WAITS)
    (tmp_path / "test_two.py").write_text(ALONE)
    done = run(tmp_path, *WORKERS)
    assert "3 passed" in done.stdout
