"""The headers of every reply, and which of them let web pages of other origins in."""

import re
from collections.abc import AsyncGenerator, Callable, Generator, Mapping

import pytest
from aiohttp import web
from fastapi import Request, Response

from chat.app import ChatApp
from chat.errors import Forbidden
from chat.routes.fallback import answer_rest
from chat.routes.replies import answer_anyone
from chat.routes.reply_headers import READABLE, SENDABLE
from chat.routes.route_table import Route
from scripts.write_docs import read_routes
from tests.support.apps import make_app
from tests.support.browser import opened_page
from tests.support.clients import ChatClient, connected
from tests.support.source import modules
from tests.support.stack import Stack
from tests.support.web_server import served

PAGE, OTHER, ANY_PORT = "https://chat.example.com", "https://evil.example.com", "http://localhost:*"
NAMED = {"CHAT_CORS_ORIGINS": f"{PAGE},{ANY_PORT}"}
EVERYONE, COOKIES = {"CHAT_CORS_ORIGINS": "*"}, NAMED | {"CHAT_CORS_CREDENTIALS": "true"}
PATHS = {"/a": {"GET": Route("", ""), "POST": Route("", "")}, "/b/{id}": {"DELETE": Route("", "")}}
HARD = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


async def reply_to(
    monkeypatch: pytest.MonkeyPatch,
    settings: Mapping[str, str],
    headers: Mapping[str, str],
    handler: Callable[[ChatApp, Request], object] | None = None,
) -> Response:
    monkeypatch.setattr("chat.app._current", make_app(settings=settings).app)

    async def handle(app: ChatApp, request: Request) -> Response:
        reply = handler(app, request) if handler else Response("{}")
        assert isinstance(reply, Response)
        return reply

    return await answer_anyone(request("GET", "/a", headers), handle)


def request(method: str, path: str, headers: Mapping[str, str]) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": raw}
    return Request({"type": "http", "scheme": "http", "server": ("x", 80), **scope})


def allowed(reply: Response) -> tuple[str | None, str | None]:
    headers = reply.headers
    return headers.get("access-control-allow-origin"), headers.get("access-control-allow-credentials")


# (settings, origin of the page): the origin that is allowed, and whether with credentials.
ORIGINS: list[tuple[Mapping[str, str], str, str | None, str | None]] = [
    ({}, PAGE, None, None),
    (NAMED, PAGE, PAGE, None),
    (NAMED, "https://CHAT.example.com", "https://CHAT.example.com", None),
    (NAMED, OTHER, None, None),
    (NAMED, PAGE + ".evil.com", None, None),
    (NAMED, PAGE + ":8443", None, None),
    (NAMED, "http://chat.example.com", None, None),
    (NAMED, "http://localhost:5173", "http://localhost:5173", None),
    (NAMED, "http://localhost.evil.com:5173", None, None),
    (NAMED, "null", None, None),
    (NAMED, "", None, None),
    (EVERYONE, OTHER, "*", None),
    (EVERYONE, "null", None, None),
    (COOKIES, PAGE, PAGE, "true"),
    (COOKIES, OTHER, None, None),
]


@pytest.mark.parametrize(("settings", "origin", "expected", "credentials"), ORIGINS)
async def test_only_the_pages_of_the_setting_may_read(
    monkeypatch: pytest.MonkeyPatch,
    settings: Mapping[str, str],
    origin: str,
    expected: str | None,
    credentials: str | None,
) -> None:
    reply = await reply_to(monkeypatch, settings, {"origin": origin})
    assert allowed(reply) == (expected, credentials)
    assert reply.headers.get("vary") == ("origin" if settings else None)
    assert reply.headers["access-control-expose-headers"] == READABLE


