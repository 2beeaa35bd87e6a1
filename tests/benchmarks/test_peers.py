"""The peers run, and are measured by the same scenarios as Parley."""

import sys
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from benchmarks.scenarios import SCENARIOS, Sizes
from benchmarks.servers import PEERS, Server, Skipped, lines_until_ready, process, start_model

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


def test_lines_that_come_at_once_are_all_read() -> None:
    with process(
        [sys.executable, "-c", "print('a http://x  pid 1', 'b', 'ready http://x', sep='\\n')"]
    ) as child:
        assert lines_until_ready(child, "it") == ["a http://x  pid 1", "b", "ready http://x"]


def test_a_program_that_ends_before_it_is_ready_is_skipped() -> None:
    with process([sys.executable, "-c", "print('a')"]) as child, pytest.raises(Skipped, match="it ended"):
        lines_until_ready(child, "it")
