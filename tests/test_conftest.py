"""The rule for skips: one that lacks a tool is a failure in continuous integration, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

PROBE = """
import pytest
def test_a(tool): tool("surely-not-a-tool")
def test_b(): pytest.skip("for another reason")
"""


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("1", 1)])
def test_a_missing_tool_fails_only_in_continuous_integration(tmp_path: Path, ci: str, code: int) -> None:
    (tmp_path / "test_probe.py").write_text(PROBE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, "-rs", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PARLEY_CI": ci},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == code, done.stdout
    assert ("1 failed, 1 skipped" if ci else "2 skipped") in done.stdout
