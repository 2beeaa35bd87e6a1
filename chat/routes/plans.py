"""The trip planner over HTTP, run again from a stage."""

from contextlib import aclosing

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.errors import Conflict, ValidationError
from chat.events import JSON, JSONObject, StageFinished
from chat.requests import TRIP, TRIP_STAGES, TurnRequest
from chat.routes.requests import nonce_of
from chat.routes.schemas import RerunBody
from chat.routes.streams import find_dialect, start_and_stream
from chat.turns.feed import LiveTurn


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
    before = TRIP_STAGES[: TRIP_STAGES.index(body.from_stage)]
    if missing := [name for name in before if name not in done]:
        raise ValidationError("from_stage", f"The stage {missing[0]} has no result yet")
    taken: JSONObject = {**turn.request.input, "done": {name: done[name] for name in before}}
    return await start_and_stream(
        app,
        principal,
        TurnRequest(
            principal.user_id,
            message_id=turn.user_message_id,
            session_id=turn.session_id,
            dialect=find_dialect(app, request.query_params.get("dialect"), pipeline=TRIP),
            pipeline=TRIP,
            nonce=nonce_of(request),
            input=taken,
        ),
    )


async def _collect(app: ChatApp, principal: Principal, live: LiveTurn, results: dict[str, JSON]) -> None:
    """Add the results of the stages as they are finished, until the turn is over."""
    async with aclosing(app.readers.follow(live, principal)) as batches:
        async for batch in batches:
            for _, event in batch:
                if isinstance(event, StageFinished) and event.result is not None:
                    results[event.stage] = event.result
