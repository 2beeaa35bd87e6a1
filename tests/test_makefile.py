"""The Makefile where it cannot work, and the tree it is meant to keep free of surprises."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT

TARGETS = ("run", "test", "lint", "bench")


@pytest.mark.parametrize("target", TARGETS)
def test_without_a_new_enough_python_make_says_so_in_one_sentence(tmp_path: Path, target: str) -> None:
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "package.json", "package-lock.json"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "bin/python3"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    environment = {"PATH": str(old.parent), "HOME": str(tmp_path)}
    make = shutil.which("make") or "make"
    done = subprocess.run(
        [make, target], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == (
        "Parley needs Python 3.13 or later, and found none: install it from https://www.python.org/downloads/"
    )


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert len(packages) > 100
    assert not [name for name, package in packages.items() if "resolved" in package]
