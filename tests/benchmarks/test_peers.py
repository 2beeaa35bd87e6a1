"""The peers run, and are measured by the same scenarios as Parley."""

from collections.abc import Generator
from contextlib import ExitStack

import pytest

from benchmarks.scenarios import SCENARIOS, Sizes
from benchmarks.servers import PEERS, Server, Skipped, start_model

SMALL = Sizes(
    burst_streams=2, burst_deltas=50, first_requests=2, first_delay_ms=20, streams=3, seconds=1, spread=0.1
)


@pytest.fixture(scope="module")
def field() -> Generator[tuple[ExitStack, Server]]:
    with ExitStack() as stack:
        yield stack, start_model(stack)


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_carries_every_stream(field: tuple[ExitStack, Server], peer: str) -> None:
    try:
        server = PEERS[peer](*field)
    except Skipped as reason:
        pytest.skip(str(reason))
    figures: dict[str, float] = {}
    for scenario in SCENARIOS.values():
        figures |= scenario(server, SMALL)
    assert figures["first_p50_ms"] >= SMALL.first_delay_ms
    assert 0.9 < figures["burst_events"] < 1.2
    assert 0 < figures["latency_p50_ms"] <= figures["latency_p99_ms"]
