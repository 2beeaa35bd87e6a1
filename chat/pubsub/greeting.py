"""What a socket is shown that has just opened: who is there, and what is being said."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from chat.app import ChatApp
from chat.conversation import Session
from chat.errors import NotFound, PushError, PushRefused, StoreError
from chat.news import Running, Welcome
from chat.pubsub.states import is_promised
from chat.rooms.attendance import members_of
from chat.rooms.gate import PATIENCE
from chat.rooms.sockets import Sockets
from chat.store.presence_store import Connection, Presence
from chat.telemetry import record

# After the end of a turn, in which its last frames may be on their way: a gate is that patient with the service.
RECENT = timedelta(seconds=PATIENCE)
GREETINGS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)  # seconds before each further try


async def greet(app: ChatApp, sockets: Sockets, connection: Connection, before: Mapping[str, str]) -> None:
    """`before` is how things stood when it asked to connect. While the store or the service is away it is tried again
    beside the event, which comes once."""
    try:
        await _greet(app, sockets, connection, before)
    except (StoreError, PushError) as error:
        record("greeting_failed", connection_id=connection.id, code=error.code)
        app.tasks.spawn(_greet_again(app, sockets, connection, before))
    except NotFound:  # taken out, or deleted, while it connected
        app.evictions.expel(connection)
        raise


async def _greet_again(
    app: ChatApp, sockets: Sockets, connection: Connection, before: Mapping[str, str]
) -> None:
    for pause in GREETINGS:
        await asyncio.sleep(pause)
        try:
            return await _greet(app, sockets, connection, before)
        except (StoreError, PushError) as error:
            record("greeting_failed", connection_id=connection.id, code=error.code)
        except NotFound:
            return app.evictions.expel(connection)
    return None


async def _greet(app: ChatApp, sockets: Sockets, connection: Connection, before: Mapping[str, str]) -> None:
    if is_promised(before):
        await _welcome(app, sockets, connection, _promised(connection), Presence((connection,)))
        return
    session = await app.conversations.get_session(connection.user_id, connection.session_id)
    present = await sockets.attendance.present(connection.session_id)
    await _welcome(app, sockets, connection, session, present)
    await sockets.attendance.arrived(connection, present)  # by this others know that it was welcomed
    app.answer_left(session)
    if session.running_turn and app.dialects[connection.dialect].face.welcome is None:
        await app.runner.look(connection.user_id, session.running_turn)  # its maker may be dead
    ran = session.running_turn or await _missed(app, connection, session, before)
    just_ended = app.clock.now() - session.updated_at < RECENT
    if not ran and just_ended:
        newest = await _answer(app, connection, session, after=0)
        sockets.rooms.let_in(connection, newest, whole=False)
    else:
        sockets.rooms.let_in(connection, ran)


async def _welcome(
    app: ChatApp, sockets: Sockets, connection: Connection, session: Session, present: Presence
) -> None:
    """In the dialects that have one: once, though greeting it fails later and is tried again."""
    welcome = app.dialects[connection.dialect].face.welcome
    if welcome is None or sockets.welcomes.is_said(connection.id):
        return
    members = members_of(session, present)
    running = await _running(app, sockets, connection, session)
    facts = Welcome(session.id, connection.user_id, connection.id, members, running)
    try:
        for frame in welcome(facts):
            await sockets.push.send_to_connection(connection.id, frame)
    except PushRefused as error:
        record("welcome_lost", connection_id=connection.id, code=error.code)
    sockets.welcomes.say(connection.id)


def _promised(connection: Connection) -> Session:
    """The session that a socket begins when it says something."""
    return Session(connection.session_id, connection.user_id, "", connection.since, connection.since)


async def _running(
    app: ChatApp, sockets: Sockets, connection: Connection, session: Session
) -> Running | None:
    """The turn that runs, with what it said so far."""
    if not session.running_turn:
        return None
    turn = await app.runner.look(connection.user_id, session.running_turn)  # its maker may be dead
    if not turn.running:
        return None
    text = await sockets.texts.get(turn.id, lambda: app.runner.text_so_far(connection.user_id, turn.id))
    return Running(turn, text)


async def _missed(app: ChatApp, connection: Connection, session: Session, before: Mapping[str, str]) -> str:
    """The turn that ended between the two events of a socket, be it that it began then, too; "" when there is none."""
    seq = before.get("seq", "")
    if not seq.isdecimal() or len(seq) > 9 or session.last_seq <= int(seq):
        return before.get("turn", "")
    return await _answer(app, connection, session, after=int(seq))


async def _answer(app: ChatApp, connection: Connection, session: Session, *, after: int) -> str:
    """The newest answer, which has the id of its turn; "" when there is none."""
    said = await app.conversations.list_messages(
        connection.user_id, session.id, limit=9, after=after, newest=True
    )
    return next((each.id for each in reversed(said) if each.role == "assistant"), "")
