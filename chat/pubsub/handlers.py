"""What the app does when a socket connects, speaks and leaves."""

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

from chat.app import ChatApp
from chat.dialects.base import PIECE
from chat.errors import ChatError, Forbidden, PushError, RateLimited, ShuttingDown, Unauthenticated
from chat.events import JSONObject
from chat.messages import Session
from chat.pubsub.actions import act
from chat.pubsub.frames import READERS
from chat.pubsub.socket_events import Accepted, Reply, Said, SocketEvent
from chat.push.base import room_of
from chat.rooms.attendance import show_members
from chat.rooms.flood import ENDURED
from chat.rooms.sockets import Sockets
from chat.store.presence_base import Connection
from chat.telemetry import record, record_error

# The service's own subprotocols, the best first. A client that offers none of them is a simple one.
SUBPROTOCOLS = ("json.reliable.webpubsub.azure.v1", "json.webpubsub.azure.v1")

RECENT = timedelta(seconds=5)  # after the end of a turn, in which its last frames may be on their way


async def handle(app: ChatApp, event: SocketEvent) -> Reply:
    """Answer an event. Raises ChatError where the socket is not to open; anything else that goes wrong is a frame of
    its dialect."""
    sockets = app.sockets
    if sockets is None:
        raise PushError
    try:
        return await _handle(app, sockets, event)
    except ChatError:
        raise
    except Exception:
        if sockets.closing:  # the store was closed under it
            raise ShuttingDown from None
        raise


async def _handle(app: ChatApp, sockets: Sockets, event: SocketEvent) -> Reply:
    if sockets.closing:
        raise ShuttingDown
    if event.kind == "connect":
        return await _connect(app, sockets, event)
    connection = _connection(app, event)
    if event.kind == "connected":
        await _connected(app, sockets, connection, event.states)
        return Said()
    if event.kind == "disconnected":
        await sockets.attendance.left(connection)
        return Said()
    return await _hear(app, sockets, connection, event)


async def _connect(app: ChatApp, sockets: Sockets, event: SocketEvent) -> Accepted:
    """Whoever has a ticket, is who it was given to, and is still a member."""
    session_id, _, ticket_id = next(iter(event.query.get("ticket", ())), "").partition(".")
    ticket = await sockets.presence.take(session_id, ticket_id)
    if ticket is None or ticket.expires < app.clock.now() or not _is(ticket.user_id, event):
        raise Unauthenticated("Negotiate again: this address is not good any more.")
    session = await app.conversations.get_session(ticket.user_id, session_id)
    await sockets.attendance.admit(ticket, event.connection_id)
    record(
        "socket_connected", session_id=session_id, connection_id=event.connection_id, dialect=ticket.dialect
    )
    return Accepted(
        user_id=ticket.user_id,
        groups=(room_of(session_id),) if app.dialects[ticket.dialect].room else (),
        subprotocol=next((each for each in SUBPROTOCOLS if each in event.subprotocols), ""),
        states={
            "session": session_id,
            "user": ticket.user_id,
            "dialect": ticket.dialect,
            "turn": session.running_turn,
            "seq": str(session.last_seq),
        },
    )


def _connection(app: ChatApp, event: SocketEvent) -> Connection:
    """The socket, by what we gave it when it connected."""
    states, now = event.states, app.clock.now()
    if (
        not states.get("session")
        or states.get("dialect") not in READERS
        or not _is(states.get("user", ""), event)
    ):
        raise Unauthenticated("This socket did not connect through here.")
    return Connection(event.connection_id, states["session"], states["user"], states["dialect"], now, now)


def _nonce(event: SocketEvent) -> str:
    """The service sends an event again when our reply did not reach it: that must not ask the model twice."""
    return f"{event.connection_id}:{event.id}" if event.id else ""


def _is(user_id: str, event: SocketEvent) -> bool:
    """Whether the event is this user's. A header cannot hold every name as it is."""
    return event.user_id in (user_id, quote(user_id, safe=""), quote(user_id))


async def _connected(
    app: ChatApp, sockets: Sockets, connection: Connection, before: Mapping[str, str]
) -> None:
    """Show a socket who is there, and what is being said. `before` is how things stood when it asked to connect."""
    present = await sockets.attendance.arrived(connection)
    session = await app.conversations.get_session(connection.user_id, connection.session_id)
    if session.waiting and not session.running_turn:  # whose answer nobody started: its process ended
        app.tasks.spawn(app.runner.waiting.answer(session.id))
    welcome: JSONObject = {
        "session_id": session.id,
        "user_id": connection.user_id,
        "connection_id": connection.id,
        "members": show_members(session, present),
        "running_turn": await _running(app, sockets, connection, session),
    }
    try:
        for frame in app.dialects[connection.dialect].welcome(welcome):
            await sockets.push.send_to_connection(connection.id, frame)
    except PushError as error:
        record("welcome_lost", connection_id=connection.id, code=error.code)
    ran = session.running_turn or await _missed(app, connection, session, before)
    just_ended = app.clock.now() - session.updated_at < RECENT
    if not ran and just_ended:
        newest = await _answer(app, connection, session, after=0)
        sockets.rooms.let_in(connection, newest, whole=False)
    else:
        sockets.rooms.let_in(connection, ran)


async def _running(
    app: ChatApp, sockets: Sockets, connection: Connection, session: Session
) -> JSONObject | None:
    """The turn that runs, as a room is told of it: with the beginning of its text. All of it comes with the turn."""
    if not session.running_turn:
        return None
    turn = await app.runner.look(connection.user_id, session.running_turn)  # its maker may be dead
    if not (turn.running and app.dialects[connection.dialect].room):
        return None
    text = await sockets.texts.get(turn.id, lambda: app.runner.text_so_far(connection.user_id, turn.id))
    about: JSONObject = {"id": turn.id, "user_message_id": turn.user_message_id, "user_id": turn.user_id}
    if len(text) > PIECE:
        return {**about, "text": text[:PIECE], "truncated": True}
    return {**about, "text": text}


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


async def _hear(app: ChatApp, sockets: Sockets, connection: Connection, event: SocketEvent) -> Said:
    dialect = app.dialects[connection.dialect]
    left = sockets.flood.take(connection.id)
    if left < -ENDURED:
        record("flood", connection_id=connection.id, user_id=connection.user_id)
        await sockets.push.close(connection.id, "Too many messages")
        return Said()
    try:
        if left < 0:
            raise RateLimited
        sockets.attendance.heard(connection)
        action = READERS[connection.dialect](event)
        return Said(await act(app, sockets, connection, action, nonce=_nonce(event)))
    except Forbidden:
        return Said(dialect.error(Forbidden("You may read this session, not write in it.")))
    except ChatError as error:
        return Said(dialect.error(error))
    except Exception as error:
        record_error("socket_event_failed", error, connection_id=connection.id)
        return Said(dialect.error(ChatError("Something went wrong on our side.")))
