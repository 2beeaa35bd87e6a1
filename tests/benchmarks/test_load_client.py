"""The load client counts what it should, however it comes, and says so when a stream was not right."""

import json
import time
from collections.abc import AsyncGenerator

import pytest

from benchmarks.clients import Job, StreamReader, Tally, run_job
from local.model_server import serve

FRAMES = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b'2f\r\ndata: {"type":"text.delta","delta":"1000001 "}\n\n\r\n'
    b'37\r\nid: 12345678\ndata: {"type":"text.delta","delta":"1000002 1000003 "}\n\n\r\n'
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


def body(text: str) -> str:
    return json.dumps({"stream": True, "messages": [{"role": "user", "content": text}]})


@pytest.fixture
async def url() -> AsyncGenerator[str]:
    async with serve() as address:
        yield f"{address}/openai/v1/chat/completions"


@pytest.mark.parametrize("split", range(1, len(FRAMES)))
def test_merged_deltas_are_counted_wherever_a_read_ends(split: int) -> None:
    tally = Tally()
    reader = StreamReader(tally)
    reader.data_received(FRAMES[:split])
    reader.data_received(FRAMES[split:])
    assert (tally.result([]).deltas, tally.events) == (3, 2)


def test_bytes_may_come_one_by_one() -> None:
    tally = Tally()
    reader = StreamReader(tally)
    # The status line must come whole: it always does, in the first segment.
    reader.data_received(FRAMES[:20])
    for place in range(20, len(FRAMES)):
        reader.data_received(FRAMES[place : place + 1])
    assert (tally.result([]).deltas, tally.events) == (3, 2)


SPLIT_MARKS = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    b'26\r\ndata: {"type":"text.delta","delta":"10000\r\n'
    b'12\r\n01 1000002 1000003\r\n2\r\n "\r\n0\r\n\r\n'
)


@pytest.mark.parametrize("split", range(20, len(SPLIT_MARKS)))
def test_a_mark_that_a_proxy_cut_in_two_is_counted(split: int) -> None:
    tally = Tally()
    reader = StreamReader(tally)
    reader.data_received(SPLIT_MARKS[:split])
    reader.data_received(SPLIT_MARKS[split:])
    assert (tally.result([]).deltas, tally.events) == (3, 1)


async def test_streams_follow_one_another_on_their_connections(url: str) -> None:
    job = Job(url, body("#chunks=50 #stamp"), 50, streams=7, connections=3)
    result = await run_job(job)
    assert (result.failures, result.deltas, len(result.first_ms)) == ([], 350, 7)
    # The filter's verdict, the role, the end: three frames more for each stream.
    assert result.events == 350 + 7 * 3
    assert 0 < result.latency_p50_ms <= result.latency_p99_ms < 1000


async def test_the_first_delta_is_timed_from_the_request(url: str) -> None:
    result = await run_job(Job(url, body("#chunks=1 #first=100 #stamp"), 1))
    assert 100 <= result.first_ms[0] < 1000


async def test_deltas_are_counted_by_the_time_at_which_they_came(url: str) -> None:
    began = time.monotonic()
    result = await run_job(Job(url, body("#chunks=30 #rate=50 #stamp"), 30))
    assert result.deltas_between(began, began + 60) == 30
    assert 5 < result.deltas_between(result.began, result.began + 0.3) < 30


@pytest.mark.parametrize(
    ("order", "failure"),
    [
        ("#status=503", "HTTP/1.1 503"),
        ("#chunks=4 #stamp", "4 deltas came, not 9"),
        ("#chunks=9 #stamp #cut=3", "the connection was lost"),
        ("#chunks=9 #stamp #stall=3", "TimeoutError"),
    ],
)
async def test_a_stream_that_is_not_right_is_a_failure(url: str, order: str, failure: str) -> None:
    result = await run_job(Job(url, body(order), 9, streams=2, deadline=1.0))
    assert len(result.failures) == 2
    assert failure in result.failures[0]
