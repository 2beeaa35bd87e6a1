"""Sockets whose requests are answered one by one, by the doors of their dialect."""

import asyncio
from dataclasses import replace
from functools import partial

from chat.app import ChatApp
from chat.asking.asks import ask_as_read, asker_of, check_still
from chat.asking.joining import find_live, joined
from chat.auth.base import Principal
from chat.credentials import Credential
from chat.dialects.base import Asked, Dialect, RequestFace
from chat.errors import ChatError
from chat.requests import Abort, Ask, RequestAction
from chat.rooms.followers import Answer
from chat.rooms.sockets import Sockets
from chat.store.presence_store import Connection
from chat.store.request_store import KeyedRequest
from chat.telemetry import record

LOOKS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds before each look for the turn of a request that is aborted


def answer(
    app: ChatApp,
    sockets: Sockets,
    connection: Connection,
    credential: Credential,
    face: RequestFace,
    action: RequestAction,
) -> None:
    """Do what a request says, and tell it what comes of it. Returns at once: no event waits for a turn.
    ValidationError, TooLarge, RateLimited."""
    request_id, dialect = action.request_id, app.dialects[connection.dialect]
    if isinstance(action, Abort):
        sockets.rooms.followers.leave(connection.id, request_id)
        app.tasks.spawn(_abort(app, connection, request_id))
        return
    principal = _principal(connection, credential)
    if isinstance(action, Ask):
        work = partial(_ask, app, principal, dialect, _read(app, connection, dialect, action))
    else:
        work = partial(_watch, app, principal, dialect, action.chat)
    sockets.rooms.followers.answer(connection.id, request_id, face, work, be_missed=app.runner.be_missed)


def _read(app: ChatApp, connection: Connection, dialect: Dialect, ask: Ask) -> Asked:
    door = dialect.door
    assert door is not None, dialect.name
    return door.read(ask.body, asker_of(app, connection.user_id, _key(connection, ask.request_id)))


async def _ask(app: ChatApp, principal: Principal, dialect: Dialect, asked: Asked, answer: Answer) -> None:
    """The turn of a request, which is noted under its key, so that any process finds it when it is aborted or comes
    again."""
    began, request = app.clock.monotonic(), asked.request
    claim = KeyedRequest(request.user_id, request.nonce, "", app.ids.new())
    promised = (await app.requests.claim_request(claim)).promised
    live = await ask_as_read(app, replace(asked, request=replace(request, promised=promised)))
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


async def _abort(app: ChatApp, connection: Connection, request_id: str) -> None:
    """The request may be just on its way."""
    user_id, key = connection.user_id, _key(connection, request_id)
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
    """By which the request is known when its event comes again, and when it is aborted."""
    return f"{connection.id}:{request_id}"


def _principal(connection: Connection, credential: Credential) -> Principal:
    return Principal(
        connection.user_id, expires=credential.expires, scopes=credential.scopes, key_id=credential.key_id
    )
