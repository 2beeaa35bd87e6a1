"""What the app does when a socket connects, speaks and leaves."""

from collections.abc import Mapping
from functools import partial

from chat.app import ChatApp
from chat.conversation import Session
from chat.credentials import Credential
from chat.dialects.base import RequestFace, spoken
from chat.errors import (
    ChatError,
    CredentialEnded,
    Forbidden,
    NotFound,
    RateLimited,
    SessionNotFound,
    ShuttingDown,
    Unauthenticated,
    ValidationError,
)
from chat.events import JSONObject
from chat.pubsub.actions import act
from chat.pubsub.answering import answer
from chat.pubsub.direct_connect import ask_who, ensure_session, is_direct, promised_session
from chat.pubsub.greeting import greet
from chat.pubsub.socket_events import Accepted, Reply, Said, SocketEvent
from chat.pubsub.states import credential_of, is_promised, is_signed, limits_of, sign
from chat.push.base import EVERYBODY, key_group, room_of
from chat.requests import Abort, Action, Answered, Ask, Resume, Say, Watch
from chat.rooms.flood import ENDURED
from chat.rooms.sockets import Sockets
from chat.schemas.fields import MAX_ID
from chat.store.presence_store import Connection, Ticket
from chat.telemetry import record, record_error

# The service's own subprotocols, the best first. A client that offers none of them is a simple one.
SUBPROTOCOLS = ("json.reliable.webpubsub.azure.v1", "json.webpubsub.azure.v1")
READING = (Resume, Answered, Watch)  # what one may ask for who may only read


async def handle(app: ChatApp, event: SocketEvent) -> Reply:
    """Answer an event. Raises ChatError where the socket is not to open; anything else that goes wrong is a frame of
    its dialect."""
    sockets = app.sockets.require()
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
    app.runner.watch_others()
    if event.kind == "connect":
        return await _connect(app, sockets, event)
    connection, credential = await _known(app, sockets, event), credential_of(event.states)
    if event.kind == "disconnected":
        sockets.rooms.followers.leave(connection.id)
        if connection.session_id and is_promised(event.states):
            sockets.newcomers.get(connection.id, connection.session_id).left = True
        sockets.flood.forget(connection.id)
        await sockets.attendance.left(connection)
        await sockets.expiries.forget(connection, credential.expires)
        return Said()
    if credential.has_ended(app.clock.now()):
        await sockets.expiries.close(connection)
        return Said()
    if event.kind == "connected":
        sockets.expiries.watch(connection, credential.expires)
        await greet(app, sockets, connection, event.states)
        return Said()
    return await _hear(app, sockets, connection, credential, event)


async def _connect(app: ChatApp, sockets: Sockets, event: SocketEvent) -> Accepted:
    """Whoever has a ticket, is who it was given to, and is still a member; or who may come without."""
    ticket = await (ask_who(app, event) if is_direct(app, event) else _take(app, sockets, event))
    session_id, running_turn, seq = ticket.session_id, "", ""
    if app.dialects[ticket.dialect].face.requests is not None:
        session_id = ""  # it is in none
    elif session_id:
        session = await _enter(app, sockets, ticket, event.connection_id)
        running_turn, seq = session.running_turn, str(session.last_seq)
    else:
        session_id = promised_session(app, sockets, event.connection_id)
    states = {
        "session": session_id,
        "user": ticket.user_id,
        "dialect": ticket.dialect,
        "turn": running_turn,
        "seq": seq,
        **limits_of(ticket.credential),
    }
    await sockets.expiries.note(_connection(app, event, states), credential_of(states).expires)
    record(
        "socket_connected", session_id=session_id, connection_id=event.connection_id, dialect=ticket.dialect
    )
    return Accepted(
        user_id=ticket.user_id,
        groups=_groups(app, ticket, session_id),
        subprotocol=next((each for each in SUBPROTOCOLS if each in event.subprotocols), ""),
        states=sign(states, event.connection_id, await sockets.state_keys.key()),
    )


def _groups(app: ChatApp, ticket: Ticket, session_id: str) -> tuple[str, ...]:
    """Those that it is in from the beginning."""
    dialect, key_id = app.dialects[ticket.dialect], ticket.credential.key_id
    rooms = (room_of(session_id, dialect.name),) if dialect.face.news is not None else ()
    return EVERYBODY, *rooms, *((key_group(key_id, dialect.name),) if key_id else ())


