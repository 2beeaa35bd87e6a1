"""Processes that run SQL (`data_worker.py`), each for one query at a time: what takes too long is killed, whatever it
is doing, and so is what nobody waits for any more.
"""

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chat.events import JSONObject
from chat.telemetry import record
from chat.tools.base import ToolError
from chat.tools.fair import FairSlots, Shares

WORKER = Path(__file__).with_name("data_worker.py")
STARTING = 20.0  # seconds to start and to load the tables
OUTLIVING = 5.0  # seconds after which a query ends that nobody could stop
LINE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DataLimits:
    """What a query may use."""

    seconds: float = 10.0
    rows: int = 200
    bytes: int = 16 * 1024  # of the result as JSON
    memory: str = "256MB"  # for tables and queries, as DuckDB counts
    address_space: int = 1280 * 1024**2  # bytes of the process, which begins with 780 MiB
    threads: int = 2
    processes: int = 2  # one user has one at a time
    waiting: int = 64  # queries of all users, and
    waiting_each: int = 16  # of one: as many as a reply may make


class SqlProcess:
    """One process with all tables loaded."""

    def __init__(self, process: Process, tables: list[JSONObject]) -> None:
        self._process = process
        self.tables = tables  # name, columns, rows, first_rows

    @classmethod
    async def start(cls, files: Mapping[str, Path], limits: DataLimits) -> "SqlProcess":
        """EOFError when it cannot start, TimeoutError when it takes too long."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(WORKER),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_BYTES,
            env={"PYTHONPATH": os.pathsep.join(sys.path[1:])},  # nothing of ours, no secret above all
        )
        started = cls(process, [])
        try:
            async with asyncio.timeout(STARTING):
                reply = await started.ask(_setup(files, limits))
        except BaseException:
            await started.kill()
            raise
        started.tables = reply["tables"]  # type: ignore[assignment]
        if reply["failed"]:
            record("tables_not_loaded", **reply["failed"])  # type: ignore[arg-type]
        return started

    async def ask(self, question: JSONObject) -> JSONObject:
        """One line there, one line back. EOFError when the process ends instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        except ConnectionError:
            line = b""
        if not line.endswith(b"\n"):
            raise EOFError
        return json.loads(line)

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


class SqlProcesses:
    """Runs queries, as many at a time as there may be processes, of each user one. One process is kept for the next."""

    def __init__(self, files: Mapping[str, Path], limits: DataLimits) -> None:
        self._files = files
        self._limits = limits
        self._slots = FairSlots(Shares(limits.processes, 1, limits.waiting, limits.waiting_each))
        self._idle: list[SqlProcess] = []
        self._closed = False

    async def query(self, sql: str, user_id: str = "") -> JSONObject:
        """`{"columns", "rows"}`. ToolError says why there is no result."""
        async with self._slot(user_id):
            process = await self._take()
            try:
                async with asyncio.timeout(self._limits.seconds):
                    reply = await process.ask({"sql": sql})
            except TimeoutError:
                await process.kill()
                raise ToolError(f"The query took longer than {self._limits.seconds:g} s.") from None
            except EOFError:
                await process.kill()
                raise ToolError("The query was stopped: it needed too much memory.") from None
            except BaseException:
                await process.kill()
                raise
            await self._give_back(process)
        if "error" in reply:
            raise ToolError(str(reply["error"]))
        return reply

    async def tables(self, user_id: str = "") -> list[JSONObject]:
        """What there is to ask."""
        async with self._slot(user_id):
            process = await self._take()
            await self._give_back(process)
            return process.tables

    async def aclose(self) -> None:
        """Queries that still run end by themselves, and are the last."""
        self._closed = True
        while self._idle:
            await self._idle.pop().kill()

    @contextlib.asynccontextmanager
    async def _slot(self, user_id: str) -> AsyncGenerator[None]:
        await self._slots.take(user_id)
        try:
            yield
        finally:
            self._slots.release(user_id)

    async def _take(self) -> SqlProcess:
        if self._closed:
            raise ToolError("The data is no longer there: this instance is shutting down.")
        return self._idle.pop() if self._idle else await SqlProcess.start(self._files, self._limits)

    async def _give_back(self, process: SqlProcess) -> None:
        if self._closed or self._idle:
            await process.kill()
        else:
            self._idle.append(process)


def _setup(files: Mapping[str, Path], limits: DataLimits) -> JSONObject:
    return {
        "tables": {name: str(path) for name, path in files.items()},
        "seconds": limits.seconds + OUTLIVING,
        "rows": limits.rows,
        "bytes": limits.bytes,
        "memory": limits.memory,
        "address_space": limits.address_space,
        "threads": limits.threads,
    }
