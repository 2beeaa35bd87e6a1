"""Turns as streams of JSON messages that are read by place (docs/protocols.md): the read side of Durable Streams.

https://github.com/durable-streams/durable-streams/blob/main/PROTOCOL.md, 1.0. What members read is theirs alone. Who
came by a link is told the same as all others who did, so that a cache may answer them: long polls at one place are one
request, and what they are told leads them all to the same next place.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import orjson
from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.clock import iso
from chat.dialects.framing import HEARTBEAT
from chat.errors import ChatError, RequestError, ValidationError
from chat.routes.replies import json_reply
from chat.routes.streams import FrameResponse, find_dialect
from chat.routes.turn_stream_schemas import LinkBody
from chat.telemetry import record
from chat.turns.feed import LiveTurn
from chat.turns.stream_log import PAYLOADS, Chunk, StreamLog, next_moment

POLL = 15.0  # seconds for which a member's long poll waits
SHARED_POLL = (
    4.0  # by a link: a cache (nginx: 5 s) lets those go on alone who wait too long for another's reply
)
CONNECTED = 60.0  # seconds after which a stream of events has its reader come again
FRESH, STALE = 60, 300  # seconds for which a reply may be used again, and while it is asked for anew
GROWING = 1  # seconds, for one that ends where the turn has got to
FIRST_INTERVAL, INTERVAL = datetime(2024, 10, 9, tzinfo=UTC), 20  # of cursors
MODES = ("long-poll", "sse")


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked for."""

    dialect: str
    live: str  # "" catches up
    after: int | None  # a place; None is the end
    cursor: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Who reads what."""

    app: ChatApp
    principal: Principal
    live: LiveTurn
    log: StreamLog
    ask: Ask

    @property
    def after(self) -> int:
        return self.log.tail if self.ask.after is None else self.ask.after

    def cursor(self, to: int) -> str:
        """Of a reply that leads to a place. By the place, so that all who are there ask the same; above the one that
        came and the interval that it is, so that no reply leads a cache in a circle."""
        start = int((self.live.turn.started_at - FIRST_INTERVAL).total_seconds()) // INTERVAL
        return str(max(start + to, self.ask.cursor + 1))

    def caching(self, seconds: float, stale: float = 0) -> str:
        """For so long a reply may be used again; by a link, not when that has ended."""
        if not self.principal.link:
            return f"private, max-age={seconds:.0f}" + (f", stale-while-revalidate={stale}" if stale else "")
        assert self.principal.expires is not None
        left = int((self.principal.expires - self.app.clock.now()).total_seconds())
        fresh = min(int(seconds), left)
        if fresh <= 0:
            return "no-store"
        stale = min(stale, left - fresh)
        return f"public, max-age={fresh}" + (f", stale-while-revalidate={stale}" if stale else "")


async def read_stream(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET` and `HEAD /api/streams/turns/{turn_id}`: the frames of a dialect from a place on, as a JSON array; with
    `live` also what comes, as soon as it comes, or as events."""
    ask, turn_id = _read_ask(app, request), request.path_params["turn_id"]
    if principal.link:
        live = await app.runner.open_linked(turn_id)
    else:
        live = await app.runner.open(principal.user_id, turn_id)
    reading = Reading(app, principal, live, app.logs.of(live, app.dialects[ask.dialect]), ask)
    if request.method == "HEAD":
        return _told(reading)
    if ask.live == "sse":
        return _events(reading)
    if ask.live == "long-poll":
        return await _long_poll(reading)
    return _catch_up(reading, request.headers.get("if-none-match", ""))


async def make_link(app: ChatApp, principal: Principal, request: Request, body: LinkBody) -> Response:
    """`POST /api/streams/turns/{turn_id}/links`: whoever has the link reads this turn in this dialect until it ends,
    members or not, and whatever becomes of who made it. It ends with its session, too."""
    turn = await app.turns.get_turn(principal.user_id, request.path_params["turn_id"], need="editor")
    dialect = find_dialect(app, body.dialect)
    ends = app.clock.now().replace(microsecond=0) + timedelta(seconds=body.seconds)
    key = await app.links.key(turn.id, dialect, ends=ends)
    record("turn_link_made", turn_id=turn.id, user_id=principal.user_id, expires_at=iso(ends))
    url = f"/api/streams/turns/{quote(turn.id)}?dialect={quote(dialect)}&key={key}"
    return json_reply({"url": url, "expires_at": iso(ends)}, status=201)


def _read_ask(app: ChatApp, request: Request) -> Ask:
    """RequestError, which is a 400: so the protocol has it."""
    query = request.query_params
    live, given, cursor = query.get("live"), query.getlist("offset"), query.get("cursor", "")
    if live is not None and live not in MODES:
        raise _wrong("live", f"Not one of {', '.join(MODES)}")
    if len(given) > 1 or given == [""]:
        raise _wrong("offset", "Must be given once")
    if live and not given:
        raise _wrong("offset", "Must be given with `live`")
    try:
        dialect = find_dialect(app, query.get("dialect"))
    except ValidationError as error:
        raise _wrong(error.field, error.message) from None
    number = int(cursor) if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 else 0
    return Ask(dialect, live or "", _read_offset(given[0] if given else "-1"), number)


def _read_offset(text: str) -> int | None:
    if text == "now":
        return None
    if text == "-1":
        return 0
    number, dot, count = text.partition(".")
    if not dot or [*map(len, (number, count))] != [8, 4] or not (number + count).isascii():
        raise _wrong("offset", "Must be one that a reply has told, `-1` or `now`")
    if not (number + count).isdigit():
        raise _wrong("offset", "Must be one that a reply has told, `-1` or `now`")
    return int(number) * PAYLOADS + int(count)