async def _take(app: ChatApp, sockets: Sockets, event: SocketEvent) -> Ticket:
    """The ticket that it brings. Unauthenticated; CredentialEnded where the key was revoked that got it."""
    session_id, _, ticket_id = event.asked("ticket")[:MAX_ID].partition(".")  # no key is longer
    ticket = await sockets.presence.take(session_id, ticket_id)
    if ticket is None or ticket.expires < app.clock.now() or ticket.user_id != event.user_id:
        raise Unauthenticated("Negotiate again: this address is not good any more.")
    if ticket.credential.key_id:
        await app.key_ring.check(ticket.credential.key_id)
    return ticket


async def _enter(app: ChatApp, sockets: Sockets, ticket: Ticket, connection_id: str) -> Session:
    """The session, with the socket in its list."""
    connection = await sockets.attendance.admit(ticket, connection_id)
    try:  # asked once the socket stands in the list: who takes its user out finds it there, or we find them taken out
        return await app.conversations.get_session(ticket.user_id, ticket.session_id)
    except NotFound:
        await sockets.attendance.left(connection)
        raise


async def _known(app: ChatApp, sockets: Sockets, event: SocketEvent) -> Connection:
    """The socket, by what we gave it when it connected. Unauthenticated."""
    states = event.states
    signed = is_signed(states, event.connection_id, await sockets.state_keys.key())
    if not signed or states["dialect"] not in spoken(app.dialects) or states["user"] != event.user_id:
        raise Unauthenticated("This socket did not connect through here.")
    return _connection(app, event, states)


def _connection(app: ChatApp, event: SocketEvent, states: Mapping[str, str]) -> Connection:
    now = app.clock.now()
    return Connection(event.connection_id, states["session"], states["user"], states["dialect"], now, now)


def _nonce(event: SocketEvent) -> str:
    """The service sends an event again when our reply did not reach it: that must not ask the model twice."""
    return f"{event.connection_id}:{event.id}" if event.id else ""


async def _hear(
    app: ChatApp, sockets: Sockets, connection: Connection, credential: Credential, event: SocketEvent
) -> Said:
    face = app.dialects[connection.dialect].face
    refused = partial(_of_request, face.requests, event.data) if face.requests else face.error
    left = sockets.flood.take(connection.id)
    if left < -ENDURED:
        record("flood", connection_id=connection.id, user_id=connection.user_id)
        await sockets.push.close(connection.id, "Too many messages")
        return Said()
    try:
        if face.welcome is not None:
            await sockets.welcomes.over(connection, listed=not is_promised(event.states))
        if left < 0:
            raise RateLimited
        sockets.attendance.heard(connection)
        if credential.key_id:
            await app.key_ring.check(credential.key_id)
        action = face.read(event.name, event.data)
        _check_scope(credential, action)
        if isinstance(action, Say) and action.session_id not in ("", connection.session_id):
            raise ValidationError(
                "session_id", "This socket is in another session: name it where you connect"
            )
        if isinstance(action, Ask | Watch | Abort):
            answer(app, sockets, connection, credential, action, event_id=event.id)
            return Said()
        if is_promised(event.states) and not await ensure_session(app, sockets, connection, action):
            return Said()
        return Said(await act(app, sockets, connection, action, nonce=_nonce(event)))
    except CredentialEnded:
        await sockets.expiries.close(connection)
        return Said()
    except SessionNotFound as error:  # taken out, or deleted, and its socket was not closed
        app.evictions.expel(connection)
        return Said(refused(error))
    except Forbidden:
        return Said(refused(Forbidden("You may read this session, not write in it.")))
    except ChatError as error:
        return Said(refused(error))
    except Exception as error:
        record_error("socket_event_failed", error, connection_id=connection.id)
        return Said(refused(ChatError()))


def _check_scope(credential: Credential, action: Action) -> None:
    """Forbidden. Everybody may want to hear no more."""
    if not isinstance(action, Abort) and not credential.may(
        "read" if isinstance(action, READING) else "write"
    ):
        raise Forbidden


def _of_request(face: RequestFace, data: str, error: ChatError) -> JSONObject:
    """What is said to the request that a frame is about, which was refused."""
    return face.failed(face.id_of(data), error)
