"""The map of the app: every route, then the triggers and the timer.

A row names its handler as `module:name` under `chat/routes`, the models of its body and its query in `schemas.py`
there, and that of its reply in `reply_schemas.py`. They are imported with the first request for it, so that a cold
start pays only for what its first request needs. Rows of protocols that others made stand in `chat/routes/protocols/`,
a file for each. `chat/routes/openapi.py` makes `/api/openapi.json` from all rows.
"""

from functools import partial

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from chat.routes.functions import functions
from chat.routes.protocols import PROTOCOLS
from chat.routes.route_table import Route, Routes
from chat.routes.worker import mend_worker
from chat.settings import read_setting

# What rows have in common that do the same.
ASK = partial(Route, again="streams:stream_again", role="editor", streams=True)
NEGOTIATE = partial(Route, "socket_routes:negotiate", makes=True, query="SocketQuery", reply="SocketAddress")
TAKE_EVENT = partial(
    Route,
    "socket_routes:take_socket_event",
    who="anyone",
    problems=(400, 401, 403, 404, 409, 413, 415, 422, 429),
)
HEALTH = partial(Route, "health:health", who="anyone", reply="Health", statuses=(200, 503))

ROUTES: Routes = {
    "/api/chat/stream": {
        "POST": Route(
            "doors:enter",
            "ask, and stream the answer",
            again="doors:enter_again",
            dialect="delta",
            name="chat_stream",
        ),
    },
    "/api/v1/chat/sessions": {
        "POST": Route(
            "sessions:create_session",
            "make a session",
            again="sessions:create_again",
            body="NewSessionBody",
            reply="Session",
            statuses=(201,),
        ),
        "GET": Route(
            "sessions:list_sessions",
            "list one's own sessions",
            for_others=True,
            query="PageQuery",
            reply="Sessions",
        ),
    },
    "/api/v1/chat/sessions/{session_id}": {
        "GET": Route("sessions:get_session", "one session", role="viewer", for_others=True, reply="Session"),
        "PUT": Route(
            "sessions:update_session",
            "change title, model, settings",
            role="editor",
            body="SessionBody",
            reply="Session",
        ),
        "DELETE": Route(
            "sessions:delete_session",
            "delete it, with everything in it",
            role="owner",
            scope="manage",
            reply="SessionDeleted",
            problems=(409,),
        ),
    },
    "/api/v1/chat/sessions/{session_id}/messages": {
        "GET": Route(
            "messages:list_messages",
            "its messages",
            role="viewer",
            for_others=True,
            query="MessagesQuery",
            reply="Messages",
        ),
        "POST": Route(
            "messages:post_message",
            "store one; no model is asked",
            again="messages:post_again",
            role="editor",
            body="MessageBody",
            reply="Message",
            statuses=(201,),
        ),
    },
    "/api/v1/chat/sessions/{session_id}/members": {
        "GET": Route(
            "members:list_members",
            "who may read it, and who is there",
            role="viewer",
            for_others=True,
            reply="Members",
        ),
    },
    "/api/v1/chat/sessions/{session_id}/members/{user_id}": {
        "PUT": Route(
            "members:put_member",
            "invite somebody, or change a role",
            role="owner",
            scope="manage",
            body="MemberBody",
            reply="Members",
            problems=(409,),
        ),
        "DELETE": Route(
            "members:delete_member",
            "take somebody out, or an invitation back, or leave",
            role="owner",
            scope="manage",
            reply="MemberRemoved",
        ),
    },
    "/api/v1/chat/sessions/{session_id}/owner": {
        "PUT": Route(
            "members:put_owner",
            "hand it over",
            role="owner",
            scope="manage",
            body="OwnerBody",
            reply="Members",
        ),
    },
    "/api/v1/chat/invitations": {
        "GET": Route(
            "invitations:list_invitations",
            "what one is invited to",
            for_others=True,
            query="PageQuery",
            reply="Invitations",
        ),
    },
    "/api/v1/chat/invitations/{session_id}/accept": {
        "POST": Route("invitations:accept_invitation", "become a member", scope="manage", reply="Session"),
    },
    "/api/v1/chat/invitations/{session_id}/decline": {
        "POST": Route("invitations:decline_invitation", "stay out", scope="manage", reply="Declined"),
    },
    "/api/v1/chat/sessions/{session_id}/turns": {
        "POST": ASK(
            "turns:start_turn",
            "ask in it, and stream the answer",
            body="TurnBody",
            query="TurnQuery",
        ),
    },
    "/api/v1/chat/turns/{turn_id}": {
        "GET": Route("turns:get_turn", "how a turn stands", role="viewer", for_others=True, reply="Turn"),
    },
    "/api/v1/chat/turns/{turn_id}/events": {
        "GET": Route(
            "turns:follow_turn",
            "follow it, from the start or from any event",
            role="viewer",
            for_others=True,
            query="FollowQuery",
            streams=True,
            problems=(410,),
        ),
    },
    "/api/v1/chat/turns/{turn_id}/cancel": {
        "POST": Route("turns:cancel_turn", "stop it", role="editor", reply="Turn"),
    },
    "/api/v1/chat/turns/{turn_id}/rerun": {
        "POST": ASK(
            "plans:rerun",
            "run a plan again from a stage",
            body="RerunBody",
            query="StreamQuery",
            problems=(410,),
        ),
    },
    "/api/v1/chat/messages/{message_id}/regenerate": {
        "POST": ASK(
            "turns:regenerate",
            "answer it anew",
            body="RegenerateBody",
            needs_body=False,
            query="StreamQuery",
        ),
    },
    "/api/v1/chat/keys": {
        "POST": Route(
            "keys:create_key",
            "make an API key",
            again="keys:key_was_shown",
            scope="manage",
            body="key_schemas:KeyBody",
            reply="NewKey",
            statuses=(201,),
            problems=(409,),
        ),
        "GET": Route("keys:list_keys", "one's own keys", scope="manage", reply="Keys"),
    },
    "/api/v1/chat/keys/{key_id}": {
        "DELETE": Route("keys:delete_key", "revoke one", scope="manage", reply="KeyRevoked"),
    },
    "/api/v1/chat/limits/{user_id}": {
        "GET": Route("limits:get_limits", "what a user may, and what is left of it", reply="Limits"),
        "PUT": Route(
            "limits:put_limits",
            "set what a user may",
            who="admin",
            scope="manage",
            body="limit_schemas:LimitsBody",
            reply="Limits",
            problems=(409,),
        ),
        "DELETE": Route(
            "limits:delete_limits",
            "back to the settings",
            who="admin",
            scope="manage",
            reply="Limits",
            problems=(409,),
        ),
    },
    "/chat": {
        "POST": Route(
            "doors:enter",
            "plan a trip, whole in one reply",
            again="doors:enter_again",
            reply="Trip",
            statuses=(200, 202),
            dialect="plan",
            name="plan_whole",
        ),
    },
    "/ws": {
        "GET": NEGOTIATE("the way to a socket", problems=(404,), dialect="chat", name="negotiate_chat"),
    },
    "/ws/chat": {
        "GET": NEGOTIATE("the way to a socket", problems=(404,), dialect="plan", name="negotiate_plan"),
    },
    "/api/v1/chat/sessions/{session_id}/websocket": {
        "GET": NEGOTIATE(
            "the way to a session's room", role="viewer", dialect="session", name="negotiate_session"
        ),
    },
    "/api/v1/chat/audit": {
        "GET": Route(
            "audit:list_audit",
            "what admins read of other people's",
            who="admin",
            query="CursorQuery",
            reply="Audit",
        ),
    },
    "/api/webpubsub/events": {
        "POST": TAKE_EVENT("what happens to sockets"),
        "OPTIONS": TAKE_EVENT("whether that is wanted"),
    },
    "/api/v1/chat/health": {
        "GET": HEALTH("how the service is"),
        "HEAD": HEALTH("the same in its status alone"),
    },
    "/api/openapi.json": {
        "GET": Route(
            "openapi:show_document",
            "this table, for machines",
            content="application/json",
            who="anyone",
            wants_routes=True,
        ),
    },
    "/api/docs": {
        "GET": Route(
            "docs_page:show_page", "the same as a page, for people", content="text/html", who="anyone"
        ),
    },
    **PROTOCOLS,
}