def _wrong(field: str, message: str) -> RequestError:
    return RequestError(message, details={"field": field})


def _offset(place: int) -> str:
    number, count = divmod(place, PAYLOADS)
    return f"{number:08d}.{count:04d}"


def _headers(reading: Reading, to: int, *, up_to_date: bool, closed: bool) -> dict[str, str]:
    found = {"stream-next-offset": _offset(to), "cross-origin-resource-policy": "cross-origin"}
    if up_to_date:
        found["stream-up-to-date"] = "true"
    if closed:
        found["stream-closed"] = "true"
    else:
        found["stream-cursor"] = reading.cursor(to)
    if reading.principal.link and reading.principal.expires is not None:
        found["stream-expires-at"] = iso(reading.principal.expires)
    return found


def _told(reading: Reading) -> Response:
    log = reading.log
    headers = _headers(reading, log.tail, up_to_date=False, closed=log.closed)
    return Response(headers={**headers, "content-type": "application/json", "cache-control": "no-store"})


def _catch_up(reading: Reading, known: str) -> Response:
    after = reading.after
    chunk = reading.log.read(after)
    caching = reading.caching(FRESH, STALE)
    if chunk.up_to_date and not chunk.closed:
        caching = reading.caching(GROWING)
    if reading.ask.after is None:
        caching = "no-store"
    return _reply(reading, chunk, caching, known)


def _reply(reading: Reading, chunk: Chunk, caching: str, known: str = "") -> Response:
    headers = _headers(reading, chunk.to, up_to_date=chunk.up_to_date, closed=chunk.closed)
    place = f"{reading.live.turn.id}:{reading.ask.dialect}:{_offset(reading.after)}:{_offset(chunk.to)}"
    etag = f'"{place}{":closed" if chunk.closed else ""}"'
    headers |= {"cache-control": caching, "etag": etag}
    if etag in known or known.strip() == "*":  # quoted as it is, it stands in a list too, be it as a weak one
        return Response(status_code=304, headers=headers)
    return Response(chunk.body, headers=headers, media_type="application/json")


async def _long_poll(reading: Reading) -> Response:
    log, after = reading.log, reading.after
    patience = SHARED_POLL if reading.principal.link else POLL
    if not log.has_more(after):
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await _more(reading, after)
    if log.has_more(after) and not log.has_more(after, most=log.shown()):
        await next_moment()
        log.take_in(reading.live)
    chunk = log.read(after, most=log.shown()) if log.has_more(after) else Chunk([], after, True, False)
    if chunk.messages:
        return _reply(reading, chunk, reading.caching(FRESH))
    headers = _headers(reading, chunk.to, up_to_date=chunk.up_to_date, closed=chunk.closed)
    caching = reading.caching(FRESH if chunk.closed else patience)
    return Response(status_code=204, headers={**headers, "cache-control": caching})


async def _more(reading: Reading, after: int) -> None:
    """Until something follows the place."""
    app, log, live = reading.app, reading.log, reading.live
    async with aclosing(app.readers.follow(live, reading.principal, after=log.last)) as batches:
        async for _ in batches:
            log.take_in(live)
            if log.has_more(after):
                return


def _events(reading: Reading) -> Response:
    headers = {
        "content-type": "text/event-stream",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
        "cross-origin-resource-policy": "cross-origin",
    }
    return FrameResponse(_event_body(reading), headers=headers)


async def _event_body(reading: Reading) -> AsyncGenerator[bytes]:
    """What is there at once, then what comes. Whoever's stream breaks off comes again with the last place, and is told
    then with a status why, if it does not go on."""
    app, log, after = reading.app, reading.log, reading.after
    idle = app.settings.heartbeat or POLL
    until = asyncio.get_running_loop().time() + CONNECTED
    app.connections += 1
    try:
        frames, after, closed = _frames(reading, after)
        yield frames
        follow = app.readers.follow(reading.live, reading.principal, after=log.last, idle=idle)
        with suppress(ChatError):
            async with aclosing(follow) as batches:
                while not closed and asyncio.get_running_loop().time() < until:
                    batch = await anext(batches, None)
                    if batch is None:
                        return
                    log.take_in(reading.live)
                    if log.has_more(after):
                        frames, after, closed = _frames(reading, after)
                        yield frames
                    elif not batch:
                        yield HEARTBEAT
    finally:
        app.connections -= 1


def _frames(reading: Reading, after: int) -> tuple[bytes, int, bool]:
    """All that follows a place, the place behind it, and whether that is the end."""
    found: list[bytes] = []
    while True:
        chunk = reading.log.read(after)
        after = chunk.to
        if chunk.messages:
            found.append(b"event: data\ndata:%s\n\n" % chunk.body)
        found.append(b"event: control\ndata:%s\n\n" % orjson.dumps(_control(reading, chunk)))
        if chunk.up_to_date:
            return b"".join(found), after, chunk.closed


def _control(reading: Reading, chunk: Chunk) -> dict[str, str | bool]:
    """What the headers of a reply say otherwise."""
    control: dict[str, str | bool] = {"streamNextOffset": _offset(chunk.to)}
    if not chunk.closed:
        control["streamCursor"] = reading.cursor(chunk.to)
    if chunk.up_to_date:
        control["upToDate"] = True
    return control | ({"streamClosed": True} if chunk.closed else {})
