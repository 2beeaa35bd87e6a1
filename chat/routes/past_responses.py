"""Responses that were made before, by their ids: looked at, followed, stopped, deleted."""

from dataclasses import replace
from functools import partial

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.conversation import HIDDEN, MemberRole, Turn
from chat.dialects.base import Encoder, PastFace
from chat.errors import TurnInProgress, TurnNotFound
from chat.events import JSONObject
from chat.messages import split_message_id
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.response_queries import ItemsQuery, ResponseQuery
from chat.routes.streams import stream_turn

BEFORE = 2  # messages before the question that may belong to it, beside those that its request brought


async def get_response(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`GET /api/openai/v1/responses/{id}`: as it is by now; with `stream` its events, those that were and those that
    come, after the one with the number `starting_after`."""
    query = read_query(request, ResponseQuery)
    spoken, past = app.dialects[dialect], _past(app, dialect)
    turn = await _found(app, principal, request, past)
    if not query.stream:
        return json_reply(await _shown(app, principal, turn.id, past))
    live = await app.runner.open(principal.user_id, turn.id)
    after = -1 if query.starting_after is None else query.starting_after

    def rest(turn: Turn) -> Encoder:
        return past.rest(turn, after)

    framing = spoken.door and spoken.door.framing
    return stream_turn(app, principal, live, replace(spoken, encoder=rest), framing=framing)


async def cancel_response(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`POST /api/openai/v1/responses/{id}/cancel`. One that has ended stays as it is."""
    past = _past(app, dialect)
    turn = await _found(app, principal, request, past, need="editor")
    await app.runner.cancel(principal.user_id, turn.id)
    return json_reply(await _shown(app, principal, turn.id, past))


async def delete_response(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`DELETE /api/openai/v1/responses/{id}`: it is not found any more. What was said stays in its conversation, and
    goes with that; one that is a conversation by itself goes with it at once."""
    past = _past(app, dialect)
    turn = await _found(app, principal, request, past, need="editor")
    if turn.running:
        turn = await app.runner.cancel(principal.user_id, turn.id)
    if turn.running:
        raise TurnInProgress(turn.id)
    session = await app.conversations.get_session(principal.user_id, turn.session_id)
    alone = session.last_seq == _number(turn.id) == past.given(turn) + 2
    if alone and session.allows(principal.user_id, "owner"):
        delete = partial(app.runner.delete_session, principal.user_id, session.id)
        await app.evictions.during(session.id, "", delete)
    else:
        await app.turns.note_client(turn, {**turn.request.client, HIDDEN: True})
    return json_reply(past.deleted(turn))


async def list_input_items(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`GET /api/openai/v1/responses/{id}/input_items`: what its request brought, newest first."""
    query, past = read_query(request, ItemsQuery), _past(app, dialect)
    turn = await _found(app, principal, request, past)
    items = await _input_items(app, principal, turn, past)
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


def _past(app: ChatApp, dialect: str) -> PastFace:
    past = app.dialects[dialect].past
    assert past is not None, dialect
    return past


async def _found(
    app: ChatApp, principal: Principal, request: Request, past: PastFace, *, need: MemberRole = "viewer"
) -> Turn:
    """TurnNotFound, also where it was not to be stored; Forbidden."""
    turn_id = past.turn_id(request.path_params["response_id"])
    turn = await app.turns.get_turn(principal.user_id, turn_id, need=need)
    if turn.hidden:
        raise TurnNotFound
    return turn


async def _shown(app: ChatApp, principal: Principal, turn_id: str, past: PastFace) -> JSONObject:
    """Of one whose events are gone its message tells."""
    turn, events = await app.runner.so_far(principal.user_id, turn_id)
    if events or turn.running:
        return past.show(turn, events)
    message = await app.conversations.get_message(principal.user_id, turn_id)
    return past.show(turn, past.recall(turn, message))


async def _input_items(app: ChatApp, principal: Principal, turn: Turn, past: PastFace) -> list[JSONObject]:
    """Oldest first."""
    before = await app.conversations.list_messages(
        principal.user_id,
        turn.session_id,
        limit=past.given(turn) + BEFORE,
        before=_number(turn.user_message_id) + 1,
        newest=True,
    )
    answer = await app.conversations.get_message(principal.user_id, turn.id)
    return past.brought(turn, before, answer)


def _number(message_id: str) -> int:
    """Of a message in its session."""
    place = split_message_id(message_id)
    assert place is not None, message_id
    return place[1]
