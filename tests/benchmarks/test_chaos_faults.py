"""What the hostile run does to processes, on processes of its own: nothing stays frozen, nothing stays behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos import faults
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.journal import Journal, read_journal
from benchmarks.chaos.stack import ChaosStack
from benchmarks.servers import Skipped
from tests.support.processes import is_alive, wait_until


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


class SleepingStack(ChaosStack):
    """Services and instances that do nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sleepers = [sleeper() for _ in range(5)]
        service, another, third, *hosts = [each.pid for each in self.sleepers]
        self.pids = {"azurite": service, "model": another, "sockets": third}
        self.hosts = hosts

    def kill_victim(self) -> int:
        pid = super().kill_victim()
        self.sleepers[3].wait()
        return pid

    async def restart_victim(self) -> None:
        self.sleepers[3] = sleeper()
        self.hosts[0] = self.sleepers[3].pid

    def stop(self) -> None:
        for each in self.sleepers:
            each.kill()
            each.wait()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[SleepingStack]:
    """Faults come every tenth of a second."""
    for name, value in {"KILL_FIRST": 0.1, "KILL_EVERY": 0.3, "FROZEN": (0.05, 0.1), "SAMPLE": 0.1}.items():
        monkeypatch.setattr(faults, name, value)
    monkeypatch.setattr(faults, "BETWEEN", (0.05, 0.1))
    running = SleepingStack(tmp_path)
    yield running
    running.stop()


def records(journal: Journal) -> dict[str, list[Any]]:
    journal.close()
    found: dict[str, list[Any]] = {}
    for record in read_journal(journal.path):
        found.setdefault(record["kind"], []).append(record)
    return found


async def test_services_freeze_and_one_instance_dies_again_and_again(
    stack: SleepingStack, tmp_path: Path
) -> None:
    journal, first, lives = Journal(tmp_path / "j"), stack.hosts[0], stack.hosts[1]
    await Faults(stack, journal, seed=1).run(1.0)
    found = records(journal)
    assert {each["who"] for each in found["freeze"]} == set(stack.pids)
    assert all(each["began"] < each["until"] for each in found["freeze"])
    assert len(found["kill"]) >= 2
    assert found["kill"][0]["pid"] == first
    assert {each["instance"] for each in found["kill"]} == {0}
    assert is_alive(lives) and len(found["memory"]) >= 3
    assert "T" not in {state_of(pid) for pid in stack.pids.values()}


async def test_nothing_stays_frozen_when_the_run_is_broken_off(stack: SleepingStack, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    running = asyncio.create_task(Faults(stack, journal, seed=1).run(30))
    await asyncio.to_thread(
        wait_until, lambda: "T" in map(state_of, stack.pids.values()), seconds=5, what="frozen service"
    )
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert "T" not in {state_of(pid) for pid in stack.pids.values()}
    journal.close()


async def test_the_death_of_the_other_instance_ends_the_run(stack: SleepingStack, tmp_path: Path) -> None:
    os.kill(stack.hosts[1], signal.SIGKILL)
    stack.sleepers[4].wait()
    journal = Journal(tmp_path / "j")
    with pytest.raises(Skipped, match="died"):
        await Faults(stack, journal, seed=1).run(5)
    journal.close()
