"""The functions host over the sample app, as a process, and a client for it."""

from collections.abc import AsyncGenerator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from tests.support.processes import SAMPLE_APP, Command

PAGE = "http://page.test"


class Host:
    """A running host."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.url = command.wait_ready()
        self.worker_url = next(words[1] for words in command.lines if words[0] == "worker")

    def key(self, name: str) -> str:
        return next(words[2] for words in self.command.lines if words[:2] == ["key", name])


@contextmanager
def running_host(flags: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Generator[Host]:
    """A host on a free port, stopped (and its stop checked) at the end."""
    arguments = ["--app", str(SAMPLE_APP), "--port", "0", *flags]
    command = Command("local.functions_host", arguments, environment)
    try:
        yield Host(command)
        if command.process.poll() is None:
            command.stop()
    finally:
        command.kill()


@asynccontextmanager
async def client() -> AsyncGenerator[aiohttp.ClientSession]:
    """A client that asks for paths as they are written, and waits at most 10 s."""
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=10), requote_redirect_url=False
    ) as session:
        yield session
