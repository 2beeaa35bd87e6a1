"""The load client: a process of its own that runs many streams and tells when each delta came.

It does not parse what it reads: every delta of `#stamp` is the time at which the model sent it, digits and a space,
in whatever frame it comes and however many were merged. So it costs about 5 us a read.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from benchmarks.measure import percentile

MARK = re.compile(rb"(data: \{)|(\d{7,16}) ")
LONGEST_MARK = 20
CHUNK = re.compile(
    rb"\r\n[1-9a-f][0-9a-f]*\r\n"
)  # nginx begins one wherever its buffer was full, within a mark too
END = b"\r\n0\r\n\r\n"
BIN = 0.1  # seconds


class StreamFailed(Exception):
    """A stream that was not what was asked for."""


@dataclass(frozen=True, slots=True)
class Job:
    """`streams` requests over `connections`, which begin one after the other within `spread` seconds."""

    url: str
    body: str
    deltas: int  # of each stream
    streams: int = 1
    connections: int = 1
    spread: float = 0.0
    deadline: float = 120.0  # seconds for one stream


@dataclass(slots=True)
class Result:
    """What the streams gave. `bins` counts deltas in tenths of a second since `began` (monotonic)."""

    began: float = 0.0
    deltas: int = 0
    events: int = 0
    first_ms: list[float] = field(default_factory=list[float])
    latency_p50_ms: float = 0.0
    latency_p99_ms: float = 0.0
    bins: list[int] = field(default_factory=list[int])
    failures: list[str] = field(default_factory=list[str])

    def deltas_between(self, start: float, end: float) -> int:
        """How many deltas came in a span of the monotonic clock, to a tenth of a second."""
        first, last = (max(0, round((moment - self.began) / BIN)) for moment in (start, end))
        return sum(self.bins[first:last])


class Tally:
    """Counts of all streams together."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.latencies = array("d")
        self.first_ms: list[float] = []
        self.events = 0
        self.bins = array("q")

    def add(self, stamps: list[int], now: float) -> None:
        place = int((now - self.began) / BIN)
        while len(self.bins) <= place:
            self.bins.append(0)
        self.bins[place] += len(stamps)
        self.latencies.extend([now * 1000 - stamp / 1000 for stamp in stamps])

    def result(self, failures: list[str]) -> Result:
        return Result(
            began=self.began,
            deltas=len(self.latencies),
            events=self.events,
            first_ms=self.first_ms,
            latency_p50_ms=percentile(self.latencies, 50),
            latency_p99_ms=percentile(self.latencies, 99),
            bins=list(self.bins),
            failures=failures,
        )


class StreamReader(asyncio.Protocol):
    """One connection, on which streams follow one another."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._transport: asyncio.WriteTransport | None = None
        self._done: asyncio.Future[int] | None = None
        self._begin(None)

    def _begin(self, done: asyncio.Future[int] | None) -> None:
        self._done = done
        self._rest = b""
        self._answered = False
        self._deltas = 0
        self._sent_at = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def request(self, raw: bytes) -> asyncio.Future[int]:
        """Sends a request; the future is the number of deltas that came, or StreamFailed."""
        assert self._transport is not None
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._begin(done)
        self._transport.write(raw)
        return done

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self._answered:
            self._answered = True
            if not data.startswith(b"HTTP/1.1 200"):
                self._fail(data[:300].decode(errors="replace"))
                return
        data = CHUNK.sub(b"", self._rest + data)
        self._rest = data[self._read(data, now) :]
        if data.endswith(END) and self._done is not None and not self._done.done():
            self._done.set_result(self._deltas)

    def _read(self, data: bytes, now: float) -> int:
        """Where to go on reading when more has come: marks may be split between two reads."""
        stamps: list[int] = []
        end = 0
        for mark in MARK.finditer(data):
            end = mark.end()
            if mark[2] is None:
                self._tally.events += 1
            else:
                stamps.append(int(mark[2]))
        if stamps:
            if not self._deltas:
                self._tally.first_ms.append((now - self._sent_at) * 1000)
            self._deltas += len(stamps)
            self._tally.add(stamps, now)
        return max(end, len(data) - LONGEST_MARK, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc or 'closed'}")

    def _fail(self, reason: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(StreamFailed(reason))


def request_bytes(job: Job) -> bytes:
    """The whole HTTP request. Every server that is measured takes any key."""
    target = urlsplit(job.url)
    path = target.path + (f"?{target.query}" if target.query else "")
    body = job.body.encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {target.netloc}\r\ncontent-type: application/json\r\n"
        f"api-key: bench\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run_job(job: Job) -> Result:
    """Runs all streams, however many fail."""
    tally = Tally()
    failures: list[str] = []
    waiting = iter(range(job.streams))
    await asyncio.gather(
        *(_run_connection(job, number, waiting, tally, failures) for number in range(job.connections))
    )
    return tally.result(failures)


async def _run_connection(
    job: Job, number: int, waiting: Iterator[int], tally: Tally, failures: list[str]
) -> None:
    await asyncio.sleep(job.spread * number / job.connections)
    target = urlsplit(job.url)
    raw = request_bytes(job)
    reader: StreamReader | None = None
    for _ in waiting:
        try:
            async with asyncio.timeout(job.deadline):
                reader = reader or await _connect(target.hostname or "", target.port or 80, tally)
                deltas = await reader.request(raw)
            if deltas != job.deltas:
                failures.append(f"{deltas} deltas came, not {job.deltas}")
        except (StreamFailed, OSError) as error:  # TimeoutError is an OSError
            failures.append(str(error) or type(error).__name__)
            if reader is not None:
                reader.close()
            reader = None
    if reader is not None:
        reader.close()


async def _connect(host: str, port: int, tally: Tally) -> StreamReader:
    _, reader = await asyncio.get_running_loop().create_connection(lambda: StreamReader(tally), host, port)
    return reader


class Client:
    """A load client in its own process. `start`, look at the servers meanwhile, then `result`."""

    def __init__(self, job: Job) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.clients", json.dumps(asdict(job))],
            stdout=subprocess.PIPE,
            text=True,
        )

    def result(self) -> Result:
        """Waits for the end. Raises StreamFailed when any stream failed."""
        output, _ = self._process.communicate()
        if self._process.returncode:
            raise StreamFailed(f"the load client ended with {self._process.returncode}")
        result = Result(**json.loads(output))
        if result.failures:
            raise StreamFailed(f"{len(result.failures)} streams failed, the first: {result.failures[0]}")
        return result


def run(job: Job) -> Result:
    return Client(job).result()


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(run_job(Job(**json.loads(sys.argv[1])))))))
