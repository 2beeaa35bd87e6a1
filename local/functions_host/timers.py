"""Timer triggers: six-field NCRONTAB schedules in UTC, no run overlapping another of the same function.

There is no lock across hosts and no monitor blob: with several hosts each of them fires.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from local.functions_host import protos
from local.functions_host.functions import Function
from local.functions_host.worker import Worker, WorkerError

NEVER = "0001-01-01T00:00:00+00:00"
log = logging.getLogger("local.functions_host")


def next_run(schedule: str, after: datetime) -> datetime:
    """The first moment of the schedule after `after`. CronSimError when it cannot be read."""
    return next(CronSim(schedule, after))


class Timer:
    """One timer function and when it ran last."""

    def __init__(self, worker: Worker, function: Function, now: Callable[[], datetime]) -> None:
        self._worker, self._function, self._now = worker, function, now
        self._schedule = str(function.trigger["schedule"])
        self._last: datetime | None = None
        self._due = self._next(self._now())
        self._one_at_a_time = asyncio.Lock()

    def _next(self, after: datetime) -> datetime:
        try:
            return next_run(self._schedule, after)
        except CronSimError as error:
            raise WorkerError(f"{self._function.name}: bad schedule {self._schedule!r}: {error}") from error

    async def fire(self) -> None:
        """Run the function once, now, or when its current run has ended."""
        async with self._one_at_a_time:
            ran = self._now()
            await self._worker.invoke(self._function, protos.TypedData(json=json.dumps(self._payload())))
            self._last = ran

    def _payload(self) -> dict[str, object]:
        last = self._last.isoformat() if self._last else NEVER
        status = {"Last": last, "Next": self._due.isoformat(), "LastUpdated": last}
        return {"IsPastDue": False, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": status}

    async def run(self) -> None:
        """Fire whenever it is due, until cancelled. Moments that pass during a run are skipped."""
        if self._function.trigger.get("runOnStartup"):
            await self.fire()
        while True:
            await asyncio.sleep((self._due - self._now()).total_seconds())
            await self.fire()
            # A sleep may end a little early; the moment it was for must not come again.
            self._due = self._next(max(self._now(), self._due))


def _utc_now() -> datetime:
    return datetime.now(UTC)


def make_timers(worker: Worker, now: Callable[[], datetime] = _utc_now) -> dict[str, Timer]:
    """The timers of the app by function name. WorkerError when a schedule cannot be read."""
    return {
        each.name: Timer(worker, each, now)
        for each in worker.functions
        if each.is_timer and not each.disabled
    }


@contextlib.asynccontextmanager
async def running(timers: dict[str, Timer]) -> AsyncGenerator[None]:
    """Runs the timers for as long as the context lasts. A run that has begun is not cut short."""
    tasks = [asyncio.create_task(timer.run(), name=f"timer {name}") for name, timer in timers.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
