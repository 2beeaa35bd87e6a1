"""A user at a socket: negotiates over HTTP, connects, and keeps what comes. Simple, JSON and reliable JSON."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.support import canaries
from tests.support.clients import ChatClient
from tests.support.described import check_frame, on_sockets

PLAIN = "json.webpubsub.azure.v1"
RELIABLE = "json.reliable.webpubsub.azure.v1"
WAIT = 10.0  # seconds for a frame


@dataclass
class Socket:
    """One open socket. `frames` is what came, as the payloads of its dialect; `times` when (monotonic, wall)."""

    url: str
    protocol: str = ""
    frames: list[Any] = field(default_factory=list[Any])
    times: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    connection_id: str = ""
    dialect: str = ""  # whose frames it must get; "" where that is not known
    close_code: int = 0
    close_reason: str = ""
    _read: int = 0  # frames that `next` has passed
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _token: str = ""

    async def open(self, url: str = "") -> None:
        protocols = [Subprotocol(self.protocol)] if self.protocol else None
        self._socket: ClientConnection = await connect(url or self.url, subprotocols=protocols, max_size=None)
        self._reader = asyncio.create_task(self._listen())

    async def say(self, **frame: Any) -> None:
        """A frame of its dialect."""
        await self.send(frame)

    async def send(self, frame: Any) -> None:
        if self.protocol:
            frame = {"type": "event", "event": "message", "dataType": "json", "data": frame}
        await self._socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def raw(self, text: str | bytes) -> None:
        await self._socket.send(text)

    async def next(self, found: Callable[[Any], bool] = lambda _: True, *, seconds: float = WAIT) -> Any:
        """The next frame like that; what comes before it is passed over."""
        deadline = monotonic() + seconds
        while True:
            while self._read < len(self.frames):
                self._read += 1
                if found(self.frames[self._read - 1]):
                    return self.frames[self._read - 1]
            self._news.clear()
            left = deadline - monotonic()
            assert left > 0, f"nothing like that came; the last was {self.frames[-1:]}"
            assert not self._reader.done(), f"the socket closed with {self.close_code}"
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                continue

    async def of(self, kind: str, *, seconds: float = WAIT, **more: Any) -> Any:
        """The next frame of a type, with these fields."""
        return await self.next(
            lambda each: isinstance(each, dict) and each.get("type") == kind and more.items() <= each.items(),
            seconds=seconds,
        )

    def cut(self) -> None:
        """Lose the connection, as when a network goes."""
        self._socket.transport.abort()

    async def recover(self) -> None:
        """Come back as a reliable client does."""
        await self._reader
        await self.open(
            f"{self.url}&awps_connection_id={self.connection_id}&awps_reconnection_token={self._token}"
        )

    async def until_closed(self, *, seconds: float = WAIT) -> int:
        async with asyncio.timeout(seconds):
            await self._reader
        return self.close_code

    async def aclose(self) -> None:
        await self._socket.close()
        await self._reader

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                canaries.look(message, where="a frame")
                await self._take(str(message))
        except ConnectionClosed:
            pass
        finally:
            self.close_code = self._socket.close_code or 0
            self.close_reason = self._socket.close_reason or ""
            self._news.set()

    async def _take(self, text: str) -> None:
        if not self.protocol:
            self._keep(json.loads(text) if text.startswith("{") else text)
            return
        frame = json.loads(text)
        match frame["type"]:
            case "system" if frame["event"] == "connected":
                self.connection_id = frame["connectionId"]
                self._token = frame.get("reconnectionToken", self._token)
            case "message":
                self._keep(frame["data"])
                if "sequenceId" in frame:
                    with suppress(ConnectionClosed):  # what came before the close is still to be read
                        await self._socket.send(
                            json.dumps({"type": "sequenceAck", "sequenceId": frame["sequenceId"]})
                        )
            case _:
                pass

    def _keep(self, frame: Any) -> None:
        if self.dialect and not isinstance(frame, str):
            check_frame(self.dialect, frame)
        self.frames.append(frame)
        self.times.append((monotonic(), time()))
        self._news.set()


async def negotiate(client: ChatClient, path: str = "/ws") -> Any:
    reply = await client.call("GET", path)
    assert reply.status == 200, reply
    return reply.body


def room(session_id: str) -> str:
    """Where one negotiates for a session's room."""
    return f"/api/v1/chat/sessions/{session_id}/websocket"


@asynccontextmanager
async def socket_of(client: ChatClient, path: str = "/ws", *, protocol: str = "") -> AsyncGenerator[Socket]:
    """An open socket, from negotiation to its close."""
    address = await negotiate(client, path)
    socket = Socket(address["url"], protocol, dialect=on_sockets(address["dialect"]))
    await socket.open()
    try:
        yield socket
    finally:
        await socket.aclose()


def said(frames: list[Any]) -> str:
    """The text of an answer in dialect `session`, by the rule that its deltas have: content[:offset] + delta, counted
    in UTF-16. Whatever is shown whole between them must say the same."""
    content = b""
    for frame in frames:
        if isinstance(frame, dict) and frame.get("type") == "message_delta":
            content = content[: 2 * frame["offset"]] + frame["delta"].encode("utf-16-le")
        for whole in grown([frame]):
            assert whole["content"] == content.decode("utf-16-le")
    return content.decode("utf-16-le")


def grown(frames: list[Any]) -> list[Any]:
    """The messages that are shown whole while they grow."""
    updates = [each for each in frames if isinstance(each, dict) and each.get("type") == "message_update"]
    return [each["message"] for each in updates if each["action"] == "updated" and "turn_id" in each]
