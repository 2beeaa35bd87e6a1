"""A client of the chat over real sockets: starts and follows turns as server-sent events, calls the REST routes."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp

from tests.support import canaries, described
from tests.support.described import check_frame, check_reply, dialect_of

DONE = "[DONE]"
TERMINAL = "99999999"
DEADLINE = 60.0  # seconds for one request, with the stream that it answers


async def eventually[T](found: Callable[[], Awaitable[T]], *, seconds: float, what: str) -> T:
    """The first true result of `found`; an assertion error when there is none in time."""
    deadline = monotonic() + seconds
    while not (result := await found()):
        assert monotonic() < deadline, f"no {what} within {seconds} s"
        await asyncio.sleep(0.02)
    return result


@dataclass(frozen=True, slots=True)
class Frame:
    """One event of a stream, and when it came (monotonic)."""

    data: str
    id: str
    at: float

    @property
    def payload(self) -> Any:
        return json.loads(self.data)

    @property
    def event(self) -> int:
        """The number of the turn's event that it shows."""
        return int(self.id.partition(".")[0])


class Stream:
    """An open stream. Reads LF only, so that any other line end shows as a frame that cannot be read."""

    def __init__(self, response: aiohttp.ClientResponse, dialect: str = "") -> None:
        self.response = response
        self._dialect = dialect
        self.status = response.status
        self.headers = response.headers
        self.seen: list[Frame] = []
        self._frames = self._read_frames()

    @property
    def session_id(self) -> str:
        return self.headers["x-session-id"]

    @property
    def turn_id(self) -> str:
        return self.headers["x-turn-id"]

    async def take(self, count: int) -> list[Frame]:
        """The next frames."""
        return [await anext(self._frames) for _ in range(count)]

    async def read(self) -> list[Frame]:
        """Every frame that is left, up to the end of the body."""
        return [frame async for frame in self._frames]

    def drop(self) -> None:
        """Break the connection as a client that was killed does."""
        self.response.close()

    async def aclose(self) -> None:
        await self._frames.aclose()

    async def _read_frames(self) -> AsyncGenerator[Frame]:
        assert self.status == 200, await self.response.text()
        rest = b""
        async for piece in self.response.content.iter_any():
            now = monotonic()
            canaries.look(piece, where="a stream")
            *blocks, rest = (rest + piece).split(b"\n\n")
            for block in blocks:
                if not block.startswith(b":"):  # a comment
                    self.seen.append(frame := _read_frame(block.decode(), now))
                    if self._dialect and frame.data != DONE:
                        check_frame(self._dialect, frame.payload)
                    yield frame
        assert not rest, f"the stream ended within a frame: {rest!r}"


def _read_frame(block: str, now: float) -> Frame:
    fields = dict(line.split(": ", 1) for line in block.split("\n"))
    assert fields.keys() <= {"id", "data"}, block
    return Frame(fields["data"], fields.get("id") or _seq(fields["data"]), now)


def _seq(data: str) -> str:
    """Where a stream has no ids, the frames themselves say where they are."""
    return "" if data == DONE else str(json.loads(data).get("seq", ""))