async def test_a_request_of_no_page_gets_no_leave_and_varies(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = await reply_to(monkeypatch, NAMED, {})
    assert allowed(reply) == (None, None)
    assert reply.headers["vary"] == "origin"


def failing(error: Exception) -> Callable[[ChatApp, Request], object]:
    def fail(_app: ChatApp, _request: Request) -> object:
        raise error

    return fail


@pytest.mark.parametrize(("error", "status"), [(Forbidden(), 403), (RuntimeError("a bug"), 500)])
async def test_pages_may_read_what_went_wrong(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    reply = await reply_to(monkeypatch, NAMED, {"origin": PAGE}, failing(error))
    assert (reply.status_code, allowed(reply)) == (status, (PAGE, None))
    assert HARD.items() <= dict(reply.headers).items()


async def test_while_the_settings_are_wrong_no_page_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.app._current", None)
    for name in ("AZURE_AI_ENDPOINT", "AzureWebJobsStorage"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHAT_CORS_ORIGINS", PAGE)
    reply = await answer_rest(request("GET", "/a", {"origin": PAGE}), PATHS)
    assert (reply.status_code, allowed(reply)) == (503, (None, None))
    assert HARD.items() <= dict(reply.headers).items()


async def test_a_reply_may_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"content-security-policy": "default-src 'self'", "cache-control": "no-cache", "vary": "accept"}

    def page(_app: ChatApp, _request: Request) -> object:
        return Response("<p>", headers=own)

    reply = await reply_to(monkeypatch, NAMED, {}, page)
    assert (own | {"vary": "accept, origin"}).items() <= dict(reply.headers).items()


@pytest.mark.parametrize(
    ("headers", "said"),
    [({}, None), ({"x-forwarded-proto": "http"}, None), ({"x-forwarded-proto": "https"}, "max-age=31536000")],
)
async def test_browsers_stay_with_https_where_they_came_by_it(
    monkeypatch: pytest.MonkeyPatch, headers: Mapping[str, str], said: str | None
) -> None:
    reply = await reply_to(monkeypatch, {}, headers)
    assert reply.headers.get("strict-transport-security") == said


ASKS = {"origin": PAGE, "access-control-request-method": "POST"}
# (settings, path, headers): the status, the methods that are allowed.
PREFLIGHTS: list[tuple[Mapping[str, str], str, Mapping[str, str], int, str | None]] = [
    (NAMED, "/a", ASKS, 204, "GET, POST"),
    (NAMED, "/b/x", ASKS, 204, "DELETE"),
    (NAMED, "/nothing", ASKS, 404, None),
    (NAMED, "/a", ASKS | {"origin": OTHER}, 403, None),
    (NAMED, "/a", ASKS | {"origin": "null"}, 403, None),
    (EVERYONE, "/a", ASKS | {"origin": OTHER}, 204, "GET, POST"),
    (EVERYONE, "/a", ASKS | {"origin": "null"}, 403, None),
    (NAMED, "/a", {"origin": PAGE}, 405, None),
    (NAMED, "/a", {"access-control-request-method": "POST"}, 405, None),
    ({}, "/a", ASKS, 405, None),
    ({}, "/nothing", ASKS, 404, None),
]


@pytest.mark.parametrize(("settings", "path", "headers", "status", "methods"), PREFLIGHTS)
async def test_a_preflight_is_answered_from_the_table_of_routes(
    monkeypatch: pytest.MonkeyPatch,
    settings: Mapping[str, str],
    path: str,
    headers: Mapping[str, str],
    status: int,
    methods: str | None,
) -> None:
    monkeypatch.setattr("chat.app._current", make_app(settings=settings).app)
    reply = await answer_rest(request("OPTIONS", path, headers), PATHS)
    assert (reply.status_code, reply.headers.get("access-control-allow-methods")) == (status, methods)
    assert (reply.headers.get("access-control-allow-headers") == SENDABLE) is (status == 204)
    assert (reply.headers.get("access-control-max-age") == "600") is (status == 204)


NOT_OF_PAGES = {
    # read by a handler, and set by the browser itself or by none
    *("origin", "cookie", "content-encoding", "content-length", "x-forwarded-proto"),
    *("access-control-request-method", "www-authenticate", "x-chat-authorization"),
}


def test_pages_may_send_every_header_that_a_route_reads() -> None:
    """In the layers that see requests: those of socket events are read in `chat/pubsub`."""
    read = re.compile(r"""(?:headers\.get\(|read_header\(request, |headers\[)["']([a-z-]+)["']""")
    seen = [each for folder in ("chat/routes", "chat/auth") for each in modules(folder)]
    names = {name for each in seen for name in read.findall(each.text) if each.name != "chat.routes.worker"}
    written = {"allow", "accept-encoding", "connection", "strict-transport-security"}
    written |= {name for name in names if name.startswith("access-control-")}
    assert {"idempotency-key", "x-dev-user"} <= set(SENDABLE.split(", "))
    by_browsers = {"accept", "host", "disguised-host"}  # nobody has to be asked for these
    assert names - NOT_OF_PAGES - written - by_browsers <= set(SENDABLE.split(", "))


@pytest.fixture(scope="module")
def open_stack(page_origin: str) -> Generator[Stack]:
    """Its platform lets no page in, and asks for keys: so nothing but the app answers pages."""
    env = {"CHAT_CORS_ORIGINS": "http://127.0.0.1:*", "CHAT_HTTP_AUTH_LEVEL": "FUNCTION"}
    with Stack.start(env=env, flags=["--cors", "", "--enable-auth"]) as running:
        yield running


@pytest.fixture(scope="module")
def page_origin() -> str:
    return "http://127.0.0.1:4000"


@pytest.fixture
async def client(open_stack: Stack) -> AsyncGenerator[ChatClient]:
    async with connected(open_stack.url) as anybody:
        anybody.headers["x-functions-key"] = open_stack.function_key
        yield anybody


ROUTES = [(method, re.sub(r"{\w+}", "x", path)) for method, path, _ in read_routes()]


@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/nothing"), ("PUT", "/chat")])
async def test_every_route_has_the_headers_of_all(
    client: ChatClient, page_origin: str, method: str, path: str
) -> None:
    async with client.open(method, path, headers={"origin": page_origin}) as reply:
        headers = reply.headers
    if path == "/api/docs":  # a page has a policy of its own: see test_docs_page.py
        assert headers["x-content-type-options"] == "nosniff"
    else:
        assert HARD.items() <= headers.items()
        assert headers["cache-control"] == "no-store"
    assert headers.getall("access-control-allow-origin") == [page_origin]


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES} - {"/api/webpubsub/events"}))
async def test_the_preflight_of_every_route_needs_no_key(
    open_stack: Stack, page_origin: str, path: str
) -> None:
    asked = {"origin": page_origin, "access-control-request-method": "POST"}
    async with connected(open_stack.url) as anybody, anybody.open("OPTIONS", path, headers=asked) as reply:
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, page_origin)
        methods = {method for method, each in ROUTES if each == path}
        assert set(reply.headers["access-control-allow-methods"].split(", ")) == methods


