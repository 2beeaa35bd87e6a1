"""Writes replies: JSON, and refusals, which are problems as in docs/protocol.md, section 1, or what the dialect of a
route says instead."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
import pydantic
from fastapi import Request, Response

from chat.app import ChatApp, current_app
from chat.auth.base import Principal
from chat.conversation import Turn
from chat.dialects.base import Reply
from chat.dialects.catalogue import DIALECTS
from chat.dialects.shapes import failure_headers, retry_after, show_failure, show_problem
from chat.errors import ChatError, EncodedBody, MethodNotAllowed, Misconfigured, SlowBody
from chat.events import JSON, TurnFailed
from chat.routes.admission import admit
from chat.routes.limit_headers import with_limits
from chat.routes.once import Handler, once
from chat.routes.origins import own_address
from chat.routes.reply_headers import finished
from chat.routes.requests import check_head, check_path, read_body
from chat.routes.route_table import Route
from chat.settings import Settings, SettingsError
from chat.telemetry import record_error

type BodyHandler[Body] = Callable[[ChatApp, Principal, Request, Body], Awaitable[Response]]
type OpenHandler = Callable[[ChatApp, Request], Awaitable[Response]]


async def answer(request: Request, handler: Handler, route: Route) -> Response:
    """The reply of a handler to a caller who may ask, or the problem it ran into."""

    async def handle(app: ChatApp, request: Request) -> Response:
        check_path(request)
        return await once(app, await admit(app, request, route), request, route, handler)

    return await answer_anyone(request, handle, route.words)


async def answer_body[Body: pydantic.BaseModel](
    request: Request, handler: BodyHandler[Body], route: Route, model: type[Body]
) -> Response:
    """The same, of a handler that takes what the body says."""

    async def handle(app: ChatApp, principal: Principal, request: Request) -> Response:
        empty = b"null" if route.needs_body else b"{}"
        body = await read_body(request, model, limit=app.settings.max_body_bytes, empty=empty)
        return await handler(app, principal, request, body)

    return await answer(request, handle, route)


async def answer_anyone(request: Request, handler: OpenHandler, words: str = "") -> Response:
    """The same as `answer`, without asking who it is; `words` are those of the dialect in which it is refused. Every
    reply of ours goes out here."""
    settings: Settings | None = None
    try:
        app = await current_app()
        settings = app.settings
        check_head(request)
        reply = await handler(app, request)
    except ChatError as error:
        reply = refused(error, words)
    except SettingsError as error:
        record_error("misconfigured", error)
        reply = refused(Misconfigured(details={"settings": list(error.wrong)}), words)
    except Exception as error:
        record_error("request_failed", error, path=request.url.path)
        reply = refused(ChatError(), words)
    if reply.status_code == 401 and settings is not None:
        _tell_where(reply, request, settings, words)
    return finished(reply, request, settings)


def json_reply(value: JSON, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON body."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def refused(error: ChatError, words: str = "") -> Response:
    """The HTTP face of an error: a problem, or as this dialect refuses."""
    door = DIALECTS[words].door if words else None
    show = (door and door.refusal) or _problem
    reply = shown_reply(show(error))
    for name, value in _refusal_headers(error).items():
        reply.headers.setdefault(name, value)
    return with_limits(reply, getattr(error, "standing", None))


def _tell_where(reply: Response, request: Request, settings: Settings, words: str) -> None:
    """Where a stranger can sign in, on the routes of a dialect whose clients ask for that."""
    door = DIALECTS[words].door if words else None
    if door and door.signs_in_by and "jwt" in settings.auth and settings.jwt_issuers:
        where = f"{own_address(request)}{door.signs_in_by}"
        reply.headers["www-authenticate"] = f'Bearer resource_metadata="{where}"'


def shown_reply(reply: Reply) -> Response:
    """What a dialect answers."""
    return Response(reply.body, reply.status, dict(reply.headers))


def _problem(error: ChatError) -> Reply:
    return Reply(error.status, orjson.dumps(show_problem(error)), {"content-type": "application/json"})


def _refusal_headers(error: ChatError) -> dict[str, str]:
    """Those that HTTP wants, whatever the body looks like."""
    headers = retry_after(error.status, getattr(error, "retry_after", None))
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)  # RFC 9110, section 15.5.6
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"  # section 11.6.1; no scheme for which a browser asks by itself
    if isinstance(error, EncodedBody):
        headers["accept-encoding"] = "identity"  # section 12.5.3
    if isinstance(error, SlowBody):
        headers["connection"] = "close"  # section 15.5.9: the rest of the body is not waited for
    return headers


def turn_problem(failed: TurnFailed, turn: Turn) -> Response:
    """The HTTP face of a turn that failed before it said anything. The user's message is kept: the headers say
    where."""
    return json_reply(show_failure(failed), status=failed.status, headers=failure_headers(turn, failed))
