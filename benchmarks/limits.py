"""What limits cost to the first byte: the same requests at two stacks, with all limits on and without, in turns.

Beside them stands a round trip to the table: a guarded batch of two rows, as a request writes it.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from benchmarks import clients
from benchmarks.clients import Job
from benchmarks.measure import percentile
from benchmarks.report import Metric, shown, table, verdict
from benchmarks.scenarios import WARM_UP_STREAMS, Figures, Sizes
from benchmarks.servers import WORKER, Server, Skipped, parley_servers, start_parley
from chat.clock import SystemClock
from chat.store.limit_store import Spent
from chat.store.tables.table_service import TableService
from chat.store.tables.table_storage import TableStorage
from local.azurite import ACCOUNT, KEY

ROUNDS = 5  # so that what else goes on meets both alike
LIMITS = {
    "CHAT_LIMIT_REQUESTS": "1000000/60",
    "CHAT_BUDGET_TOKENS_PER_USER": "1000000000",
    "CHAT_BUDGET_TOKENS": "1000000000",
}
ROWS = (
    Metric("limits_off_ms", "first byte, no limits: p50 ms", 2),
    Metric("limits_on_ms", "first byte, all limits on: p50 ms", 2),
    Metric("round_trip_ms", "one batch to the table: p50 ms", 2),
)
COST = Metric(
    "limits_cost_ms", "limits: ms to the first byte beyond one round trip, p50", 2, limit=1.0, goal=0.5
)


def limits(sizes: Sizes) -> Figures:
    """Skipped where Parley cannot run."""
    with ExitStack() as stack:
        off, on = (start_parley(stack, environment) for environment in ({}, LIMITS))
        plain, limited = _worker(off), _worker(on)
        times: Mapping[str, list[float]] = {plain.url: [], limited.url: []}
        for server in (plain, limited):
            _first_bytes(server, sizes, WARM_UP_STREAMS)
        for _ in range(ROUNDS):
            for server in (plain, limited):
                times[server.url] += _first_bytes(server, sizes, sizes.first_requests // ROUNDS)
        apart = sizes.first_delay_ms / 1000
        trips = asyncio.run(_round_trips(on["table"][0], sizes.first_requests, apart=apart))
    found = [percentile(each, 50) for each in (times[plain.url], times[limited.url], trips)]
    cost = found[1] - found[0] - found[2]
    return dict(zip((*(row.key for row in ROWS), COST.key), (*found, cost), strict=True))


def limits_table(figures: Figures) -> str:
    if not figures:
        return ""
    return table(
        ["limits", "measured"], [[row.title, shown(figures.get(row.key), row.digits)] for row in ROWS]
    )


def limits_goals(figures: Figures) -> list[list[str]]:
    return [verdict(COST, figures[COST.key])] if figures else []


def _worker(rows: Mapping[str, tuple[str, int]]) -> Server:
    found = {server.name: server for server in parley_servers(rows, {})}
    if WORKER not in found:
        raise Skipped("the local stack names no worker")
    return found[WORKER]


def _first_bytes(server: Server, sizes: Sizes, requests: int) -> list[float]:
    order = f"#chunks=5 #first={sizes.first_delay_ms} #stamp"
    return list(clients.run(Job(server.url, server.body(order), 5, streams=requests)).first_ms)


async def _round_trips(url: str, count: int, *, apart: float) -> list[float]:
    """Milliseconds of each batch, as the app sends it: as seldom, too, since those that follow at once are quicker."""
    account = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};TableEndpoint={url};"
    storage = TableStorage(TableService({"": account}, "bench"), SystemClock())
    times: list[float] = []
    try:
        known = await storage.limits.load_account("bench")
        for number in range(count + WARM_UP_STREAMS):
            await asyncio.sleep(apart)
            after = replace(known, left=1.0, at=1.0, spent={"20261120": Spent(number)})
            began = time.perf_counter()
            known = await storage.limits.save_account(known, after, str(number))
            times.append((time.perf_counter() - began) * 1000)
        return times[WARM_UP_STREAMS:]
    finally:
        await storage.aclose()
