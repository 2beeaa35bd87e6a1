"""The model stand-in: an HTTP server that answers chat completions as an Azure model-router deployment does, and
Responses.

`make_app` is the whole server, `serve` runs it. Paths with /openai are Azure's, the bare /v1 is the plain protocol
of every compatible service, /api/v1 is OpenRouter's, and /serving-endpoints are agents of Databricks.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web

from local.half_open import answer_half_open
from local.model_server.answers import Answer, ordered_answer
from local.model_server.chat_request import ChatRequest, read_request
from local.model_server.chunks import Chunks
from local.model_server.directives import PLAIN, DirectiveError, Directives, parse
from local.model_server.ledger import Ledger
from local.model_server.line import ClientLeft, Dropped, Line
from local.model_server.playback import Playback
from local.model_server.problems import Problem, content_filter_problem
from local.model_server.response_events import ResponseEvents
from local.model_server.response_request import read_response_request
from local.model_server.rules import rule_answer

CHOSEN_MODEL = "gpt-5-mini-2025-08-07"
OPENROUTER, AUTO, CHOSEN_BY_AUTO = "/api/v1/", "openrouter/auto", "openai/gpt-5-mini"
AGENTS = "/serving-endpoints"
MAX_BODY_BYTES = 32 * 1024 * 1024
SHUTDOWN_SECONDS = 0.2  # aiohttp waits twice as long for who does not read

LEDGER = web.AppKey("ledger", Ledger)
STOPPING = web.AppKey("stopping", asyncio.Event)
NUMBERS = web.AppKey("numbers", itertools.count)


def make_app() -> web.Application:
    """The server as an application, for `serve` and for aiohttp's own test server."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[LEDGER] = Ledger()
    app[STOPPING] = asyncio.Event()
    app[NUMBERS] = itertools.count(1)
    app.on_shutdown.append(_stop)
    for prefix in ("/openai/v1", "/openai/deployments/{name}", "/v1", "/api/v1"):
        app.router.add_post(f"{prefix}/chat/completions", complete)
    for path in ("/openai/v1", "/v1", "/api/v1", AGENTS, f"{AGENTS}/{{name}}"):
        app.router.add_post(path + ("/invocations" if "{" in path else "/responses"), respond)
    for prefix in ("/openai/v1", "/openai/deployments/{name}", "/openai", "/v1", "/api/v1"):
        app.router.add_get(f"{prefix}/models", list_models)
    app.router.add_get("/_model/requests", show_requests)
    app.router.add_get("/_model/connections", show_connections)
    app.router.add_post("/_model/reset", reset)
    app.router.add_route("*", "/{path:.*}", nothing_here)
    return app


