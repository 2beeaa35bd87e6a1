"""The way to a socket: a WebSocket cannot open at a function's own address, so a client asks for one here, and then
connects there (docs/protocol.md, section 6). And the events of the sockets, where no trigger takes them."""

import secrets
from datetime import timedelta

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.clock import iso
from chat.conversation import Session
from chat.dialects.base import spoken
from chat.errors import Forbidden, NotFound, Unauthenticated, ValidationError
from chat.pubsub.cloud_events import ALLOWED, ORIGIN, check_signature, read_event, show_reply
from chat.pubsub.handlers import SUBPROTOCOLS, handle
from chat.rooms.sockets import Sockets
from chat.routes.replies import json_reply
from chat.routes.requests import read_bytes, read_query
from chat.routes.schemas import SocketQuery
from chat.store.conversation_store import SessionDraft
from chat.store.presence_store import Ticket

MAX_EVENT = 2 * 1024 * 1024  # bytes; a frame has at most 1 MiB


async def negotiate(app: ChatApp, principal: Principal, request: Request, *, dialect: str) -> Response:
    """`GET /ws` and its like: the address of a socket that speaks this dialect, unless the query names another. For one
    whose requests name their chats no session is made: `session_id` is "" then."""
    sockets = app.sockets.require("There are no sockets: the setting WebPubSubConnectionString is missing.")
    query = read_query(request, SocketQuery)
    name = query.dialect or dialect
    if name not in (known := spoken(app.dialects)):
        raise ValidationError("dialect", f"Not one of {', '.join(known)}")
    if query.protocol is not None and query.protocol not in SUBPROTOCOLS:
        raise ValidationError("protocol", f"Not one of {', '.join(SUBPROTOCOLS)}")
    session_id = request.path_params.get("session_id") or query.session_id or ""
    if session_id or app.dialects[name].face.requests is None:
        session_id = (await _session(app, principal, session_id)).id
    place = session_id or app.ids.new()  # where the ticket is kept
    now = app.clock.now()
    expires = now + timedelta(minutes=app.settings.socket_minutes)
    expires = min(expires, principal.expires or expires)  # no ticket outlives what it was got with
    ticket_id = secrets.token_urlsafe(24)
    ticket = Ticket(ticket_id, place, principal.user_id, name, expires, principal.credential)
    await sockets.presence.issue(ticket)
    minutes = (expires - now) / timedelta(minutes=1)
    url = await sockets.push.client_url(principal.user_id, minutes=minutes)
    return json_reply(
        {
            "url": f"{url}&ticket={place}.{ticket.id}",
            "protocol": query.protocol,
            "dialect": name,
            "session_id": session_id,
            "expires_at": iso(expires),
        }
    )


async def _session(app: ChatApp, principal: Principal, session_id: str) -> Session:
    """The one that is named, or a new one, which is a thing that is made. Forbidden, SessionNotFound."""
    if session_id:
        return await app.conversations.get_session(principal.user_id, session_id)
    if not principal.may("write"):
        raise Forbidden("This credential is not for `write`: name a session.")
    session = await app.conversations.create_session(principal.user_id, SessionDraft(app.ids.new()))
    app.records.session_created(session)
    return session


async def take_socket_event(app: ChatApp, request: Request) -> Response:
    """`POST` and `OPTIONS /api/webpubsub/events`"""
    sockets = app.sockets.require()
    if app.settings.web_pubsub_events != "http":
        raise NotFound("The events of sockets come in by the trigger: see the setting CHAT_WEBPUBSUB_EVENTS.")
    headers = request.headers
    if request.method == "OPTIONS":
        _check_origin(sockets, headers.get(ORIGIN, ""))
        return Response(headers={ALLOWED: headers[ORIGIN]})
    if sockets.keys:
        check_signature(headers, sockets.keys)
    elif app.settings.http_auth_level == "ANONYMOUS":
        raise Unauthenticated(
            "Without an access key nothing is signed: set CHAT_HTTP_AUTH_LEVEL to FUNCTION."
        )
    body = await read_bytes(request, limit=MAX_EVENT)
    event = read_event(headers, body, hub=app.settings.web_pubsub_hub)
    reply = show_reply(await handle(app, event))
    return Response(reply.body, reply.status, dict(reply.headers))


def _check_origin(sockets: Sockets, origin: str) -> None:
    """Abuse protection (CloudEvents WebHooks 1.0, section 4): only the service that we know may send events."""
    hosts = [each.strip().lower() for each in origin.split(",")]
    if not sockets.host or sockets.host not in hosts:
        raise ValidationError(ORIGIN, "Not the socket service of this app")
