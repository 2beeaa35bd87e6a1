"""Sockets whose requests are answered one by one, by the doors of their dialect."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from chat.app import ChatApp
from chat.asking.asks import ask_as_read, asker_of, check_still
from chat.asking.joining import find_live, joined
from chat.auth.base import Principal
from chat.credentials import Credential
from chat.dialects.base import Asked, Dialect
from chat.errors import ChatError, ValidationError
from chat.requests import Abort, Ask, RequestAction
from chat.rooms.followers import Answer
from chat.rooms.sockets import Sockets
from chat.store.presence_store import Connection
from chat.store.request_store import KeyedRequest
from chat.telemetry import record

LOOKS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each look for the turn of a request that is aborted."""


def answer(
    app: ChatApp,
    sockets: Sockets,
    connection: Connection,
    credential: Credential,
    action: RequestAction,
    *,
    event_id: str,
) -> None:
    """Do what a request says, and tell it what comes of it. Returns at once: no event waits for a turn.
    ValidationError, TooLarge, RateLimited."""
    dialect, followers = app.dialects[connection.dialect], sockets.rooms.followers
    face, key = dialect.face.requests, _key(connection, action.request_id)
    assert face is not None, dialect.name
    if isinstance(action, Abort):
        followers.leave(connection.id, action.request_id)
        if credential.may("write"):
            app.tasks.spawn(_abort(app, connection, key))
        return
    principal = _principal(connection, credential)
    claim = KeyedRequest(connection.user_id, key, event_id, app.ids.new())
    if isinstance(action, Ask):
        work = partial(_ask, app, principal, dialect, _read(app, dialect, action, claim))
    else:
        work = partial(_watch, app, principal, dialect, action.chat)
    once = partial(_once, app, claim, work)
    followers.answer(connection.id, action.request_id, face, once, be_missed=app.runner.be_missed)


def _read(app: ChatApp, dialect: Dialect, ask: Ask, claim: KeyedRequest) -> Asked:
    door = dialect.door
    assert door is not None, dialect.name
    asked = door.read(ask.body, asker_of(app, claim.user_id, claim.key))
    return replace(asked, request=replace(asked.request, promised=claim.promised))


async def _once(
    app: ChatApp, claim: KeyedRequest, work: Callable[[Answer], Awaitable[None]], answer: Answer
) -> None:
    """Do what a request asks for. Where its event comes again, whoever took it first answers, or is found dead, upon
    which the socket is closed: two would number their chunks alike. ValidationError for another request of that id."""
    known = await app.requests.claim_request(claim)
    if known.promised == claim.promised:
        await work(answer)
    elif known.digest == claim.digest:
        answer.over = True
    else:
        raise ValidationError("requestId", "Was used before: each request needs one of its own")


async def _ask(app: ChatApp, principal: Principal, dialect: Dialect, asked: Asked, answer: Answer) -> None:
    """The turn of a request, which is noted under its key, so that any process finds it when it is aborted."""
    began = app.clock.monotonic()
    live = await ask_as_read(app, asked)
    await check_still(app, principal, live, began=began)
    await answer.follow(app.readers.follow(live, principal), dialect.encoder(live.turn))


async def _watch(app: ChatApp, principal: Principal, dialect: Dialect, chat: str, answer: Answer) -> None:
    live = await find_live(app, principal.user_id, chat, ended=False)
    if live is None:
        await answer.show_nothing()
        return
    spoken = await joined(app, principal.user_id, live.turn, dialect)
    await answer.begin()
    await answer.follow(app.readers.follow(live, principal), spoken.encoder(live.turn))


async def _abort(app: ChatApp, connection: Connection, key: str) -> None:
    """The request may be just on its way, or the store away for a while."""
    user_id = connection.user_id
    for pause in LOOKS:
        await asyncio.sleep(pause)
        try:
            made = await app.requests.find_made(user_id, key)
            if turn_id := made.get("turn_id"):
                await app.turns.get_turn(user_id, turn_id, need="editor")
                await app.runner.cancel(user_id, turn_id)
                return
        except ChatError as error:
            record("request_not_aborted", connection_id=connection.id, code=error.code)
            if not error.retryable:
                return


def _key(connection: Connection, request_id: str) -> str:
    """By which a request is known to all processes."""
    return f"{connection.id}:{request_id}"


def _principal(connection: Connection, credential: Credential) -> Principal:
    return Principal(
        connection.user_id, expires=credential.expires, scopes=credential.scopes, key_id=credential.key_id
    )
