"""The headers that every reply of ours has: for browsers, and for the web pages of other origins.

The rules for those pages are https://fetch.spec.whatwg.org/#http-cors-protocol. They say whose pages may read an
answer, not who may ask: that is for sign-in.
"""

from collections.abc import Collection, Mapping

from fastapi import Request, Response

from chat.errors import Forbidden
from chat.routes.mcp_versions import METHOD, NAME, VERSION
from chat.settings import Settings
from chat.settings.values import has_origin

SECURITY: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Unless the reply says otherwise."""

YEAR = 31_536_000  # seconds for which a browser asks by https alone, once it was answered so
PREFLIGHT = 600  # seconds for which a browser remembers what a page may send

READABLE = ", ".join(
    (
        *("x-session-id", "x-turn-id", "retry-after", "allow", "ratelimit", "ratelimit-policy", "etag"),
        "www-authenticate",
        *(f"stream-{what}" for what in ("next-offset", "cursor", "up-to-date", "closed", "expires-at")),
        *("x-workflow-run-id", "x-workflow-stream-tail-index"),
        "x-should-retry",
        *(
            f"x-ratelimit-{what}-{unit}"
            for unit in ("requests", "tokens")
            for what in ("limit", "remaining", "reset")
        ),
    )
)
"""The headers of ours that pages of other origins may read. Said even where the platform lets the pages in: its setting
knows nothing of headers."""

OPENAI = tuple(
    f"x-stainless-{name}"
    for name in (
        *("lang", "package-version", "os", "arch", "runtime", "runtime-version"),
        *("retry-count", "timeout", "helper-method"),
    )
)
"""What OpenAI's client sends unasked, also from a page."""

SENDABLE = ", ".join(
    (
        *("authorization", "content-type", "idempotency-key", "last-event-id", "x-run-id", "x-functions-key"),
        *("if-none-match", "x-session-id"),
        *("x-api-key", "x-zumo-auth", "x-user-id", "x-user-roles", "x-dev-user", "x-dev-roles"),
        *OPENAI,
        *(VERSION, METHOD, NAME, "x-ms-useragent"),
    )
)
"""The headers that our routes read, or clients send, and that pages of other origins may therefore send."""


def finished(reply: Response, request: Request, settings: Settings | None) -> Response:
    """The reply, with the headers of all. Without settings, which may be wrong, no page is let in."""
    for name, value in SECURITY.items():
        reply.headers.setdefault(name, value)
    reply.headers["access-control-expose-headers"] = READABLE
    if request.headers.get("x-forwarded-proto", request.url.scheme).startswith("https"):
        reply.headers["strict-transport-security"] = f"max-age={YEAR}"
    if settings is not None and settings.cors_origins:
        reply.headers.update(_page_headers(request, settings))
        reply.headers.add_vary_header("origin")
    return reply


def answer_preflight(request: Request, settings: Settings, methods: Collection[str]) -> Response:
    """What a page may send to a path that has these methods. Forbidden for a page of another origin."""
    if not _page_headers(request, settings):
        raise Forbidden("Web pages of this origin may not ask here: see CHAT_CORS_ORIGINS.")
    return Response(
        status_code=204,
        headers={
            "access-control-allow-methods": ", ".join(sorted(methods)),
            "access-control-allow-headers": SENDABLE,
            "access-control-max-age": str(PREFLIGHT),
        },
    )


def is_preflight(request: Request) -> bool:
    """Whether a browser asks what a page may ask."""
    headers = request.headers
    return request.method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _page_headers(request: Request, settings: Settings) -> dict[str, str]:
    """Who may read the answer; nothing for pages that may not, `null` always among them: every sandbox is called so."""
    origin = request.headers.get("origin", "null")
    if origin == "null":
        return {}
    if "*" in settings.cors_origins:
        return {"access-control-allow-origin": "*"}
    if not has_origin(settings.cors_origins, origin):
        return {}
    allowed = {"access-control-allow-origin": origin}
    return allowed | {"access-control-allow-credentials": "true"} if settings.cors_credentials else allowed
