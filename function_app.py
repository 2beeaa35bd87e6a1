"""The map of the app: every route, then the triggers and the timer.

A row names its handler, and the model of its body, as `module:name` under `chat/routes`. They are imported with the
first request for it, so that a cold start pays only for what its first request needs.
"""

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from chat.routes.functions import functions
from chat.routes.route_table import Route, Routes
from chat.routes.worker import mend_worker
from chat.settings import read_setting

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
            body="schemas:NewSessionBody",
        ),
        "GET": Route("sessions:list_sessions", "list one's own sessions", for_others=True),
    },
    "/api/v1/chat/sessions/{session_id}": {
        "GET": Route("sessions:get_session", "one session", role="viewer", for_others=True),
        "PUT": Route(
            "sessions:update_session",
            "change title, model, settings",
            role="editor",
            body="schemas:SessionBody",
        ),
        "DELETE": Route(
            "sessions:delete_session", "delete it, with everything in it", role="owner", scope="manage"
        ),
    },
    "/api/v1/chat/sessions/{session_id}/messages": {
        "GET": Route("messages:list_messages", "its messages", role="viewer", for_others=True),
        "POST": Route(
            "messages:post_message",
            "store one; no model is asked",
            again="messages:post_again",
            role="editor",
            body="schemas:MessageBody",
        ),
    },
    "/api/v1/chat/sessions/{session_id}/members": {
        "GET": Route(
            "members:list_members", "who may read it, and who is there", role="viewer", for_others=True
        ),
    },
    "/api/v1/chat/sessions/{session_id}/members/{user_id}": {
        "PUT": Route(
            "members:put_member",
            "invite somebody, or change a role",
            role="owner",
            scope="manage",
            body="schemas:MemberBody",
        ),
        "DELETE": Route(
            "members:delete_member",
            "take somebody out, or an invitation back, or leave",
            role="owner",
            scope="manage",
        ),
    },
    "/api/v1/chat/sessions/{session_id}/owner": {
        "PUT": Route(
            "members:put_owner", "hand it over", role="owner", scope="manage", body="schemas:OwnerBody"
        ),
    },
    "/api/v1/chat/invitations": {
        "GET": Route("invitations:list_invitations", "what one is invited to", for_others=True),
    },
    "/api/v1/chat/invitations/{session_id}/accept": {
        "POST": Route("invitations:accept_invitation", "become a member", scope="manage"),
    },
    "/api/v1/chat/invitations/{session_id}/decline": {
        "POST": Route("invitations:decline_invitation", "stay out", scope="manage"),
    },
    "/api/v1/chat/sessions/{session_id}/turns": {
        "POST": Route(
            "turns:start_turn",
            "ask in it, and stream the answer",
            again="streams:stream_again",
            role="editor",
            body="schemas:TurnBody",
        ),
    },
    "/api/v1/chat/turns/{turn_id}": {
        "GET": Route("turns:get_turn", "how a turn stands", role="viewer", for_others=True),
    },
    "/api/v1/chat/turns/{turn_id}/events": {
        "GET": Route(
            "turns:follow_turn", "follow it, from the start or from any event", role="viewer", for_others=True
        ),
    },
    "/api/v1/chat/turns/{turn_id}/cancel": {
        "POST": Route("turns:cancel_turn", "stop it", role="editor"),
    },
    "/api/v1/chat/turns/{turn_id}/rerun": {
        "POST": Route(
            "plans:rerun",
            "run a plan again from a stage",
            again="streams:stream_again",
            role="editor",
            body="schemas:RerunBody",
        ),
    },
    "/api/v1/chat/messages/{message_id}/regenerate": {
        "POST": Route(
            "turns:regenerate",
            "answer it anew",
            again="streams:stream_again",
            role="editor",
            body="schemas:RegenerateBody",
            needs_body=False,
        ),
    },
    "/api/v1/chat/keys": {
        "POST": Route(
            "keys:create_key",
            "make an API key",
            again="keys:key_was_shown",
            scope="manage",
            body="key_schemas:KeyBody",
        ),
        "GET": Route("keys:list_keys", "one's own keys", scope="manage"),
    },
    "/api/v1/chat/keys/{key_id}": {
        "DELETE": Route("keys:delete_key", "revoke one", scope="manage"),
    },
    "/api/v1/chat/limits/{user_id}": {
        "GET": Route("limits:get_limits", "what a user may, and what is left of it"),
        "PUT": Route(
            "limits:put_limits",
            "set what a user may",
            who="admin",
            scope="manage",
            body="limit_schemas:LimitsBody",
        ),
        "DELETE": Route("limits:delete_limits", "back to the settings", who="admin", scope="manage"),
    },
    "/chat": {
        "POST": Route(
            "doors:enter",
            "plan a trip, whole in one reply",
            again="doors:enter_again",
            dialect="plan",
            name="plan_whole",
        ),
    },
    "/ws": {
        "GET": Route(
            "socket_routes:negotiate",
            "the way to a socket",
            dialect="chat",
            name="negotiate_chat",
        ),
    },
    "/ws/chat": {
        "GET": Route(
            "socket_routes:negotiate",
            "the way to a socket",
            dialect="plan",
            name="negotiate_plan",
        ),
    },
    "/api/v1/chat/sessions/{session_id}/websocket": {
        "GET": Route(
            "socket_routes:negotiate",
            "the way to a session's room",
            role="viewer",
            dialect="session",
            name="negotiate_session",
        ),
    },
    "/api/v1/chat/audit": {
        "GET": Route("audit:list_audit", "what admins read of other people's", who="admin"),
    },
    "/api/webpubsub/events": {
        "POST": Route("socket_routes:take_socket_event", "what happens to sockets", who="anyone"),
        "OPTIONS": Route("socket_routes:take_socket_event", "whether that is wanted", who="anyone"),
    },
    "/api/v1/chat/health": {
        "GET": Route("health:health", "how the service is", who="anyone"),
        "HEAD": Route("health:health", "the same in its status alone", who="anyone"),
    },
}

mend_worker()
app = func.FunctionApp(http_auth_level=func.AuthLevel[read_setting("CHAT_HTTP_AUTH_LEVEL")])

for path, methods, function in functions(ROUTES):
    app.route(route=path, methods=methods)(function)


@app.route(route="{*path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def fallback(req: Request) -> Response:
    from chat.routes import replies
    from chat.routes.fallback import no_such_route

    return replies.problem(no_such_route(ROUTES, req.scope["raw_path"].decode("latin-1")))


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
