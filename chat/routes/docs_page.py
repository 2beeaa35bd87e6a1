"""`/api/docs`: the OpenAPI document in a page (Swagger UI, as the package fastapi-offline carries it).

The page is one file with everything in it, so it asks for nothing but the document, and only what the page came with
may run: its policy names each script and style by its hash. It has the query that the page has, so a function key in
it (`?code=`) opens both.
"""

import base64
import gzip
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import Request, Response

from chat.app import ChatApp
from chat.errors import NotFound

PACKAGE = "fastapi_offline"
START = """SwaggerUIBundle({
  url: "openapi.json" + location.search, dom_id: "#page", deepLinking: true, docExpansion: "list",
  validatorUrl: null, tryItOutEnabled: true, displayRequestDuration: true
});"""
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Parley</title><link rel="icon" href="data:,"><style>{style}</style></head>
<body><div id="page"></div><script>{script}</script><script>{start}</script></body>
</html>
"""
POLICY = (
    "default-src 'none'; script-src {script} {start}; style-src {style}; img-src data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def show_page(_app: ChatApp, request: Request) -> Response:
    """`GET /api/docs`: for people, with nothing from elsewhere."""
    page, policy = _page()
    headers = {"content-security-policy": policy, "vary": "accept-encoding", "cache-control": "no-cache"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
    else:
        page = gzip.decompress(page)
    return Response(page, headers=headers, media_type="text/html")


@cache
def _page() -> tuple[bytes, str]:
    """The page, packed, and the policy that lets it run. NotFound where the package is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.origin:
        raise NotFound("The package fastapi-offline is missing.")
    assets = Path(spec.origin).parent / "static"
    script = (assets / "swagger-ui-bundle.js").read_text(encoding="utf-8")
    for begin in ("<!--", "<script"):  # within a script they would hide its end
        script = script.replace(begin, rf"\x3c{begin[1:]}")
    parts = {
        "style": (assets / "swagger-ui.css").read_text(encoding="utf-8"),
        "script": script,
        "start": START,
    }
    hashes = {name: _hash(text) for name, text in parts.items()}
    return gzip.compress(PAGE.format_map(parts).encode()), POLICY.format_map(hashes)


def _hash(text: str) -> str:
    """As a Content-Security-Policy writes it (https://www.w3.org/TR/CSP3/#grammardef-hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