mend_worker()
app = func.FunctionApp(http_auth_level=func.AuthLevel[read_setting("CHAT_HTTP_AUTH_LEVEL")])

for path, methods, function in functions(ROUTES):
    # What clients read to learn how to sign in (RFC 8615) they ask for without any key.
    known = func.AuthLevel.ANONYMOUS if path.startswith(".well-known/") else None
    app.route(route=path, methods=methods, auth_level=known)(function)


@app.route(route="{*path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def fallback(req: Request) -> Response:
    from chat.routes.fallback import answer_rest

    return await answer_rest(req, ROUTES)


# What a browser asks before it lets a page ask has no key with it, whatever the page is going to send.
@app.route(route="{*path}", methods=["OPTIONS"], auth_level=func.AuthLevel.ANONYMOUS)
async def preflight(req: Request) -> Response:
    from chat.routes.fallback import answer_rest

    return await answer_rest(req, ROUTES)


def socket_trigger(event_type: str, event_name: str) -> None:
    """A Web PubSub trigger: one function for each event, since the extension matches names exactly."""

    async def take(request: str) -> dict[str, object] | None:
        from chat.pubsub import triggers

        return await triggers.answer(request)

    take.__name__ = f"socket_{event_name}" if event_type == "system" else f"socket_event_{event_name}"
    app.generic_trigger(
        arg_name="request",
        type="webPubSubTrigger",
        hub=read_setting("WebPubSubHub"),
        eventType=event_type,
        eventName=event_name,
    )(take)


has_sockets = any(map(read_setting, ("WebPubSubConnectionString", "WebPubSubConnectionString__serviceUri")))
if has_sockets and read_setting("CHAT_WEBPUBSUB_EVENTS") == "trigger":
    from chat.pubsub.names import EVENTS, SYSTEM_EVENTS

    for name in SYSTEM_EVENTS:
        socket_trigger("system", name)
    for name in EVENTS:
        socket_trigger("user", name)


@app.timer_trigger(schedule="0 * * * * *", arg_name="timer", run_on_startup=False, use_monitor=False)
async def sweep(timer: func.TimerRequest) -> None:
    from chat import timers

    await timers.sweep()
