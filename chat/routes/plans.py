"""The trip planner over HTTP: whole in one reply, and run again from a stage."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import cast

from fastapi import Request, Response

from chat.app import TRIP, ChatApp
from chat.auth.base import Principal
from chat.errors import Conflict, ValidationError
from chat.events import JSON, JSONObject, StageFinished, TurnCancelled, TurnFailed
from chat.requests import TurnRequest
from chat.routes.replies import json_reply, problem, turn_problem
from chat.routes.requests import nonce_of, read_body
from chat.routes.schemas import RerunBody
from chat.routes.streams import find_dialect, start_and_stream
from chat.schemas.fields import check_size
from chat.schemas.plan_body import PlanBody
from chat.turns.feed import LiveTurn

WHOLE = 200.0  # seconds after which a plan is answered as far as it is: the platform's front end gives up after 230
STAGES = ("intents", "pois", "requirements", "plan")


async def plan_whole(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`POST /chat`: the whole result in one JSON reply; where it takes too long for that, 202 with what is there so
    far. The turn goes on, and the caller follows it by its id."""
    deadline = app.clock.monotonic() + WHOLE
    body = await read_body(request, PlanBody, limit=app.settings.max_body_bytes)
    check_size("message", body.message, limit=app.settings.max_message_bytes)
    live = await app.runner.start(
        TurnRequest(
            principal.user_id,
            content=body.message,
            session_id=body.session_id or "",
            dialect="plan",
            pipeline=TRIP,
            nonce=nonce_of(request),
            input={"given": cast("JSONObject", body.model_dump(include={"pois", "requirements", "plan"}))},
        )
    )
    return await _whole(app, principal, live, patience=max(deadline - app.clock.monotonic(), 0))


async def rerun(app: ChatApp, principal: Principal, request: Request, body: RerunBody) -> Response:
    """`POST /api/v1/chat/turns/{id}/rerun`: a new turn to the same question, with the results of the stages before
    `from_stage` taken over. Also the way on after a turn that was stopped or failed."""
    await app.turns.get_turn(principal.user_id, request.path_params["turn_id"], need="editor")
    turn = await app.runner.look(principal.user_id, request.path_params["turn_id"])
    if turn.request.pipeline != TRIP:
        raise ValidationError("turn_id", "Only a turn with stages can be run again from one of them")
    if turn.running:
        raise Conflict("The turn still runs: stop it first.")
    live = await app.runner.open(principal.user_id, turn.id)
    done: dict[str, JSON] = {}
    await _collect(app, principal, live, done)
    before = STAGES[: STAGES.index(body.from_stage)]
    if missing := [name for name in before if name not in done]:
        raise ValidationError("from_stage", f"The stage {missing[0]} has no result yet")
    taken: JSONObject = {**turn.request.input, "done": {name: done[name] for name in before}}
    return await start_and_stream(
        app,
        TurnRequest(
            principal.user_id,
            message_id=turn.user_message_id,
            session_id=turn.session_id,
            dialect=find_dialect(app, request.query_params.get("dialect"), "plan"),
            pipeline=TRIP,
            nonce=nonce_of(request),
            input=taken,
        ),
    )


async def _whole(app: ChatApp, principal: Principal, live: LiveTurn, *, patience: float) -> Response:
    results: dict[str, JSON] = {}
    try:
        async with asyncio.timeout(patience):
            await _collect(app, principal, live, results)
    except TimeoutError:
        return _shown(live, results, status=202)
    last = live.feed.events[-1].event
    if isinstance(last, TurnFailed):
        return turn_problem(last, live.turn)
    if isinstance(last, TurnCancelled):
        return problem(Conflict("The turn was stopped.", details={"turn_id": live.turn.id}))
    return _shown(live, results)


def _shown(live: LiveTurn, results: Mapping[str, JSON], *, status: int = 200) -> Response:
    found: JSONObject = {name: results.get(name, []) for name in STAGES}
    ids: JSONObject = {"session_id": live.turn.session_id, "turn_id": live.turn.id}
    return json_reply({**found, **ids}, status=status)


async def _collect(app: ChatApp, principal: Principal, live: LiveTurn, results: dict[str, JSON]) -> None:
    """Add the results of the stages as they are finished, until the turn is over."""
    async with aclosing(app.readers.follow(live, principal.user_id)) as batches:
        async for batch in batches:
            for _, event in batch:
                if isinstance(event, StageFinished) and event.result is not None:
                    results[event.stage] = event.result
