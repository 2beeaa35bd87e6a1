"""Every trigger and route of Parley, a few lines each: the map of the app.

A handler is imported on first use, so that a cold start pays only for what its first request needs. A function under
the FastAPI extension takes its `Request` and is annotated with one plain class.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

from chat.routes.worker import mend_worker
from chat.settings import read_setting

mend_worker()
app = func.FunctionApp(http_auth_level=func.AuthLevel[read_setting("CHAT_HTTP_AUTH_LEVEL")])

CHAT = "api/v1/chat"
ROUTES: list[tuple[str, tuple[str, ...]]] = []

type HttpFunction = Callable[[Request], Awaitable[Response]]


def route(path: str, *methods: str) -> Callable[[HttpFunction], HttpFunction]:
    """An HTTP trigger, noted so that a wrong method can be told from a wrong path."""
    ROUTES.append((path, methods))
    return app.route(route=path, methods=list(methods))


@route("api/chat/stream", "POST")
async def chat_stream(req: Request) -> Response:
    from chat.routes import doors, replies

    return await replies.answer(req, partial(doors.enter, dialect="delta"))


@route(f"{CHAT}/sessions", "POST")
async def create_session(req: Request) -> Response:
    from chat.routes import replies, sessions

    return await replies.answer(req, sessions.create_session)


@route(f"{CHAT}/sessions", "GET")
async def list_sessions(req: Request) -> Response:
    from chat.routes import replies, sessions

    return await replies.answer(req, sessions.list_sessions)


@route(f"{CHAT}/sessions/{{session_id}}", "GET")
async def get_session(req: Request) -> Response:
    from chat.routes import replies, sessions

    return await replies.answer(req, sessions.get_session)


@route(f"{CHAT}/sessions/{{session_id}}", "PUT")
async def update_session(req: Request) -> Response:
    from chat.routes import replies, sessions

    return await replies.answer(req, sessions.update_session)


@route(f"{CHAT}/sessions/{{session_id}}", "DELETE")
async def delete_session(req: Request) -> Response:
    from chat.routes import replies, sessions

    return await replies.answer(req, sessions.delete_session)


@route(f"{CHAT}/sessions/{{session_id}}/messages", "GET")
async def list_messages(req: Request) -> Response:
    from chat.routes import messages, replies

    return await replies.answer(req, messages.list_messages)


@route(f"{CHAT}/sessions/{{session_id}}/messages", "POST")
async def post_message(req: Request) -> Response:
    from chat.routes import messages, replies

    return await replies.answer(req, messages.post_message)


@route(f"{CHAT}/sessions/{{session_id}}/members", "GET")
async def list_members(req: Request) -> Response:
    from chat.routes import members, replies

    return await replies.answer(req, members.list_members)


@route(f"{CHAT}/sessions/{{session_id}}/members/{{user_id}}", "PUT")
async def put_member(req: Request) -> Response:
    from chat.routes import members, replies

    return await replies.answer(req, members.put_member)


@route(f"{CHAT}/sessions/{{session_id}}/members/{{user_id}}", "DELETE")
async def delete_member(req: Request) -> Response:
    from chat.routes import members, replies

    return await replies.answer(req, members.delete_member)


@route(f"{CHAT}/sessions/{{session_id}}/turns", "POST")
async def start_turn(req: Request) -> Response:
    from chat.routes import replies, turns

    return await replies.answer(req, turns.start_turn)


@route(f"{CHAT}/turns/{{turn_id}}/rerun", "POST")
async def rerun(req: Request) -> Response:
    from chat.routes import plans, replies

    return await replies.answer(req, plans.rerun)


@route("chat", "POST")
async def plan_whole(req: Request) -> Response:
    from chat.routes import doors, replies

    return await replies.answer(req, partial(doors.enter, dialect="plan"))


@route(f"{CHAT}/messages/{{message_id}}/regenerate", "POST")
async def regenerate(req: Request) -> Response:
    from chat.routes import replies, turns

    return await replies.answer(req, turns.regenerate)


@route(f"{CHAT}/turns/{{turn_id}}", "GET")
async def get_turn(req: Request) -> Response:
    from chat.routes import replies, turns

    return await replies.answer(req, turns.get_turn)


@route(f"{CHAT}/turns/{{turn_id}}/events", "GET")
async def follow_turn(req: Request) -> Response:
    from chat.routes import replies, turns

    return await replies.answer(req, turns.follow_turn)


@route(f"{CHAT}/turns/{{turn_id}}/cancel", "POST")
async def cancel_turn(req: Request) -> Response:
    from chat.routes import replies, turns

    return await replies.answer(req, turns.cancel_turn)


@route("ws", "GET")
async def negotiate_chat(req: Request) -> Response:
    from chat.routes import replies, socket_routes

    return await replies.answer(req, partial(socket_routes.negotiate, dialect="chat"))


@route("ws/chat", "GET")
async def negotiate_plan(req: Request) -> Response:
    from chat.routes import replies, socket_routes

    return await replies.answer(req, partial(socket_routes.negotiate, dialect="plan"))


@route(f"{CHAT}/sessions/{{session_id}}/websocket", "GET")
async def negotiate_session(req: Request) -> Response:
    from chat.routes import replies, socket_routes

    return await replies.answer(req, partial(socket_routes.negotiate, dialect="session"))


@route("api/webpubsub/events", "POST", "OPTIONS")
async def take_socket_event(req: Request) -> Response:
    from chat.routes import replies, socket_routes

    return await replies.answer_anyone(req, socket_routes.take_event)


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


@route(f"{CHAT}/health", "GET", "HEAD")
async def health(req: Request) -> Response:
    from chat.routes import health, replies

    return await replies.answer_anyone(req, health.health)


@app.route(route="{*path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def fallback(req: Request) -> Response:
    from chat.routes import replies
    from chat.routes.fallback import no_such_route

    return replies.problem(no_such_route(ROUTES, req.scope["raw_path"].decode("latin-1")))


@app.timer_trigger(schedule="0 * * * * *", arg_name="timer", run_on_startup=False, use_monitor=False)
async def sweep(timer: func.TimerRequest) -> None:
    from chat import timers

    await timers.sweep()
