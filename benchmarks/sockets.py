"""Sockets: from one to another through the stand-in, and a crowd of them at the whole stack.

The client is this process; the service, the app and the model are processes of their own.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt

from benchmarks.lateness import Frame, asked_nothing, shares, ways
from benchmarks.measure import cpu_seconds, percentile, resident_kb
from benchmarks.report import Metric, shown, table, verdict
from benchmarks.scenarios import Figures
from benchmarks.servers import lines_until_ready, process, program

PROTOCOL = "json.webpubsub.azure.v1"
KEY = "benchmark-benchmark-benchmark-key"

METRICS = (
    Metric("relay_p50_ms", "200 sockets, one to another: p50 ms", 2, limit=5),
    Metric("relay_p99_ms", "200 sockets, one to another: p99 ms", 2, limit=50),
    Metric("lost", "1,000 idle and 100 active: answers with a hole", 0, limit=0),
    Metric("first_p50_ms", "the same: message to first word, p50 ms"),
    Metric("first_p99_ms", "the same: message to first word, p99 ms"),
    Metric("asked_p50_ms", "of that until the model wrote it, p50 ms"),
    Metric("asked_p99_ms", "of that until the model wrote it, p99 ms"),
    Metric("late_p50_ms", "the same: model's write to the socket, p50 ms"),
    Metric("late_p99_ms", "the same: model's write to the socket, p99 ms", limit=100),
    Metric("window_p50_ms", "of that the window after the frame before, p50 ms"),
    Metric("window_p99_ms", "of that the window after the frame before, p99 ms"),
    Metric("app_p50_ms", "of that the app, p50 ms", 2),
    Metric("app_p99_ms", "of that the app, p99 ms"),
    Metric("service_p50_ms", "of that the stand-in and the client, p50 ms", 2),
    Metric("service_p99_ms", "of that the stand-in and the client, p99 ms"),
    Metric("nothing_p50_ms", "the same: a request that does nothing, p50 ms", 2),
    Metric("nothing_p99_ms", "the same: a request that does nothing, p99 ms"),
    Metric("sends", "the same: most sends a second to a group", 0, limit=25),
    Metric("frames_a_second", "the same: frames a second, all sockets", 0),
    Metric("app_kb", "an idle socket in the app: KB", 2),
    Metric("service_kb", "an idle socket in the stand-in: KB"),
    Metric("app_cpu", "1,000 idle: CPU of the app, % of a core", 2),
    Metric("active_app_cpu", "100 active: CPU of the app, % of a core"),
    Metric("active_service_cpu", "100 active: CPU of the stand-in, % of a core"),
)


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many sockets, and how much the active ones are told."""

    relays: int = 200
    relay_seconds: float = 10.0
    idle: int = 1000
    active: int = 100
    deltas: int = 300
    rate: int = 20


SMALL = Crowd(relays=50, relay_seconds=3, idle=100, active=10, deltas=60)


def sockets(crowd: Crowd) -> Figures:
    """All of it."""
    return asyncio.run(_relay(crowd)) | asyncio.run(_crowd(crowd))


def socket_table(figures: Figures) -> str:
    rows = [[each.title, shown(figures.get(each.key), each.digits)] for each in METRICS]
    return table(["sockets", "measured"], rows) if figures else ""


def socket_goals(figures: Figures, slower: float) -> list[list[str]]:
    limited = [each for each in METRICS if each.limit is not None and figures]
    return [verdict(each, figures.get(each.key), slower=slower) for each in limited]


