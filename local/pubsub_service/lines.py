"""What goes out to one WebSocket: a queue and the one task that writes."""

import asyncio
import contextlib
from collections import deque

from aiohttp import web

SLOW = 1008  # policy violation: the client does not keep up
CLOSING = 2.0  # seconds that a client has to answer a close


class Line:
    """The outgoing side of a socket. More than `limit` frames behind, the client is closed."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, *, limit: int) -> None:
        self._socket, self._request, self._limit = socket, request, limit
        self._frames: deque[str | bytes] = deque()
        self._closing: tuple[int, str] | None = None
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._write())

    @property
    def behind(self) -> int:
        """Frames that are not written yet."""
        return len(self._frames)

    def put(self, frame: str | bytes) -> None:
        if self._closing is None:
            self._frames.append(frame)
            if len(self._frames) > self._limit:
                self._frames.clear()
                self.close(SLOW, "SlowClient")
                # It may not take the close either.
                asyncio.get_running_loop().call_later(CLOSING, self.abort)
            self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Close once all is written."""
        self._closing = self._closing or (code, reason)
        self._wake.set()

    def abort(self) -> None:
        """Cut the connection, without a word."""
        self._task.cancel()
        if self._request.transport is not None:
            self._request.transport.abort()

    async def ended(self) -> None:
        """The socket is gone: stop writing."""
        if self._closing is None:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while self._closing is None or self._frames:
                while self._frames:
                    await self._send(self._frames.popleft())
                if self._closing is None:
                    self._wake.clear()
                    await self._wake.wait()
            code, reason = self._closing
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSING):
                    await self._socket.close(code=code, message=reason.encode()[:120])

    async def _send(self, frame: str | bytes) -> None:
        if isinstance(frame, str):
            await self._socket.send_str(frame)
        else:
            await self._socket.send_bytes(frame)
