"""Runs one of our own commands as a process and reads what it prints. Everything has a deadline."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.support import canaries

ROOT = Path(__file__).parent.parent.parent
SAMPLE_APP = ROOT / "tests/local/sample_app"


def wait_until[T](found: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first true result of `found`; an assertion error when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)
    return result


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children_of(pid: int) -> list[int]:
    """Its children and theirs."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *children_of(child)]
    return found


class Command:
    """`python -m <module> <flags>` from the repository's root."""

    def __init__(
        self, module: str, flags: Iterable[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._output, self._errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self._module, self._unseen = module, [self._output, self._errors]
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *flags],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._errors,
        )

    @property
    def output(self) -> str:
        return os.pread(self._output.fileno(), 1 << 20, 0).decode()

    @property
    def errors(self) -> str:
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode()

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line of the output."""
        return [line.split() for line in self.output.splitlines()]

    def wait_ready(self, seconds: float = 90) -> str:
        """The URL of its `ready` line. How long a start takes is nobody's promise, and other tests start theirs."""

        def ready() -> str | None:
            assert self.process.poll() is None, f"ended early:\n{self.output}\n{self.errors}"
            return next((words[1] for words in self.lines if words[:1] == ["ready"]), None)

        return wait_until(ready, seconds=seconds, what="ready line") or ""

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 60) -> None:
        """Signal it; it must end with status 0 and leave no process behind. That this takes no more than 5 s is for
        tests that are alone on the machine."""
        left = children_of(self.process.pid)
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=seconds)
        finally:
            self.kill()
        assert code == 0, f"ended with {code}:\n{self.errors}"
        assert not [pid for pid in left if is_alive(pid)], "left processes behind"

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self.process.kill()
        self.process.wait(timeout=5)
        self._look()

    def _look(self) -> None:
        """For secrets in all that it printed, once."""
        while self._unseen:
            file = self._unseen.pop()
            text = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
            canaries.look(self._hidden(text), where=f"a process of {self._module}", logged=True)

    def _hidden(self, text: bytes) -> bytes:
        """Without what is printed to be read: keys of a host that asks for them, and the stand-in's address."""
        return re.sub(rb"^(?:key +(?:host|master) |connection ).*$", b"", text, flags=re.MULTILINE)
