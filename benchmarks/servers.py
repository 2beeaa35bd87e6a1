"""Starts and stops what is measured: the model stand-in, nginx, the ordinary app, and Parley's local stack."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from string import Template
from typing import Any
from urllib.parse import urljoin

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"(\S+)\s+(http://\S+)(?:.*\bpid (\d+))?")
START_SECONDS = 90
STOP_SECONDS = 8
NGINX = ("nginx", "/usr/sbin/nginx")
COMPLETIONS = "/openai/v1/chat/completions"
CHAT = "/api/chat/stream"


class Skipped(Exception):
    """A server that cannot run here, with the reason."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where to post, what to post, and whose CPU to count."""

    name: str
    url: str
    pid: int
    extras: Mapping[str, Any]

    def body(self, text: str) -> str:
        return json.dumps({"messages": [{"role": "user", "content": text}], **self.extras})


@dataclass(slots=True)
class Field:
    """Everything that takes part in one run; `skipped` says why others do not."""

    model: Server
    servers: list[Server]
    skipped: dict[str, str]


def program(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def process(
    command: Sequence[str], *, logs: bool = True, environment: Mapping[str, str] | None = None
) -> Generator[subprocess.Popen[str]]:
    """A child that is stopped at the end: SIGTERM, and SIGKILL when it does not obey. `environment` comes to ours."""
    stderr = None if logs else subprocess.DEVNULL
    env = {**os.environ, **(environment or {})}
    child = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def lines_until_ready(child: subprocess.Popen[str], name: str) -> list[str]:
    """What a program of ours prints up to its line `ready URL`. Skipped when that does not come."""
    printed: SimpleQueue[str] = SimpleQueue()
    # It reads on after that line: what is printed later must not fill the pipe and stop the program.
    threading.Thread(target=_read_lines, args=(child, printed), daemon=True).start()
    lines: list[str] = []
    deadline = time.monotonic() + START_SECONDS
    while not (lines and lines[-1].startswith("ready ")):
        try:
            line = printed.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise Skipped(f"{name} was not ready within {START_SECONDS} s") from None
        if not line:
            raise Skipped(f"{name} ended before it was ready")
        lines.append(line.strip())
    return lines


def _read_lines(child: subprocess.Popen[str], printed: SimpleQueue[str]) -> None:
    """Ends with "", as `readline` does at the end of a file."""
    assert child.stdout is not None
    for line in child.stdout:
        printed.put(line)
    printed.put("")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, child: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Skipped("it did not begin to listen")


def start_model(stack: ExitStack) -> Server:
    child = stack.enter_context(process(program("local.model_server", "--port", "0")))
    return model_server(lines_until_ready(child, "the model stand-in")[-1].split()[1], child.pid)


def model_server(url: str, pid: int) -> Server:
    """The stand-in at any of its URLs."""
    return Server(MODEL, urljoin(url, COMPLETIONS), pid, {"stream": True})


def find_nginx() -> str:
    """Skipped where there is none."""
    found = next((path for path in map(shutil.which, NGINX) if path), None)
    if found is None:
        raise Skipped("nginx is not installed")
    return found


def start_nginx(stack: ExitStack, model: Server) -> Server:
    found = find_nginx()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nginx-")))
    port = free_port()
    template = Template((ROOT / "benchmarks/peers/nginx.conf").read_text())
    config = folder / "nginx.conf"
    values = {"FOLDER": str(folder), "PORT": str(port), "MODEL": _base(model).removeprefix("http://")}
    config.write_text(template.substitute(values))
    command = [found, "-p", str(folder), "-c", str(config), "-e", "stderr"]
    child = stack.enter_context(process(command))
    wait_for_port(port, child)
    return Server("nginx", f"http://127.0.0.1:{port}{COMPLETIONS}", child.pid, {"stream": True})


def start_ordinary_app(stack: ExitStack, model: Server) -> Server:
    port = free_port()
    child = stack.enter_context(process(program("benchmarks.peers.fastapi_openai", str(port), _base(model))))
    wait_for_port(port, child)
    return Server("ordinary app", f"http://127.0.0.1:{port}{CHAT}", child.pid, {})


def _base(model: Server) -> str:
    return model.url.removesuffix(COMPLETIONS)


def start_parley(
    stack: ExitStack, environment: Mapping[str, str] | None = None
) -> dict[str, tuple[str, int]]:
    """The local stack's table: what runs, its URL and its pid (0 when the table does not say)."""
    for name in ("function_app.py", "local/__main__.py"):
        if not (ROOT / name).exists():
            raise Skipped(f"{name} is missing")
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-parley-"))
    command = program("local", "--port", "0", "--data", folder, "--direct")
    child = stack.enter_context(process(command, environment=environment))
    lines = lines_until_ready(child, "the local stack")
    rows = [row for row in map(ROW.match, lines) if row]
    table = {row[1]: (row[2].rstrip("/"), int(row[3] or 0)) for row in rows}
    for name in ("model", "functions"):
        if not table.get(name, ("", 0))[1]:
            raise Skipped(f"the local stack does not say where {name} runs, with its pid")
    return table


@contextmanager
def running_field() -> Generator[Field]:
    """All servers, in front of one and the same model stand-in: the stack's own where the stack runs."""
    with ExitStack() as stack:
        skipped: dict[str, str] = {}
        parley: list[Server] = []
        try:
            table = start_parley(stack)
            model = model_server(*table["model"])
            parley = parley_servers(table, skipped)
        except Skipped as reason:
            skipped["Parley"] = str(reason)
            model = start_model(stack)
        servers = [model]
        for name, start in PEERS.items():
            try:
                servers.append(start(stack, model))
            except Skipped as reason:
                skipped[name] = str(reason)
        yield Field(model, servers + parley, skipped)


PEERS: Mapping[str, Callable[[ExitStack, Server], Server]] = {
    "nginx": start_nginx,
    "ordinary app": start_ordinary_app,
}
MODEL = "the model itself"
WORKER = "Parley, worker"
PROXIED = "Parley, local host"


def parley_servers(table: Mapping[str, tuple[str, int]], skipped: dict[str, str]) -> list[Server]:
    """The worker's own port, and the same worker behind the local host's proxy: both are one process."""
    host, pid = table["functions"]
    servers = [Server(PROXIED, host + CHAT, pid, {})]
    if "worker" in table:
        servers.insert(0, Server(WORKER, table["worker"][0] + CHAT, pid, {}))
    else:
        skipped[WORKER] = "the local stack names no worker"
    return servers


def app_environment() -> dict[str, str]:
    """What function_app.py may read when it is imported."""
    return {"AzureWebJobsStorage": "UseDevelopmentStorage=true"} | {
        name: value for name, value in os.environ.items() if name.startswith("CHAT_")
    }