async def test_a_stream_has_them_too(client: ChatClient, page_origin: str) -> None:
    async with client.open(
        "POST",
        "/api/chat/stream",
        json={"messages": [{"role": "user", "content": "Hi"}]},
        headers={"origin": page_origin},
    ) as stream:
        assert HARD.items() <= stream.headers.items()
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["access-control-allow-origin"] == page_origin
        assert await stream.read()


async def test_a_platform_that_lets_pages_in_as_well_doubles_nothing(stack: Stack) -> None:
    page = "http://localhost:3000"  # as local.settings.json.example has it for the host
    host = stack.add_host({"CHAT_CORS_ORIGINS": page})
    async with connected(host.wait_ready()) as anybody:
        for method in ("GET", "OPTIONS"):
            asked = {"origin": page, "access-control-request-method": "GET"}
            async with anybody.open(method, "/api/v1/chat/sessions", headers=asked) as reply:
                assert reply.headers.getall("access-control-allow-origin") == [page]
                assert len(reply.headers.getall("vary")) == 1
    host.stop()


READ = """(async (app, key) => {
    const reply = await fetch(`${app}/api/chat/stream`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-dev-user": "ann", "x-functions-key": key },
        body: JSON.stringify({ messages: [{ role: "user", content: "#chunks=3" }] }),
    });
    const session = reply.headers.get("x-session-id");
    const own = await fetch(`${app}/api/v1/chat/sessions/${session}`, {
        headers: { "x-dev-user": "bob", "x-functions-key": key },
    });
    return { type: reply.type, text: await reply.text(), session, status: own.status, problem: await own.json() };
})"""


@pytest.fixture
async def page_url() -> AsyncGenerator[str]:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    async with served(app) as url:
        yield url


async def test_a_browser_reads_a_stream_and_a_problem_of_another_port(
    open_stack: Stack, page_url: str, tool: Callable[[str], str]
) -> None:
    async with opened_page(tool("chromium"), page_url) as page:
        found = await page.run(f"{READ}('{open_stack.url}', '{open_stack.function_key}')")
    assert found["type"] == "cors"
    assert "word3" in found["text"] and found["text"].endswith("data: [DONE]\n\n")
    assert found["session"]
    assert (found["status"], found["problem"]["error_code"]) == (404, "SESSION_NOT_FOUND")


async def test_a_browser_keeps_a_stream_from_a_page_that_is_not_named(
    stack: Stack, page_url: str, tool: Callable[[str], str]
) -> None:
    async with opened_page(tool("chromium"), page_url) as page:
        assert await page.run(f"{READ}('{stack.url}', '').catch((error) => error.name)") == "TypeError"