type _Answering = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str]:
    """Runs the server and gives its address, `http://127.0.0.1:8089`. Port 0 picks a free one."""
    runner = web.AppRunner(make_app(), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _stop(app: web.Application) -> None:
    app[STOPPING].set()


async def complete(request: web.Request) -> web.StreamResponse:
    """`POST .../chat/completions`"""
    return await _counted(request, _answer_chat)


async def respond(request: web.Request) -> web.StreamResponse:
    """`POST .../responses`, and `POST .../invocations` of one agent"""
    return await _counted(request, _answer_response)


async def _counted(request: web.Request, answer: _Answering) -> web.StreamResponse:
    answer_half_open(request)
    ledger = request.app[LEDGER]
    raw = await request.read()
    await asyncio.sleep(0)  # what came together with the request is heard before the answer begins
    ledger.note(request, raw)
    ledger.opened()
    by_client = False
    try:
        return await answer(request, raw)
    except Problem as problem:
        return _problem_reply(problem)
    except (ClientLeft, ConnectionError):  # aiohttp raises more than one kind while it writes
        by_client = True
    except Dropped:
        pass
    finally:
        ledger.ended(by_client=by_client)
    return web.Response()  # to a connection that is closed: nobody sees it


async def _answer_chat(request: web.Request, raw: bytes) -> web.StreamResponse:
    check_key(request)
    check_version(request)
    chat = read_request(raw)
    if request.path.startswith(OPENROUTER):  # it reports usage unasked
        chat = replace(chat, include_usage=True)
    directives = _directives(request, chat)
    if directives.serve:
        raise Problem(400, "Chat completions know no calls that the service runs.", code="unknown_directive")
    return await _play(request, chat, directives, _chunks(request, chat, directives))


async def _answer_response(request: web.Request, raw: bytes) -> web.StreamResponse:
    check_key(request)
    check_version(request)
    agent = request.path.startswith(AGENTS)
    chat = read_response_request(raw, agent=agent)
    directives = _directives(request, chat)
    events = ResponseEvents(
        number=next(request.app[NUMBERS]),
        created=int(time.time()),
        model=directives.model or _chosen_model(request, chat),
        agent=agent,
    )
    return await _play(request, chat, directives, events)


async def _play(
    request: web.Request, chat: ChatRequest, directives: Directives, frames: Chunks | ResponseEvents
) -> web.StreamResponse:
    line = Line(request, request.app[STOPPING])
    await line.wait_until(time.monotonic() + directives.delay / 1000)
    _refuse(directives)
    playback = Playback(line, _compose(chat, directives), frames, directives)
    if chat.stream:
        return await playback.stream(request, prompt_words=chat.prompt_words(), usage=chat.include_usage)
    return await playback.whole(request, prompt_words=chat.prompt_words())


def _compose(chat: ChatRequest, directives: Directives) -> Answer:
    answer = ordered_answer(directives, chat) or rule_answer(chat)
    if directives != PLAIN:
        answer.rate = None
    answer.max_tokens = chat.max_tokens
    return answer


def _chunks(request: web.Request, chat: ChatRequest, directives: Directives) -> Chunks:
    return Chunks(
        number=next(request.app[NUMBERS]),
        created=int(time.time()),
        model=directives.model or _chosen_model(request, chat),
        azure=is_azure(request),
        usage=chat.include_usage,
    )


def _chosen_model(request: web.Request, chat: ChatRequest) -> str:
    """Who answers: a router's choice, or whoever was asked for."""
    asked = str(chat.body.get("model") or CHOSEN_MODEL)
    if request.path.startswith(OPENROUTER) and asked == AUTO:
        return CHOSEN_BY_AUTO
    return CHOSEN_MODEL if is_azure(request) else asked


def _directives(request: web.Request, chat: ChatRequest) -> Directives:
    text = chat.last_user_text
    try:
        directives = parse(text)
    except DirectiveError as error:
        raise Problem(400, str(error), code="unknown_directive") from None
    if directives.times is not None and request.app[LEDGER].count(text) > directives.times:
        return replace(
            directives,
            status=None,
            filter=False,
            filter_after=None,
            error_after=None,
            cut=None,
            stall=None,
            malformed=None,
        )
    return directives


def _refuse(directives: Directives) -> None:
    if directives.filter:
        raise content_filter_problem()
    if directives.status is not None:
        wait = directives.retry_after
        raise Problem(directives.status, headers={} if wait is None else {"retry-after": f"{wait:g}"})


def is_azure(request: web.Request) -> bool:
    return request.path.startswith("/openai/")


def check_key(request: web.Request) -> None:
    """Any key will do, but none is 401."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not request.headers.get("api-key") and not (scheme.lower() == "bearer" and token.strip()):
        raise Problem(401)


def check_version(request: web.Request) -> None:
    """`/openai/deployments` asks for an api-version, `/openai/v1` knows only two."""
    version = request.query.get("api-version")
    if request.path.startswith("/openai/deployments/") and not version:
        raise Problem(404)
    if request.path.startswith("/openai/v1/") and version not in {None, "v1", "preview"}:
        raise Problem(400, "API version not supported", code="BadRequest")


def _problem_reply(problem: Problem) -> web.Response:
    return web.json_response(problem.body, status=problem.status, headers=problem.headers)


async def list_models(request: web.Request) -> web.Response:
    """`GET .../models`"""
    try:
        check_key(request)
    except Problem as problem:
        return _problem_reply(problem)
    names = ("model-router", CHOSEN_MODEL)
    models = [{"id": name, "object": "model", "created": 1754524800, "owned_by": "parley"} for name in names]
    return web.json_response({"object": "list", "data": models})


async def nothing_here(_: web.Request) -> web.Response:
    """All other paths, the retired inference route `/models/chat/completions` among them."""
    return _problem_reply(Problem(404))


async def show_requests(request: web.Request) -> web.Response:
    """`GET /_model/requests?last=N`"""
    number = request.query.get("last", "1")
    if not number.isdecimal():
        return _problem_reply(Problem(400, "last must be a number"))
    return web.json_response(request.app[LEDGER].last(int(number)))


async def show_connections(request: web.Request) -> web.Response:
    """`GET /_model/connections`"""
    return web.json_response(request.app[LEDGER].counts())


async def reset(request: web.Request) -> web.Response:
    """`POST /_model/reset`"""
    request.app[LEDGER].reset()
    return web.json_response(request.app[LEDGER].counts())
