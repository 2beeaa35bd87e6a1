"""What SIGTERM does to a process: its own end first, then that of whoever else waits for the signal."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from chat import process


class Ended:
    """The handler that was there before ours: it says when it was called."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def __call__(self, number: int, frame: object) -> None:
        self.event.set()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ended]:
    monkeypatch.setattr(process, "CLOSING", 0.05)
    handler = Ended()
    before = signal.signal(signal.SIGTERM, handler)
    yield handler
    signal.signal(signal.SIGTERM, before)


async def test_the_app_is_closed_before_the_handler_that_was_there_is_called(ended: Ended) -> None:
    closed: list[bool] = []

    async def close() -> None:
        closed.append(ended.event.is_set())

    process.close_on_sigterm(close)
    signal.raise_signal(signal.SIGTERM)
    await ended.event.wait()
    assert closed == [False]


async def test_an_app_that_hangs_while_it_closes_does_not_keep_its_process(ended: Ended) -> None:
    never = asyncio.Event()

    async def close() -> None:
        await never.wait()

    process.close_on_sigterm(close)
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        await ended.event.wait()
    never.set()


async def test_an_app_that_fails_to_close_does_not_keep_its_process(
    ended: Ended, caplog: pytest.LogCaptureFixture
) -> None:
    async def close() -> None:
        raise RuntimeError("broken")

    process.close_on_sigterm(close)
    signal.raise_signal(signal.SIGTERM)
    async with asyncio.timeout(5):
        await ended.event.wait()
    assert any("close_failed" in each.message for each in caplog.records)
