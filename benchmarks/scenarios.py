"""What is measured, one function each: burst, first byte, paced streams, start-up and memory over many requests."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from subprocess import CalledProcessError
from urllib.parse import urljoin

import aiohttp

from benchmarks import clients
from benchmarks.clients import Client, Job
from benchmarks.measure import cpu_seconds, import_cpu_seconds, percentile, resident_kb
from benchmarks.servers import ROOT, Server, Skipped, app_environment

type Figures = dict[str, float]

WARM_UP_STREAMS = 5

SESSIONS = "/api/v1/chat/sessions"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    burst_streams: int = 60
    burst_deltas: int = 1000
    first_requests: int = 50
    first_delay_ms: int = 200
    streams: int = 300
    seconds: int = 30
    rate: int = 20
    spread: float = 10.0
    import_runs: int = 5


QUICK = Sizes(burst_streams=15, first_requests=15, streams=60, seconds=8, spread=3.0, import_runs=2)


def burst(server: Server, sizes: Sizes) -> Figures:
    """One stream after the other, each as fast as the model can: CPU of the server per upstream delta."""
    order = f"#chunks={sizes.burst_deltas} #first={sizes.first_delay_ms} #stamp"
    job = Job(server.url, server.body(order), sizes.burst_deltas, streams=WARM_UP_STREAMS)
    clients.run(job)
    before = cpu_seconds(server.pid)
    job = Job(server.url, server.body(order), sizes.burst_deltas, streams=sizes.burst_streams)
    result = clients.run(job)
    used = cpu_seconds(server.pid) - before
    return {"burst_us": used / result.deltas * 1e6, "burst_events": result.events / result.deltas}


def first_byte(server: Server, sizes: Sizes) -> Figures:
    """From the request to the first delta, on a warm connection."""
    order = f"#chunks=5 #first={sizes.first_delay_ms} #stamp"
    clients.run(Job(server.url, server.body(order), 5, streams=WARM_UP_STREAMS))
    times = clients.run(Job(server.url, server.body(order), 5, streams=sizes.first_requests)).first_ms
    return {"first_p50_ms": percentile(times, 50), "first_p99_ms": percentile(times, 99)}


def paced(server: Server, sizes: Sizes) -> Figures:
    """Many streams at once at a model's pace. `steady` is the time when all of them run."""
    deltas = sizes.rate * sizes.seconds
    order = f"#chunks={deltas} #first={sizes.first_delay_ms} #rate={sizes.rate} #stamp"
    warm_up = server.body(f"#chunks=20 #rate={sizes.rate} #stamp")
    clients.run(Job(server.url, warm_up, 20, streams=WARM_UP_STREAMS, connections=WARM_UP_STREAMS))
    memory, before, began = resident_kb(server.pid), cpu_seconds(server.pid), time.monotonic()
    job = Job(
        server.url,
        server.body(order),
        deltas,
        streams=sizes.streams,
        connections=sizes.streams,
        spread=sizes.spread,
        deadline=sizes.seconds * 2 + 30,
    )
    client = Client(job)
    _sleep_until(began + sizes.spread + 1.5)  # a second for the client's own start
    steady = (time.monotonic(), cpu_seconds(server.pid))
    _sleep_until(began + sizes.seconds - 0.5)
    now = (time.monotonic(), cpu_seconds(server.pid))
    held = resident_kb(server.pid) - memory
    result = client.result()
    used = cpu_seconds(server.pid) - before
    return {
        "paced_us": (now[1] - steady[1]) / max(1, result.deltas_between(steady[0], now[0])) * 1e6,
        "paced_all_us": used / result.deltas * 1e6,
        "latency_p50_ms": result.latency_p50_ms,
        "latency_p99_ms": result.latency_p99_ms,
        "stream_kb": held / sizes.streams,
        "paced_events": result.events / result.deltas,
    }


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


SCENARIOS = {"burst": burst, "first": first_byte, "paced": paced}


def start_up(sizes: Sizes) -> dict[str, float | str]:
    """CPU seconds of a fresh interpreter that imports nothing, the ordinary app, Parley; or why not."""
    found: dict[str, float | str] = {}
    for name, module in (
        ("bare interpreter", "sys"),
        ("ordinary app", "benchmarks.peers.fastapi_openai"),
        ("Parley", "function_app"),
    ):
        if module == "function_app" and not (ROOT / "function_app.py").exists():
            found[name] = "function_app.py is missing"
            continue
        try:
            found[name] = import_cpu_seconds(module, ROOT, app_environment(), sizes.import_runs)
        except CalledProcessError as error:
            found[name] = f"the import ended with status {error.returncode}"
    return found


def memory(server: Server, requests: int) -> list[tuple[int, int]]:
    """(requests so far, KiB) after each twentieth of many short turns.

    The sessions are deleted after each part: Azurite goes through all rows of a table for each one that it looks up,
    so that with a hundred thousand of them it is the store that is measured.
    """
    order = server.body("#chunks=3 #stamp")
    seen = [(0, resident_kb(server.pid))]
    batch = requests // 20
    for number in range(1, 21):
        clients.run(Job(server.url, order, 3, streams=batch, connections=16))
        if server.name != "ordinary app":
            asyncio.run(_delete_sessions(urljoin(server.url, SESSIONS)))
        seen.append((number * batch, resident_kb(server.pid)))
    return seen


async def _delete_sessions(url: str) -> None:
    """All of the caller's, a few at a time."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8)) as http:
        while True:
            async with http.get(url, params={"page_size": 200}) as reply:
                found = (await reply.json())["sessions"]
            if not found:
                return
            await asyncio.gather(*(_delete(http, f"{url}/{each['id']}") for each in found))


async def _delete(http: aiohttp.ClientSession, url: str) -> None:
    async with http.delete(url) as reply:
        await reply.read()


def growth(seen: list[tuple[int, int]]) -> float:
    """KiB a request over the later three quarters, when caches and pools are filled."""
    later = seen[len(seen) // 4 :]
    if len(later) < 2:
        raise Skipped("too few requests")
    return (later[-1][1] - later[0][1]) / (later[-1][0] - later[0][0])


def beyond_model(figures: Mapping[str, Figures], model: str) -> None:
    """Turns times to the first byte into what each server adds to the model's own median."""
    own = figures.get(model, {}).get("first_p50_ms")
    if own is None:
        return
    for row in figures.values():
        for name in ("first_p50_ms", "first_p99_ms"):
            if name in row:
                row[name] -= own
