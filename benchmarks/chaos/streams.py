"""The HTTP half of the driver: requests to either instance, and answers read as streams, whatever becomes of them."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

SILENCE = 45.0  # seconds without a byte: heartbeats come every 15
REQUEST = 150.0  # seconds for one reply, however long; a request may wait 100 for its turn
CALL = 30.0  # seconds for a reply that is no stream
DONE = "[DONE]"
LOST = (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError)


@dataclass(slots=True)
class Segment:
    """One reply as far as it was read: a record of the journal. Those of one reader have the same `reader`."""

    reader: str
    session: str
    user: str
    dialect: str
    instance: int
    after: str = ""  # where it went on
    marker: str = ""  # of the message that it answers, where this reader sent it
    turn: str = ""
    status: int = 0
    stream: bool = False  # whether the reply was one
    code: str = ""  # of a problem, or of the error frame at the end
    text: str = ""
    last_id: str = ""  # of the last whole frame that had one
    ends: int = 0  # terminal frames
    beyond: int = 0  # frames after the terminal one
    away: bool = False  # ended by the word that the store cannot be read, not by the turn's end
    how: str = ""  # whole, torn, dropped (by us), hanging
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    retry_after: str = ""

    @property
    def over(self) -> bool:
        """Whether the reader knows how the turn ended."""
        return self.ends > 0 and not self.away

    def record(self) -> dict[str, Any]:
        self.ended = time.time()
        return asdict(self)


def take(segment: Segment, event_id: str, data: str) -> None:
    """One frame of dialect `delta` or `chat`."""
    if segment.ends:
        segment.beyond += 1
    if data == DONE:
        segment.ends += 1
        return
    payload = json.loads(data)
    event_id = event_id or str(payload.get("seq") or "")  # some streams have no ids
    segment.last_id = event_id or segment.last_id
    match payload["type"]:
        case "text.delta":
            segment.text += payload["delta"]
        case "error":
            segment.code, segment.away = payload["code"], not event_id
        case "chat_chunk" if payload["payload"]["done"]:
            segment.ends += 1
        case "chat_chunk":
            segment.text += payload["payload"]["text"]
        case "chat_error":
            segment.ends += 1
            segment.code, segment.away = payload["payload"]["code"], payload.get("seq") == 0
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: Any

    @property
    def code(self) -> str:
        return self.body.get("error_code", "") if isinstance(self.body, dict) else ""


class Door:
    """Both instances, for anybody."""

    def __init__(self, http: aiohttp.ClientSession, urls: list[str]) -> None:
        self.http, self.urls = http, urls

    async def call(self, user: str, method: str, path: str, *, instance: int, **options: Any) -> Reply | None:
        """A reply that is JSON; None where nothing came."""
        try:
            async with (
                asyncio.timeout(CALL),
                self.http.request(
                    method, self.urls[instance] + path, headers={"x-dev-user": user}, **options
                ) as response,
            ):
                return Reply(response.status, json.loads(await response.read() or b"null"))
        except LOST:
            return None

    async def read(
        self, segment: Segment, method: str, path: str, *, drop_after: int = 0, **options: Any
    ) -> Segment:
        """Read a stream to its end, or leave it after `drop_after` frames."""
        headers = {"x-dev-user": segment.user, **options.pop("headers", {})}
        url = self.urls[segment.instance] + path
        try:
            async with (
                asyncio.timeout(REQUEST),
                self.http.request(method, url, headers=headers, **options) as response,
            ):
                segment.status = response.status
                segment.turn = response.headers.get("x-turn-id", segment.turn)
                segment.session = response.headers.get("x-session-id", segment.session)
                segment.retry_after = response.headers.get("retry-after", "")
                segment.stream = response.content_type == "text/event-stream"
                if not segment.stream:
                    segment.code = json.loads(await response.read())["error_code"]
                    segment.how = "whole"
                    return segment
                await _frames(segment, response, drop_after)
        except LOST as error:
            segment.how = "hanging" if isinstance(error, TimeoutError) else "torn"
            segment.code = segment.code or type(error).__name__
        except asyncio.CancelledError:
            segment.how = "hanging"
            raise
        return segment


async def _frames(segment: Segment, response: aiohttp.ClientResponse, drop_after: int) -> None:
    count, rest = 0, b""
    async for piece in response.content.iter_any():
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            if block.startswith(b":"):
                continue
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            take(segment, fields.get("id", ""), fields["data"])
            count += 1
        if drop_after and count >= drop_after and not segment.ends:
            segment.how = "dropped"
            response.close()
            return
    segment.how = "torn" if rest else "whole"


@asynccontextmanager
async def open_door(urls: list[str]) -> AsyncGenerator[Door]:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE),
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        yield Door(http, urls)