def text_of(frames: Iterable[Frame]) -> str:
    """What the frames of dialect `delta` say, joined."""
    said = (frame.payload for frame in frames if frame.data != DONE)
    return "".join(payload["delta"] for payload in said if payload["type"] == "text.delta")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that is no stream."""

    status: int
    headers: Mapping[str, str]
    body: Any  # what its JSON says


class ChatClient:
    """A user at one instance. What it is told is held against the OpenAPI document."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        user: str = "dev",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._http = http
        self.url = url
        self.user = user
        self.headers = {"x-dev-user": user, **(headers or {})}  # of each request

    def at(self, url: str) -> "ChatClient":
        """The same user at another instance."""
        return ChatClient(self._http, url, self.user, self.headers)

    def as_user(self, user: str) -> "ChatClient":
        return ChatClient(self._http, self.url, user)

    def as_admin(self, user: str = "root") -> "ChatClient":
        return ChatClient(self._http, self.url, user, {"x-dev-roles": "admin"})

    @asynccontextmanager
    async def open(self, method: str, path: str, **options: Any) -> AsyncGenerator[Stream]:
        """A request whose reply is read as a stream."""
        headers = {**self.headers, **options.pop("headers", {})}
        request = self._http.request(method, self.url + path, headers=headers, **options)
        dialect = dialect_of(path, options.get("json"))
        async with request as response, aclosing(Stream(response, dialect)) as stream:
            yield stream

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        """A request whose reply is JSON, or a failed turn in frames: then the first, which is a problem, too."""
        async with self.open(method, path, **options) as stream:
            body = await stream.response.read()
            canaries.look(body, where="a reply")
            canaries.look(str(stream.headers), where="the headers of a reply")
            if stream.status >= 400 and stream.headers["content-type"] == "text/event-stream":
                frame, done = body.split(b"\n\n", 1)
                assert done == b"data: [DONE]\n\n", body
                return Reply(stream.status, stream.headers, json.loads(frame.removeprefix(b"data: ")))
            assert stream.headers["content-type"] == "application/json", body
            reply = Reply(stream.status, stream.headers, json.loads(body))
            check_reply(method, path, reply.status, "application/json", reply.body)
            return reply

    def say(self, text: str, session_id: str | None = None) -> AbstractAsyncContextManager[Stream]:
        """`POST /api/chat/stream` with one message."""
        body = {"messages": [{"role": "user", "content": text}], "session_id": session_id}
        return self.open("POST", "/api/chat/stream", json=body)

    def ask(self, session_id: str, text: str, dialect: str = "chat") -> AbstractAsyncContextManager[Stream]:
        """A turn in a session that exists, as a stream."""
        path = f"/api/v1/chat/sessions/{session_id}/turns?dialect={dialect}"
        return self.open("POST", path, json={"content": text})

    def follow(
        self, turn_id: str, after: object = "", dialect: str = "delta", **options: Any
    ) -> AbstractAsyncContextManager[Stream]:
        """A turn that exists, as a stream."""
        query = f"?dialect={dialect}" + (f"&after={after}" if after != "" else "")
        return self.open("GET", f"/api/v1/chat/turns/{turn_id}/events{query}", **options)

    async def hear(self, text: str, session_id: str | None = None) -> "Heard":
        """Say something and read the whole answer."""
        async with self.say(text, session_id) as stream:
            return Heard(stream.session_id, stream.turn_id, await stream.read())

    async def new_session(self, **body: Any) -> str:
        return (await self.call("POST", "/api/v1/chat/sessions", json=body)).body["id"]

    async def messages(self, session_id: str, query: str = "") -> list[Any]:
        reply = await self.call("GET", f"/api/v1/chat/sessions/{session_id}/messages{query}")
        assert reply.status == 200, reply
        return reply.body["messages"]

    async def turn(self, turn_id: str) -> Any:
        return (await self.call("GET", f"/api/v1/chat/turns/{turn_id}")).body

    async def cancel(self, turn_id: str) -> Reply:
        return await self.call("POST", f"/api/v1/chat/turns/{turn_id}/cancel")

    async def running_turn(self, session_id: str, *, seconds: float = 5) -> str:
        """The id of the session's turn, once one runs."""

        async def running() -> Any:
            return (await self.call("GET", f"/api/v1/chat/sessions/{session_id}")).body["running_turn"]

        return await eventually(running, seconds=seconds, what="running turn")

    async def until_ended(self, turn_id: str, *, seconds: float = 10) -> Any:
        """The turn once it runs no more."""

        async def ended() -> Any:
            turn = await self.turn(turn_id)
            return turn if turn["status"] != "running" else None

        return await eventually(ended, seconds=seconds, what="end of the turn")


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer, and where it is kept."""

    session_id: str
    turn_id: str
    frames: list[Frame]

    @property
    def text(self) -> str:
        return text_of(self.frames)


@asynccontextmanager
async def connected(url: str, user: str = "dev") -> AsyncGenerator[ChatClient]:
    """A client of the instance at `url`; every request has a deadline."""
    await asyncio.to_thread(described.make_ready)  # else the first frame would wait for it
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=DEADLINE),
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        json_serialize=lambda value: json.dumps(value, ensure_ascii=False),
    ) as http:
        yield ChatClient(http, url, user)
