"""Memory stays flat over many requests, and the worker keeps none of them (`make bench` has the longer run)."""

import asyncio
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from benchmarks.measure import resident_kb
from tests.support.clients import ChatClient, connected, eventually
from tests.support.processes import ROOT
from tests.support.stack import Stack

pytestmark = pytest.mark.slow

ROUND = 4  # requests
WARM_UP, ROUNDS, AT_ONCE = 250, 400, 8  # pools and caches grow over the first 1,000 requests
PER_REQUEST_KB = 0.7  # the worker alone used to keep 2.2 KB of each

PROBED_APP = f"""
import importlib.util, sys
from azurefunctions.extensions.http.fastapi import Request, Response
from azure_functions_runtime.http_v2 import http_coordinator

spec = importlib.util.spec_from_file_location("parley", {str(ROOT / "function_app.py")!r})
parley = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parley)
app = parley.app


@app.route(route="probe", methods=["GET"])
async def probe(req: Request) -> Response:
    return Response(str(len(http_coordinator._context_references)), media_type="application/json")
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Stack]:
    """Parley with one route more, which counts the requests that the worker refers to."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # what measures coverage needs memory too
    (tmp_path / "function_app.py").write_text(PROBED_APP)
    shutil.copy(ROOT / "host.json", tmp_path)
    with Stack.start(app=tmp_path) as running:
        yield running


async def one_round(client: ChatClient) -> None:
    """A turn, two reads and a problem."""
    heard = await client.hear("#chunks=3")
    await client.messages(heard.session_id)
    await client.turn(heard.turn_id)
    assert (await client.call("GET", "/api/v1/chat/sessions/nothing")).status == 404


async def rounds(client: ChatClient, count: int) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await one_round(client)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def test_memory_is_flat_over_2000_requests_and_none_is_kept(stack: Stack) -> None:
    async with connected(stack.url) as client, asyncio.timeout(90):
        await rounds(client, WARM_UP)
        before = resident_kb(stack.pids[0])
        await rounds(client, ROUNDS)
        grown = resident_kb(stack.pids[0]) - before

        async def forgotten() -> bool:
            return (await client.call("GET", "/probe")).body == 1  # the probe itself

        await eventually(forgotten, seconds=3, what="end of every reference")
    assert grown / (ROUNDS * ROUND) < PER_REQUEST_KB
