"""Clients that send a request and close their side at once, as `nc` does, and wait for the reply on the other.

aiohttp takes the end of what a client sends for the client's leaving. The two look alike; a client that leaves does so
in the middle of its request, later, or when it has seen a part of the answer.
"""

import asyncio
import time

from aiohttp import web

TOGETHER = 0.05  # seconds after a request within which its client's end belongs to it
WAITING = 60.0  # seconds for which such a client is believed to wait; one that is gone is noticed when it is written to


class _HalfOpen(asyncio.Protocol):
    """Hands everything on to aiohttp's own protocol but the end of what the client sends."""

    def __init__(self, inner: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._inner, self._transport = inner, transport
        self.request: web.BaseRequest | None = None
        self.began = 0.0

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        if time.monotonic() - self.began > TOGETHER or not self._waits():
            return self._inner.eof_received()
        self._inner.close()  # once the request is answered
        asyncio.get_running_loop().call_later(WAITING, self._transport.close)
        return True

    def _waits(self) -> bool:
        request = self.request
        return request is not None and request.content.is_eof() and not request.writer.output_size

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()


def answer_half_open(request: web.BaseRequest) -> None:
    """Call it when a request came: its answer goes out though the client sends no more."""
    transport = request.transport
    if transport is None:
        return
    protocol = transport.get_protocol()
    if not isinstance(protocol, _HalfOpen):
        protocol = _HalfOpen(request.protocol, transport)
        transport.set_protocol(protocol)
    protocol.request, protocol.began = request, time.monotonic()
