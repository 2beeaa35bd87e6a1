"""The stack of a run: `python -m local` with two instances, of which the first is killed and started again by us."""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.chaos.orders import GAP
from benchmarks.servers import ROOT, ROW, START_SECONDS, STOP_SECONDS, Skipped, program

VICTIM, SURVIVOR = 0, 1
SETTINGS = {
    # One service, so that each failure that was ordered is seen.
    "CHAT_PROVIDERS": "AZURE",
    "CHAT_RETRY_WAIT_S": "1",
    # The mix makes the model fail on purpose: a breaker that opens for it would fail the others' turns as well.
    "CHAT_BREAKER_FAILURES": "1000000",
    # Sessions soon are as long as they may get for the model, so that what a turn takes is the same all the time.
    "CHAT_HISTORY_MESSAGES": "20",
    "AZURE_AI_FIRST_TOKEN_TIMEOUT_S": "20",
    "AZURE_AI_TOKEN_GAP_TIMEOUT_S": str(GAP),
}
PR_SET_PDEATHSIG = 1


class ChaosStack:
    """Its processes, by what they are. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: list[subprocess.Popen[bytes]] = []
        self._starts = 0
        self.pids: dict[str, int] = {}  # of azurite, model, sockets
        self.hosts: list[int] = []
        self.urls: list[str] = []
        self._environment: dict[str, str] = {}

    def __enter__(self) -> "ChaosStack":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        flags = ("--port", "0", "--memory", "--instances", "2")
        child, out = self._spawn(
            "stack", program("local", *flags), {**os.environ, **SETTINGS}, signal.SIGTERM
        )
        rows = [row for row in map(ROW.match, _wait_ready(child, out)) if row]
        for row in rows:
            if row[1] == "functions":
                self.urls.append(row[2].rstrip("/"))
                self.hosts.append(int(row[3]))
        named = {row[1]: int(row[3]) for row in rows if row[3]}
        self.pids = {"azurite": named["table"], "model": named["model"], "sockets": named["sockets"]}
        self._environment = _environment_of(self.hosts[VICTIM])

    def kill_victim(self) -> int:
        """SIGKILL. The pid that died."""
        pid = self.hosts[VICTIM]
        os.kill(pid, signal.SIGKILL)
        for child in self._children:
            if child.pid == pid:
                child.wait()
        return pid

    async def restart_victim(self) -> None:
        """The same app in the same environment on the same port. Skipped when it does not come up."""
        self._starts += 1
        port = str(urlsplit(self.urls[VICTIM]).port)
        command = program("local.functions_host", "--app", str(ROOT), "--port", port)
        name = f"instance-0-{self._starts}"
        child, out = self._spawn(name, command, self._environment, signal.SIGKILL)
        self.hosts[VICTIM] = child.pid
        await asyncio.to_thread(_wait_ready, child, out)

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str], dies: signal.Signals
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """A child that ends with us; what it prints is kept in the folder."""
        libc = ctypes.CDLL(None)
        out, log = self._folder / f"{name}.out", self._folder / f"{name}.log"
        with out.open("wb") as stdout, log.open("wb") as stderr:
            child = subprocess.Popen(
                command,
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=0,  # a Ctrl-C in the terminal is for us, who stop it in order
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, dies),
            )
        self._children.append(child)
        return child, out

    def freeze(self, name: str) -> None:
        os.kill(self.pids[name], signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pids[name], signal.SIGCONT)

    def stop(self) -> None:
        """Thaw everything and end it: instances that we started first, since they still write to the storage."""
        for name in self.pids:
            self.thaw(name)
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()


def _wait_ready(child: subprocess.Popen[bytes], out: Path) -> list[str]:
    """What it prints up to its line `ready URL`."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        lines = out.read_text().splitlines()
        if any(line.startswith("ready http") for line in lines):
            return lines
        time.sleep(0.05)
    what = f"not ready within {START_SECONDS} s" if child.poll() is None else "ended before it was ready"
    raise Skipped(f"{out.stem}: {what}; {out.with_suffix('.log')} says why")


def _environment_of(pid: int) -> dict[str, str]:
    """What a running process was started with: an instance that is started again has the same keys and services."""
    rows = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    pairs = (os.fsdecode(row).partition("=") for row in rows if row)
    return {name: value for name, _, value in pairs}
