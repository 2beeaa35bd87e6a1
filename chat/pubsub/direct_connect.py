"""Sockets that open without negotiation: `connect` itself asks who it is and whether they may (docs/protocol.md,
section 6).

A session that such a socket does not name is made with its first message: `connect` may come several times for one
socket, and who says nothing leaves nothing behind.
"""

from datetime import UTC, datetime

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.auth.ways import find_principal
from chat.clock import derived_id
from chat.dialects.base import spoken
from chat.errors import Forbidden, NotFound, PushError, TurnNotFound, Unauthenticated, ValidationError
from chat.pubsub.socket_events import SocketEvent
from chat.requests import Approve, Cancel, Resume, Say, SessionAction, Typing
from chat.rooms.newcomers import Newcomer
from chat.rooms.sockets import Sockets
from chat.schemas.fields import check_size
from chat.settings.values import has_origin
from chat.store.conversation_store import SessionDraft
from chat.store.drafts import milliseconds_of
from chat.store.presence_store import Connection, Ticket


def is_direct(app: ChatApp, event: SocketEvent) -> bool:
    """Whether a socket that connects comes without a ticket, and may."""
    return app.settings.socket_direct and not event.asked("ticket")


async def ask_who(app: ChatApp, event: SocketEvent) -> Ticket:
    """A ticket for one who comes without; its session is "" where a new one is wanted. Nothing is written.
    Unauthenticated, Forbidden, ValidationError, SessionNotFound."""
    _check_origin(app.settings.socket_origins, event)
    principal = await _who(app, event)
    name, session_id = event.asked("dialect"), event.asked("session_id")
    known = spoken(app.dialects)
    if name not in known:
        raise ValidationError("dialect", f"Not one of {', '.join(known)}")
    makes = not session_id and app.dialects[name].face.requests is None
    if not principal.may(scope := "write" if makes else "read"):  # a new session is a thing that is made
        raise Forbidden(f"This credential is not for `{scope}`.")
    if session_id:
        await app.conversations.get_session(principal.user_id, session_id)
    return Ticket("", session_id, principal.user_id, name, app.clock.now(), principal.credential)


def promised_session(app: ChatApp, sockets: Sockets, connection_id: str) -> str:
    """The id of a session that is not made yet: the same one when the service asks again."""
    return sockets.newcomers.get(connection_id, derived_id(app.clock.now(), connection_id)).session_id


async def ensure_session(
    app: ChatApp, sockets: Sockets, connection: Connection, action: SessionAction
) -> bool:
    """Make the session of a socket that was promised one, if this is what begins it. False where there is nothing to
    do, since nothing was said yet. TooLarge, TurnNotFound, StoreUnavailable; SessionNotFound when it was deleted."""
    newcomer = sockets.newcomers.get(connection.id, connection.session_id)
    async with newcomer.making:
        if newcomer.made or await _is_there(app, connection):
            newcomer.made = True
            return True
        return await _begin(app, sockets, connection, action, newcomer)


async def _begin(
    app: ChatApp, sockets: Sockets, connection: Connection, action: SessionAction, newcomer: Newcomer
) -> bool:
    match action:
        case Say():
            check_size("content", action.text, limit=app.settings.max_message_bytes)
            await _make_session(app, sockets, connection)
            newcomer.made = True
            # It may have said this and closed: the two events overtake each other, and another process may take the
            # second. Asked once its rows stand, so that either we find it gone, or its end finds the rows.
            if newcomer.left or not await _is_open(sockets, connection):
                await sockets.attendance.left(connection)
        case Cancel(turn_id) | Resume(turn_id) if turn_id:
            raise TurnNotFound
        case Cancel() | Typing():
            return False
        case Approve():
            raise ValidationError("approvals.0.call_id", "No call of this id waits for an approval")
        case _:
            pass
    return True


async def _make_session(app: ChatApp, sockets: Sockets, connection: Connection) -> None:
    """The socket comes before its session: whoever finds the session finds who is in it."""
    now = app.clock.now()
    ticket = Ticket("", connection.session_id, connection.user_id, connection.dialect, now)
    await sockets.attendance.admit(ticket, connection.id)
    await sockets.attendance.arrived(connection)
    # Since it was promised: lists of sessions are in the order of their ids.
    since = datetime.fromtimestamp(milliseconds_of(connection.session_id) / 1000, UTC)
    draft = SessionDraft(connection.session_id, created_at=since)
    app.records.session_created(await app.conversations.create_session(connection.user_id, draft))


async def _is_open(sockets: Sockets, connection: Connection) -> bool:
    try:
        return await sockets.push.exists(connection.id)
    except PushError:  # nobody can tell: whoever comes later looks for it
        return True


async def _is_there(app: ChatApp, connection: Connection) -> bool:
    try:
        await app.conversations.get_session(connection.user_id, connection.session_id)
    except NotFound:
        return False
    return True


def _check_origin(allowed: frozenset[str], event: SocketEvent) -> None:
    """Any web page may open a socket to any place, and its browser says whose page it is. Unauthenticated."""
    if not event.headers:  # every handshake has some: they were not passed on
        raise Unauthenticated("The headers of the handshake are missing.")
    for origin in event.headers.get("origin", ()):
        if not has_origin(allowed, origin):
            raise Unauthenticated(
                "Web pages of this origin may not open sockets here: see CHAT_SOCKET_ORIGINS."
            )


async def _who(app: ChatApp, event: SocketEvent) -> Principal:
    """Whom the ways of CHAT_AUTH know by the handshake alone. Unauthenticated; SignInUnavailable."""
    if event.user_id:  # by a token of the service's, which is for those who have a ticket
        raise Unauthenticated("Negotiate, or connect without a token of the socket service.")
    headers = {name: ", ".join(values) for name, values in event.headers.items()}  # RFC 9110, section 5.2
    return await find_principal(app.authenticators, lambda way: way.authenticate_socket(event.query, headers))