async def _relay(crowd: Crowd) -> Figures:
    """Every socket sends to the next one, ten times a second all together for each twenty of them."""
    with ExitStack() as stack:
        child = stack.enter_context(process(program("local.pubsub_service", "--port", "0", "--key", KEY)))
        url = lines_until_ready(child, "the stand-in")[-1].split()[1]
        took: list[float] = []
        async with _session() as http, AsyncExitStack() as opened:
            found = [
                await opened.enter_async_context(_join(http, url, number)) for number in range(crowd.relays)
            ]
            readers = [asyncio.create_task(_clock(each, took)) for each in found]
            until = time.monotonic() + crowd.relay_seconds
            sent = 0
            while time.monotonic() < until:
                for number, each in enumerate(found):
                    target = (number + 1) % crowd.relays
                    await each.send_str(_to_group(f"g{target}", time.monotonic()))
                    sent += 1
                    await asyncio.sleep(2 / crowd.relays)
            await asyncio.sleep(0.5)
            for reader in readers:
                reader.cancel()
        if len(took) != sent:
            print(f"  {sent - len(took)} of {sent} relayed messages are missing", file=sys.stderr)
        return {"relay_p50_ms": percentile(took, 50) * 1000, "relay_p99_ms": percentile(took, 99) * 1000}


def _join(http: aiohttp.ClientSession, url: str, number: int) -> Any:
    claims = {
        "aud": f"{url}/client/hubs/bench",
        "exp": int(time.time()) + 600,
        "sub": f"u{number}",
        "role": ["webpubsub.sendToGroup"],
        "webpubsub.group": [f"g{number}"],
    }
    token = jwt.encode(claims, KEY, "HS256")
    return http.ws_connect(f"{url}/client/hubs/bench?access_token={token}", protocols=[PROTOCOL])


def _to_group(group: str, at: float) -> str:
    return json.dumps({"type": "sendToGroup", "group": group, "dataType": "text", "data": str(at)})


async def _clock(socket: aiohttp.ClientWebSocketResponse, took: list[float]) -> None:
    async for message in socket:
        frame = json.loads(message.data)
        if frame["type"] == "message":
            took.append(time.monotonic() - float(frame["data"]))


@dataclass(slots=True)
class _Active:
    """A socket whose session is asked something."""

    socket: aiohttp.ClientWebSocketResponse
    asked: float = 0.0
    first: float = 0.0
    written: float = 0.0  # when the model wrote its first word
    frames: int = 0
    shown: list[Frame] = field(default_factory=list[Frame])
    said: list[str] = field(default_factory=list[str])

    async def listen(self) -> None:
        async for message in self.socket:
            frame = json.loads(message.data)
            self.frames += 1
            if "turn_id" not in frame:
                continue
            now, text = time.monotonic(), str(frame["payload"].get("text", ""))
            group = f"s.{frame['turn_id'].rpartition('-')[0]}.chat"
            stamps = tuple(int(each) / 1e6 for each in text.split() if len(each) > 8)
            self.shown.append(Frame(group, now, stamps))
            self.said.append(text)
            if stamps and not self.first:
                self.first, self.written = now, stamps[0]
            if frame["payload"].get("done"):
                return

    @property
    def late(self) -> list[float]:
        return [each.at - written for each in self.shown for written in each.written]

    def whole(self, deltas: int) -> bool:
        """Whether every delta of the model came, and in order."""
        stamps = [int(each) for each in "".join(self.said).split()]
        return len(stamps) == deltas and stamps == sorted(stamps)


