"""Child processes of the local stack: each in a process group of its own, and none that outlives the stack."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence

# prctl(2): the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1
KEPT_LINES = 40
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildDied(Exception):
    """A child ended that should not have; the text says which, and what it printed last."""


class Child:
    """A running process. Its lines are kept for the report of its death, and shown on stderr when `shown`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, *, shown: bool) -> None:
        self.name = name
        self._process = process
        self.shown = shown
        self._tail = deque[str](maxlen=KEPT_LINES)
        self._watchers: list[Callable[[str], object]] = []
        self._readers = [
            asyncio.create_task(self._read(each)) for each in (process.stdout, process.stderr) if each
        ]
        self.exited = asyncio.create_task(self._wait(), name=name)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def lines_until(self, done: Callable[[str], bool]) -> list[str]:
        """What it prints from now on, up to the first line for which `done` is true. ChildDied when it ends before."""
        lines: list[str] = []
        found = asyncio.get_running_loop().create_future()

        def watch(line: str) -> None:
            lines.append(line)
            if done(line) and not found.done():
                found.set_result(None)

        self._watchers.append(watch)
        try:
            await asyncio.wait({found, self.exited}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watchers.remove(watch)
        if not found.done():
            raise ChildDied(self.report())
        return lines

    def report(self) -> str:
        """How it ended, and its last lines."""
        code = self._process.returncode
        how = (
            f"was killed by {signal.Signals(-code).name}"
            if code and code < 0
            else f"ended with status {code}"
        )
        return "\n".join([f"{self.name} (pid {self.pid}) {how}", *(f"  {line}" for line in self._tail)])

    async def stop(self, timeout: float) -> None:
        """Ask it to end, and kill what is left of its group after `timeout` seconds."""
        self._signal(signal.SIGTERM)
        await asyncio.wait({self.exited}, timeout=timeout)
        self._signal(signal.SIGKILL)
        await self.exited

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def _wait(self) -> int:
        code = await self._process.wait()
        # What it printed last may still be in the pipes; a grandchild that holds them open must not hold us.
        await asyncio.wait(self._readers, timeout=0.2)
        return code

    async def _read(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stream.read(64 * 1024):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace"))
        if rest:
            self._take(rest.decode(errors="replace"))

    def _take(self, line: str) -> None:
        self._tail.append(line)
        for watch in tuple(self._watchers):
            watch(line)
        if self.shown:
            print(line, file=sys.stderr, flush=True)


async def start_child(
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    shown: bool = False,
) -> Child:
    """Start `command` with additions to the environment."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
        # A Ctrl-C in the terminal reaches the stack only, which then stops its children in order.
        process_group=0,
        preexec_fn=_die_with_parent if LIBC else None,
    )
    return Child(name, process, shown=shown)


def _die_with_parent() -> None:
    if LIBC:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
