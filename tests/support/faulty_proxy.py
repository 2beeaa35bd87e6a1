"""A TCP proxy between a client and a service on this machine, which loses replies, refuses, and freezes on demand.

async with faulty_proxy(port) as proxy:
    proxy.lose_reply(b"$batch")     # the next request with these bytes arrives, but its reply does not
    proxy.tear_reply(b"GET")        # ... but only the beginning of its reply does
    proxy.freeze(); proxy.thaw()    # nothing passes in between; what was sent meanwhile arrives late
    proxy.refuse()                  # connections are closed
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class FaultyProxy:
    """One listening port before a service."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.lost = 0  # replies that were lost, or torn
        self._target = target
        self._losing: list[tuple[bytes, int]] = []  # parts of requests, and what may pass of each reply
        self._refusing = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lose_reply(self, request: bytes, *, times: int = 1) -> None:
        """Lose the replies to the next `times` requests that have these bytes in their first packet."""
        self._losing += [(request, 0)] * times

    def tear_reply(self, request: bytes, *, times: int = 1, size: int = 1000) -> None:
        """As `lose_reply`, but so many bytes of each reply arrive. It must be longer."""
        self._losing += [(request, size)] * times

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def refuse(self) -> None:
        """Close all connections, and every new one at once."""
        self._refusing = True
        self.close_connections()

    def accept(self) -> None:
        """The reverse of `refuse`."""
        self._refusing = False

    def close_connections(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            if not self._refusing:
                await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the client is told by the closed connection
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_service = await asyncio.open_connection("127.0.0.1", self._target)
        losing = asyncio.Future[int]()
        back = asyncio.create_task(self._replies(to_service[0], writer, losing))
        try:
            while data := await reader.read(65536):
                await self._flowing.wait()
                self._mark(data, losing)
                to_service[1].write(data)
                await to_service[1].drain()
        finally:
            back.cancel()
            to_service[1].close()

    async def _replies(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, losing: asyncio.Future[int]
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                if losing.done():
                    self.lost += 1
                    writer.write(data[: losing.result()])
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    def _mark(self, data: bytes, losing: asyncio.Future[int]) -> None:
        for request, size in self._losing:
            if request in data and not losing.done():
                self._losing.remove((request, size))
                losing.set_result(size)
                return


@asynccontextmanager
async def faulty_proxy(target: int) -> AsyncGenerator[FaultyProxy]:
    """A proxy on a free port until the block ends."""
    proxy = FaultyProxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.thaw()
        proxy.close_connections()