async def _crowd(crowd: Crowd) -> Figures:
    """Idle sockets in sessions where nothing happens, ten in each; active ones in a session each."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-sockets-"))
        child = stack.enter_context(process(program("local", "--port", "0", "--data", folder), logs=False))
        rows = [line.split() for line in lines_until_ready(child, "the local stack")]
        pids = {row[0]: int(row[3]) for row in rows if len(row) > 3 and row[0] in ("functions", "sockets")}
        app = next(row[1] for row in rows if row[0] == "functions")
        service = next(row[1] for row in rows if row[0] == "sockets")
        async with _session() as http, AsyncExitStack() as opened:
            actives = [
                _Active(await opened.enter_async_context(http.ws_connect(await _url(http, app))))
                for _ in range(crowd.active)
            ]
            # Who does not read answers no ping either, and is cut off.
            listening = [asyncio.create_task(each.listen()) for each in actives]
            empty = {name: resident_kb(pid) for name, pid in pids.items()}
            await _open_idle(http, app, crowd.idle, opened)
            full = {name: resident_kb(pid) for name, pid in pids.items()}
            resting = await _cpu(pids, 5.0)
            before, began = _used(pids), time.monotonic()
            async with asked_nothing(http, app) as nothing, asyncio.timeout(120):
                await asyncio.gather(*(_ask(each, crowd, number) for number, each in enumerate(actives)))
                await asyncio.gather(*listening)
            seconds = time.monotonic() - began
            used = {name: (_used(pids)[name] - before[name]) / seconds for name in pids}
            sends = await (await http.get(f"{service}/_pubsub/sends")).json()
        late = [each for active in actives for each in active.late]
        firsts = [(each.first - each.asked) * 1000 for each in actives]
        waited = [(each.written - each.asked) * 1000 for each in actives]
        return shares([*ways((each for active in actives for each in active.shown), sends)]) | {
            "lost": sum(not each.whole(crowd.deltas) for each in actives),
            "first_p50_ms": percentile(firsts, 50),
            "first_p99_ms": percentile(firsts, 99),
            "asked_p50_ms": percentile(waited, 50),
            "asked_p99_ms": percentile(waited, 99),
            "late_p50_ms": percentile(late, 50) * 1000,
            "late_p99_ms": percentile(late, 99) * 1000,
            "nothing_p50_ms": percentile(nothing, 50) * 1000,
            "nothing_p99_ms": percentile(nothing, 99) * 1000,
            "sends": busiest(sends),
            "frames_a_second": sum(each.frames for each in actives) / seconds,
            "app_kb": (full["functions"] - empty["functions"]) / crowd.idle,
            "service_kb": (full["sockets"] - empty["sockets"]) / crowd.idle,
            "app_cpu": resting["functions"] * 100,
            "active_app_cpu": used["functions"] * 100,
            "active_service_cpu": used["sockets"] * 100,
        }


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(180))


async def _url(http: aiohttp.ClientSession, app: str, session_id: str = "") -> str:
    async with http.get(f"{app}/ws?session_id={session_id}" if session_id else f"{app}/ws") as reply:
        return (await reply.json())["url"]


async def _open_idle(http: aiohttp.ClientSession, app: str, count: int, opened: AsyncExitStack) -> None:
    """Ten to a session, a few at a time."""
    gate = asyncio.Semaphore(10)

    async def open_one(session_id: str) -> None:
        async with gate:
            socket = await opened.enter_async_context(http.ws_connect(await _url(http, app, session_id)))
            reader = asyncio.create_task(_listen_to(socket))
            opened.callback(reader.cancel)

    sessions: list[str] = []
    for _ in range(-(-count // 10)):
        async with http.get(f"{app}/ws") as reply:
            sessions.append((await reply.json())["session_id"])
    await asyncio.gather(*(open_one(sessions[number // 10]) for number in range(count)))


async def _listen_to(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def _ask(active: _Active, crowd: Crowd, number: int) -> None:
    """The sessions begin over two seconds."""
    await asyncio.sleep(2 * number / crowd.active)
    active.asked = time.monotonic()
    text = f"#stamp #chunks={crowd.deltas} #rate={crowd.rate}"
    await active.socket.send_str(json.dumps({"type": "chat", "payload": {"text": text}}))


def _used(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


async def _cpu(pids: Mapping[str, int], seconds: float) -> dict[str, float]:
    """Cores in use over some seconds."""
    before = _used(pids)
    await asyncio.sleep(seconds)
    after = _used(pids)
    return {name: (after[name] - before[name]) / seconds for name in pids}


def busiest(sends: Sequence[Mapping[str, Any]]) -> float:
    """The most sends to one group within one second."""
    groups: dict[str, list[float]] = {}
    for each in sends:
        if each["target"] == "group":
            groups.setdefault(each["name"], []).append(each["at"])
    most = 0
    for times in groups.values():
        start = 0
        for end, at in enumerate(times):
            while times[start] <= at - 1:
                start += 1
            most = max(most, end - start + 1)
    return float(most)
