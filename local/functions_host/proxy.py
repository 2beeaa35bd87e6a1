"""Forwards an HTTP request to the worker's own port and its answer back, byte for byte, as the bytes arrive."""

import logging
from collections.abc import Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from local.functions_host import protos
from local.functions_host.functions import Function
from local.functions_host.worker import Worker

# Idle seconds after which the host gives up a request (its YARP ActivityTimeout).
ACTIVITY_TIMEOUT = 240
# The worker closes idle connections after 5 s; one that it is about to close must not be used again.
KEEP_ALIVE = 3
LONGEST_HEADER_BYTES = 32 * 1024
# RFC 9110 section 7.6.1: these concern one connection only.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)

log = logging.getLogger("local.functions_host")


class Proxy:
    """The way from the host to the worker. Use it as a context manager."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            timeout=aiohttp.ClientTimeout(total=None, sock_read=ACTIVITY_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=LONGEST_HEADER_BYTES,
            max_field_size=LONGEST_HEADER_BYTES,
        )

    async def __aenter__(self) -> "Proxy":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def forward(
        self, request: web.BaseRequest, function: Function, params: dict[str, str], added: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Call `function`. `added` are headers for the answer. When the client leaves, the worker's connection is
        closed; what the function is doing goes on."""
        await _expect_body(request)
        invocation = self._worker.open(function)
        with invocation.forwarding():
            invocation.begin(protos.http_data(params))
            try:
                upstream = await self._send(request, invocation.id)
            except aiohttp.ClientError as error:
                log.error("Forwarding to 'Functions.%s' failed: %s", function.name, error)
                return web.Response(status=502)
            try:
                return await _answer(request, upstream, added)
            finally:
                upstream.close()

    async def _send(self, request: web.BaseRequest, invocation_id: str) -> aiohttp.ClientResponse:
        headers = _passed_on(request.headers)
        headers["x-ms-invocation-id"] = invocation_id
        return await self._session.request(
            request.method,
            URL(f"{self._worker.http_uri}{request.raw_path}", encoded=True),
            headers=headers,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        )


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for name in headers.get("Connection", "").split(",")}
    dropped = HOP_BY_HOP | named
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


async def _expect_body(request: web.BaseRequest) -> None:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _answer(
    request: web.BaseRequest, upstream: aiohttp.ClientResponse, added: CIMultiDict[str]
) -> web.StreamResponse:
    response = web.StreamResponse(
        status=upstream.status, reason=upstream.reason, headers=_passed_on(upstream.headers)
    )
    response.headers.update(added)
    if _is_chunked(request, upstream):
        response.enable_chunked_encoding()
        if request.keep_alive and upstream.headers.get("Connection", "").lower() == "keep-alive":
            # It holds for the client's connection as well, and is what clients of streams look for.
            response.headers["Connection"] = "keep-alive"
    elif upstream.content_length is None and request.version < aiohttp.HttpVersion11:
        response.force_close()  # the end of the connection is all that marks the end of the body
    await response.prepare(request)
    try:
        async for piece in upstream.content.iter_any():
            await response.write(piece)
    except aiohttp.ClientError:
        # Cut off in the middle: the client must see that too, not a proper end.
        if request.transport:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def _is_chunked(request: web.BaseRequest, upstream: aiohttp.ClientResponse) -> bool:
    codings: Iterable[str] = upstream.headers.getall("Transfer-Encoding", ())
    return request.version >= aiohttp.HttpVersion11 and any("chunked" in each.lower() for each in codings)
