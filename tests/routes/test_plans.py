"""A plan in one reply, where it takes longer than a reply may: over a store in memory, in virtual time."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.errors import ProviderUnavailable
from chat.events import StageFinished, StageStarted, TurnEvent
from chat.requests import TRIP
from chat.routes import doors
from chat.turns.base import TurnContext
from tests.support.apps import make_app
from tests.support.virtual_time import VirtualClock, virtual

STAGES = ("intents", "pois", "requirements", "plan")


class SlowPlanner:
    """Each stage takes so many seconds, and one may break."""

    def __init__(self, pause: float, breaks: str = "") -> None:
        self._pause, self._breaks = pause, breaks

    async def events(self, context: TurnContext) -> AsyncGenerator[TurnEvent]:
        for stage in STAGES:
            yield StageStarted(stage)
            await asyncio.sleep(self._pause)
            if stage == self._breaks:
                raise ProviderUnavailable
            yield StageFinished(stage, [{"of": stage}])


def app_with(planner: SlowPlanner) -> ChatApp:
    return make_app(sources={TRIP: planner}, clock=VirtualClock(), turn_limit=3000.0).app


async def plan(app: ChatApp) -> tuple[Response, Any]:
    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"message":"plan it"}', "more_body": False}

    request = Request({"type": "http", "method": "POST", "path": "/chat", "headers": []}, receive)
    reply = await doors.enter(app, Principal("ann"), request, dialect="plan")
    return reply, json.loads(bytes(reply.body))


@pytest.mark.parametrize(
    ("pause", "status", "done", "seconds"), [(49, 200, 4, 196), (60, 202, 3, 200), (201, 202, 0, 200)]
)
@virtual
async def test_a_plan_that_takes_long_is_answered_as_far_as_it_is(
    pause: float, status: int, done: int, seconds: float
) -> None:
    app = app_with(SlowPlanner(pause))
    reply, body = await plan(app)
    assert (reply.status_code, app.clock.monotonic() - 1000) == (status, pytest.approx(seconds, abs=1))
    assert list(body) == [*STAGES, "session_id", "turn_id"]
    assert [body[stage] for stage in STAGES] == [[{"of": stage}] for stage in STAGES[:done]] + [[]] * (
        4 - done
    )
    live = await app.runner.open("ann", body["turn_id"])
    async for _ in live.feed.follow():  # the turn goes on, and is whole for who follows it
        pass
    found = [each.event for each in live.feed.events if isinstance(each.event, StageFinished)]
    assert [each.stage for each in found] == list(STAGES)
    await app.close()


@virtual
async def test_a_plan_that_breaks_before_that_is_a_problem() -> None:
    app = app_with(SlowPlanner(60, breaks="requirements"))
    reply, body = await plan(app)
    assert (reply.status_code, body["error_code"]) == (503, "MODEL_UNAVAILABLE")
    await app.close()
