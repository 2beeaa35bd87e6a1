"""Responses that were made before, by their ids: looked at, followed, stopped, deleted."""

from dataclasses import replace
from functools import partial

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.conversation import MemberRole, Turn
from chat.dialects.responses import BARE, RESPONSES
from chat.dialects.responses.past_response import events_of, input_items
from chat.dialects.responses.response_object import DELETED, asked_of, is_stored, response_id, turn_id_of
from chat.dialects.responses.resumed_response import ResumedEncoder
from chat.dialects.responses.whole_response import show_response
from chat.errors import TurnInProgress, TurnNotFound
from chat.events import JSONObject
from chat.messages import split_message_id
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.response_queries import ItemsQuery, ResponseQuery
from chat.routes.streams import stream_turn


async def get_response(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/openai/v1/responses/{id}`: as it is by now; with `stream` its events, those that were and those that
    come."""
    query = read_query(request, ResponseQuery)
    turn = await _found(app, principal, request)
    if not query.stream:
        return json_reply(await _shown(app, principal, turn.id))
    live = await app.runner.open(principal.user_id, turn.id)
    rest = partial(ResumedEncoder, after=-1 if query.starting_after is None else query.starting_after)
    return stream_turn(app, principal, live, replace(RESPONSES, encoder=rest), framing=BARE)


async def cancel_response(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`POST /api/openai/v1/responses/{id}/cancel`. One that has ended stays as it is."""
    turn = await _found(app, principal, request, need="editor")
    await app.runner.cancel(principal.user_id, turn.id)
    return json_reply(await _shown(app, principal, turn.id))


async def delete_response(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`DELETE /api/openai/v1/responses/{id}`: it is not found any more. What was said stays in its conversation, and
    goes with that; one that is a conversation by itself goes with it at once."""
    turn = await _found(app, principal, request, need="editor")
    if turn.running:
        turn = await app.runner.cancel(principal.user_id, turn.id)
    if turn.running:
        raise TurnInProgress(turn.id)
    session = await app.conversations.get_session(principal.user_id, turn.session_id)
    alone = session.last_seq == _number(turn) == _began_with(turn)
    if alone and session.allows(principal.user_id, "owner"):
        delete = partial(app.runner.delete_session, principal.user_id, session.id)
        await app.evictions.during(session.id, "", delete)
    else:
        await app.turns.note_client(turn, {**turn.request.client, DELETED: True})
    return json_reply({"id": response_id(turn.id), "object": "response", "deleted": True})


async def list_input_items(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/openai/v1/responses/{id}/input_items`: what its request brought, newest first."""
    query = read_query(request, ItemsQuery)
    turn = await _found(app, principal, request)
    items = await _input_items(app, principal, turn)
    if query.order == "desc":
        items = items[::-1]
    places = [str(each["id"]) for each in items]
    first = places.index(query.after) + 1 if query.after in places else 0
    shown = items[first : first + query.limit]
    return json_reply(
        {
            "object": "list",
            "data": list(shown),
            "first_id": str(shown[0]["id"]) if shown else "",
            "last_id": str(shown[-1]["id"]) if shown else "",
            "has_more": first + query.limit < len(items),
        }
    )


async def _found(
    app: ChatApp, principal: Principal, request: Request, *, need: MemberRole = "viewer"
) -> Turn:
    """TurnNotFound, also where it was not to be stored; Forbidden."""
    turn_id = turn_id_of(request.path_params["response_id"])
    turn = await app.turns.get_turn(principal.user_id, turn_id, need=need)
    if not is_stored(turn):
        raise TurnNotFound
    return turn


async def _shown(app: ChatApp, principal: Principal, turn_id: str) -> JSONObject:
    """Of one whose events are gone its message tells."""
    turn, events = await app.runner.so_far(principal.user_id, turn_id)
    if not events and not turn.running:
        message = await app.conversations.get_message(principal.user_id, turn_id)
        events = events_of(turn, message)
    return show_response(turn, events)


async def _input_items(app: ChatApp, principal: Principal, turn: Turn) -> list[JSONObject]:
    """Oldest first."""
    question = split_message_id(turn.user_message_id)
    before = await app.conversations.list_messages(
        principal.user_id,
        turn.session_id,
        limit=int(str(asked_of(turn).get("given", 0))) + 2,
        before=question[1] + 1 if question else None,
        newest=True,
    )
    answer = await app.conversations.get_message(principal.user_id, turn.id)
    return input_items(turn, before, answer)


def _began_with(turn: Turn) -> int:
    """The number that the answer has where its session began with its request."""
    return int(str(asked_of(turn).get("given", 0))) + 2


def _number(turn: Turn) -> int:
    place = split_message_id(turn.id)
    assert place is not None, turn.id
    return place[1]
