"""A plan in one reply, where it takes longer than a reply may: over a store in memory, in virtual time."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.errors import ProviderUnavailable, ValidationError
from chat.events import JSONObject, StageFinished, StageStarted, TurnEvent
from chat.requests import TRIP
from chat.routes import doors, turns
from chat.routes.schemas import TurnBody
from chat.schemas.fields import validate
from chat.store.conversation_store import SessionDraft
from chat.turns.base import TurnContext
from tests.support.apps import make_app
from tests.support.virtual_time import VirtualClock, virtual

STAGES = ("intents", "pois", "requirements", "plan")


class SlowPlanner:
    """Each stage takes so many seconds, and one may break."""

    def __init__(self, pause: float, breaks: str = "") -> None:
        self._pause, self._breaks = pause, breaks
        self.begun = list[JSONObject]()  # what each turn began with

    async def events(self, context: TurnContext) -> AsyncGenerator[TurnEvent]:
        self.begun.append(context.request.input)
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


SESSION = "0" * 25 + "A"
STATE: dict[str, Any] = {"pois": [{"id": 7, "mine": True}], "requirements": [], "plan": [{"title": "T"}]}
GIVEN: list[tuple[dict[str, Any], JSONObject]] = [
    ({"state": STATE}, {"given": STATE}),
    ({"state": {"pois": None}}, {"given": {"pois": [], "requirements": [], "plan": []}}),
    ({"state": None}, {}),
    ({}, {}),
]


async def started(planner: SlowPlanner, body: dict[str, Any]) -> None:
    app = app_with(planner)
    await app.conversations.create_session("ann", SessionDraft(SESSION))
    request = Request(
        {
            "type": "http",
            "headers": [],
            "query_string": b"",
            "path_params": {"session_id": SESSION},
        }
    )
    try:
        await turns.start_turn(app, Principal("ann"), request, validate(TurnBody, {"content": "Hi", **body}))
    finally:
        await app.close()


@pytest.mark.parametrize(("more", "begun"), GIVEN)
@virtual
async def test_the_route_of_turns_takes_the_state_of_a_trip(more: dict[str, Any], begun: JSONObject) -> None:
    planner = SlowPlanner(0.1)
    await started(planner, {"pipeline": TRIP, **more})
    assert planner.begun == [begun]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"state": STATE}, "state"),
        ({"state": STATE, "pipeline": ""}, "state"),
        ({"state": [], "pipeline": TRIP}, "state"),
        ({"state": {"pois": [{"name": 5}]}, "pipeline": TRIP}, "state.pois.0.name"),
        ({"state": {"plan": [{}] * 201}, "pipeline": TRIP}, "state.plan"),
    ],
)
@virtual
async def test_a_state_that_no_trip_can_have_is_refused(body: dict[str, Any], field: str) -> None:
    planner = SlowPlanner(0.1)
    with pytest.raises(ValidationError) as refused:
        await started(planner, body)
    assert (refused.value.field, planner.begun) == (field, [])
