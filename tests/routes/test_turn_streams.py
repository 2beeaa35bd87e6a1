"""Turns as durable streams, by the handlers themselves: places, waits, caching, links."""

import asyncio
import itertools
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import pytest
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import (
    ChatError,
    CredentialEnded,
    RequestError,
    TurnNotFound,
    Unauthenticated,
    ValidationError,
)
from chat.events import TERMINAL_NUMBER
from chat.providers.scripted import Script
from chat.routes import turn_streams
from chat.routes.admission import admit
from chat.routes.protocols.durable_streams import ROUTES
from chat.routes.turn_stream_schemas import LinkBody
from chat.schemas.fields import validate
from chat.turns.stream_log import GATHER
from tests.support.apps import TestApp, make_app
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, lines, words
from tests.support.virtual_time import VirtualClock, virtual

PATH = "/api/streams/turns/{turn_id}"
END = f"{TERMINAL_NUMBER:08d}.0000"


@dataclass
class World:
    """A turn, and an instance that reads it: the one that makes it, or another over the same store."""

    maker: TestApp
    reader: TestApp
    clock: VirtualClock
    turn_id: str = ""

    async def asked(self, text: str = "Hello") -> "World":
        live = await self.maker.app.runner.start(ask(text, user_id="dev"))
        self.turn_id = live.turn.id
        return self

    async def read(
        self,
        query: str = "",
        *,
        method: str = "GET",
        user: str = "dev",
        headers: Mapping[str, str] | None = None,
        turn_id: str = "",
    ) -> Response:
        """Through the gate."""
        given = {"x-dev-user": user, **(headers or {})}
        request = Request(
            {
                "type": "http",
                "method": method,
                "path": "/x",
                "path_params": {"turn_id": turn_id or self.turn_id},
                "query_string": query.removeprefix("?").encode(),
                "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            }
        )
        app = self.reader.app
        return await turn_streams.read_stream(app, await admit(app, request, ROUTES[PATH]["GET"]), request)

    async def link(self, **body: Any) -> str:
        """The query of a new one."""
        request = Request({"type": "http", "path_params": {"turn_id": self.turn_id}, "headers": []})
        principal = await self.reader.app.authenticate({"x-dev-user": "dev"})
        made = await turn_streams.make_link(self.reader.app, principal, request, LinkBody(**body))
        return urlsplit(orjson.loads(made.body)["url"]).query


@asynccontextmanager
async def world(*scripts: Script, elsewhere: bool = False) -> AsyncGenerator[World]:
    clock = VirtualClock()
    store = MemoryStore(clock)
    maker = make_app(*scripts, store=store, clock=clock)
    reader = make_app(store=store, clock=clock) if elsewhere else maker
    yield World(maker, reader, clock)
    await maker.app.close()
    if elsewhere:
        await reader.app.close()


def text_of(messages: list[Any]) -> str:
    return "".join(each.get("delta", "") for each in messages)


def messages(reply: Response) -> list[Any]:
    return orjson.loads(reply.body) if reply.body else []


async def events(reply: Response) -> list[tuple[str, Any]]:
    """`(event, data)` of each, without comments."""
    assert isinstance(reply, StreamingResponse)
    body = b"".join([cast("bytes", each) async for each in reply.body_iterator])
    blocks = [block.decode() for block in body.split(b"\n\n") if block and not block.startswith(b":")]
    found = [re.fullmatch(r"event: (\w+)\ndata:(.*)", block) for block in blocks]
    return [(each[1], orjson.loads(each[2])) for each in found if each]


async def polled(here: World, query: str = "") -> tuple[str, list[Response]]:
    """All long polls from the start to the end."""
    replies = [await here.read(f"offset=-1&live=long-poll{query}")]
    while "stream-closed" not in replies[-1].headers:
        headers = replies[-1].headers
        cursor = headers["stream-cursor"]
        at = headers["stream-next-offset"]
        replies.append(await here.read(f"cursor={cursor}&live=long-poll&offset={at}{query}"))
    return text_of([message for each in replies for message in messages(each)]), replies


@virtual
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_turn_that_runs_is_polled_to_its_end_on_any_instance(elsewhere: bool) -> None:
    async with world(lines(30, 0.1), elsewhere=elsewhere) as here:
        await here.asked()
        text, replies = await polled(here)
        assert text == words(30)
        assert replies[-1].headers["stream-up-to-date"] == "true"
        assert {each.status_code for each in replies} <= {200, 204}
        offsets = [each.headers["stream-next-offset"] for each in replies]
        cursors = [int(each.headers["stream-cursor"]) for each in replies if "stream-cursor" in each.headers]
        assert offsets == sorted(offsets) and cursors == sorted(set(cursors))


@virtual
async def test_whoever_drops_at_any_offset_goes_on_behind_it() -> None:
    async with world(["a", "b", "c"]) as here:
        await here.asked()
        await here.maker.wait_for_turns()
        whole = messages(await here.read())
        offsets = ["-1", *(f"{number:08d}.0001" for number in range(12)), "00000099.0000"]
        for offset in offsets:
            for live in ("", "&live=long-poll", "&live=sse"):
                reply = await here.read(f"offset={offset}{live}")
                if live == "&live=sse":
                    rest = [each for name, data in await events(reply) if name == "data" for each in data]
                else:
                    rest = messages(reply)
                number = 0 if offset == "-1" else int(offset[:8])
                assert rest == [each for each in whole if each["seq"] > number]


@virtual
async def test_every_payload_of_an_event_has_its_own_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.turns.stream_log.CHUNK", 1)
    async with world(["a", "b", "c"]) as here:
        await here.asked()
        await here.maker.wait_for_turns()
        at, found = "-1", list[Any]()
        for _ in range(3):
            reply = await here.read(f"offset={at}")
            found += messages(reply)
            at = reply.headers["stream-next-offset"]
            closed = "stream-closed" in reply.headers
            assert closed == (len(found) == 3) == ("stream-up-to-date" in reply.headers)
            assert reply.headers["cache-control"].startswith("private, max-age=60")
        assert text_of(found) == "abc"


@virtual
async def test_the_end_is_told_at_once_and_an_offset_beyond_what_was_stored_reaches_it() -> None:
    async with world([]) as here:
        await here.asked()
        await here.maker.wait_for_turns()
        began = here.clock.monotonic()
        for offset in ("-1", "00000500.0003", END):
            reply = await here.read(f"live=long-poll&offset={offset}&dialect=plan")
            if reply.status_code == 204:
                assert reply.headers["stream-closed"] == "true"
            else:
                assert [each["type"] for each in messages(reply)] == ["error"]
        assert here.clock.monotonic() - began < 1


@virtual
async def test_a_head_tells_where_the_end_is() -> None:
    async with world(["a", 60.0, "b"]) as here:
        await here.asked()
        await asyncio.sleep(1)
        head = await here.read(method="HEAD")
        assert head.body == b"" and head.headers["cache-control"] == "no-store"
        assert "stream-closed" not in head.headers
        assert head.headers["stream-next-offset"] == (await here.read()).headers["stream-next-offset"]
        await asyncio.sleep(70)
        assert (await here.read(method="HEAD")).headers["stream-closed"] == "true"


@virtual
async def test_now_is_the_end_and_is_not_kept() -> None:
    async with world(["a", 5.0, "b"]) as here:
        await here.asked()
        await asyncio.sleep(1)
        now = await here.read("offset=now")
        assert (now.body, now.headers["cache-control"]) == (b"[]", "no-store")
        assert now.headers["stream-up-to-date"] == "true"
        reply = await here.read("offset=now&live=long-poll")
        assert text_of(messages(reply)) == "b"


@virtual
async def test_a_long_poll_that_hears_nothing_says_so_with_a_greater_cursor() -> None:
    async with world(["a", 100.0, "b"]) as here:
        await here.asked()
        await asyncio.sleep(1)
        first = await here.read()
        at, cursor = (first.headers[name] for name in ("stream-next-offset", "stream-cursor"))
        began = here.clock.monotonic()
        reply = await here.read(f"cursor={cursor}&live=long-poll&offset={at}")
        assert here.clock.monotonic() - began == pytest.approx(turn_streams.POLL, abs=0.5)
        assert (reply.status_code, reply.headers["stream-next-offset"]) == (204, at)
        assert int(reply.headers["stream-cursor"]) > int(cursor)
        assert reply.headers["stream-up-to-date"] == "true"


@virtual
async def test_readers_who_began_at_different_times_are_at_one_place_with_one_cursor() -> None:
    async with world(lines(200, 0.05)) as here:
        await here.asked()
        key = "&" + await here.link()
        places: dict[int, set[tuple[str, str]]] = {}

        async def follow(after: float) -> None:
            await asyncio.sleep(after)
            reply = await here.read("offset=-1" + key)
            while "stream-closed" not in reply.headers:
                at, cursor = (reply.headers[name] for name in ("stream-next-offset", "stream-cursor"))
                moment = int(here.clock.monotonic() / GATHER)
                places.setdefault(moment, set()).add((at, cursor))
                reply = await here.read(f"cursor={cursor}&live=long-poll&offset={at}{key}")

        await asyncio.gather(*(follow(number * 0.137) for number in range(20)))
        settled = [found for moment, found in sorted(places.items())][25:-1]
        assert settled and all(len(found) == 1 for found in settled)


@virtual
async def test_events_are_pairs_of_data_and_control_to_the_end() -> None:
    async with world(lines(5, 0.1)) as here:
        await here.asked()
        found = await events(await here.read("offset=-1&live=sse"))
        assert text_of([each for name, data in found if name == "data" for each in data]) == words(5)
        controls = [data for name, data in found if name == "control"]
        assert all(each["upToDate"] for each in controls)
        assert controls[-1]["streamClosed"] and "streamCursor" not in controls[-1]
        for (name, _), (then, _) in itertools.pairwise(found):
            assert name == "control" or then == "control"


@virtual
async def test_events_have_their_reader_come_again_after_a_while() -> None:
    async with world(["a", 200.0, "b"]) as here:
        await here.asked()
        began = here.clock.monotonic()
        found = await events(await here.read("offset=-1&live=sse"))
        assert turn_streams.CONNECTED <= here.clock.monotonic() - began < turn_streams.CONNECTED + 20
        assert "streamClosed" not in found[-1][1]


BAD = [
    *("offset=", "offset=a,b", "offset=a%20b", "offset=1", "offset=-2", "offset=00000001.000a"),
    *("offset=0000001.00001", "offset=-1&offset=-1", "live=long-poll", "live=sse", "live=x&offset=-1"),
    *("dialect=session", "dialect=x", "offset=%C2%B2%C2%B2%C2%B2%C2%B2%C2%B2%C2%B2%C2%B2%C2%B2.0000"),
]


@virtual
@pytest.mark.parametrize("query", BAD)
async def test_what_makes_no_sense_is_400(query: str) -> None:
    async with world(["a"]) as here:
        await here.asked()
        with pytest.raises(RequestError) as refused:
            await here.read(query)
        assert (refused.value.status, refused.value.code) == (400, "BAD_REQUEST")


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_asked_is_answered_or_refused(offset: str, cursor: str, etag: str, key: str) -> None:
    @virtual
    async def run() -> None:
        async with world(["a"]) as here:
            await here.asked()
            await here.maker.wait_for_turns()
            tags = {"if-none-match": etag.encode("utf-8", "replace").decode("latin-1")}
            tags = {name: value for name, value in tags.items() if value.isascii()}
            safe = {
                name: quote(value.encode("utf-8", "replace"))
                for name, value in {"offset": offset, "cursor": cursor, "key": key}.items()
            }
            for query in (
                f"offset={safe['offset']}",
                f"offset=-1&live=long-poll&cursor={safe['cursor']}",
                f"offset=-1&dialect=delta&key={safe['key']}",
            ):
                try:
                    assert (await here.read(query, headers=tags)).status_code in (200, 204, 304)
                except ChatError as error:
                    assert error.status in (400, 401)

    run()


# Caching.


@virtual
async def test_what_one_has_is_not_told_again_until_there_is_more_or_the_end() -> None:
    async with world(["a", 5.0, "b", 5.0]) as here:
        await here.asked()
        seen = set[str]()
        for wait in (1, 5, 10):
            await asyncio.sleep(wait)
            reply = await here.read()
            etag = reply.headers["etag"]
            seen.add(etag)
            for known in (etag, f'"x", W/{etag}', "*"):
                same = await here.read(headers={"if-none-match": known})
                assert (same.status_code, same.body, same.headers["etag"]) == (304, b"", etag)
            assert (await here.read(headers={"if-none-match": '"x"'})).status_code == 200
        assert len(seen) == 3


@virtual
async def test_replies_by_a_link_are_for_all_and_no_longer_than_it() -> None:
    async with world(["a", 5.0, "b"]) as here:
        await here.asked()
        key = "&" + await here.link(seconds=60)
        await asyncio.sleep(1)
        cases = {
            "": "public, max-age=1",
            "offset=now": "no-store",
            "offset=-1&live=long-poll": "public, max-age=59",
        }
        for query, caching in cases.items():
            reply = await here.read(query + key)
            assert reply.headers["cache-control"] == caching, query
            assert "stream-expires-at" in reply.headers
        await asyncio.sleep(20)
        reply = await here.read(key)
        assert re.fullmatch(r"public, max-age=3\d", reply.headers["cache-control"])
        assert (await here.read()).headers[
            "cache-control"
        ] == "private, max-age=60, stale-while-revalidate=300"


# Links.


@virtual
async def test_a_link_needs_nobody_and_is_good_for_its_turn_and_dialect_until_it_ends() -> None:
    async with world(["a"], ["b"]) as here:
        await here.asked()
        first = here.turn_id
        key = parse_qs(await here.link(seconds=60))["key"][0]
        await here.asked()
        other = here.turn_id
        await here.maker.wait_for_turns()
        good = f"dialect=delta&key={key}"
        assert text_of(messages(await here.read(good, turn_id=first, user="eve"))) == "a"
        for turn_id, query in (
            (other, good),
            ("0" * 26 + "-00000002", good),
            (first, f"dialect=chat&key={key}"),
            (first, f"key={key}"),
            (first, f"dialect=delta&key={key}x"),
            (first, f"dialect=delta&key={key[:-1]}"),
            (first, f"dialect=delta&key=9{key[1:]}"),
            (first, "dialect=delta&key="),
        ):
            with pytest.raises(Unauthenticated):
                await here.read(query, turn_id=turn_id)
        with pytest.raises(TurnNotFound):
            await here.read(turn_id=first, user="eve")
        await asyncio.sleep(61)
        with pytest.raises(CredentialEnded):
            await here.read(good, turn_id=first)


@virtual
async def test_a_link_ends_with_its_session() -> None:
    async with world(["a", 100.0, "b"]) as here:
        await here.asked()
        key = await here.link()
        await asyncio.sleep(1)
        waiting = asyncio.create_task(here.read(f"live=sse&offset=-1&{key}"))
        found = asyncio.create_task(events(await waiting))
        await asyncio.sleep(1)
        session_id = here.turn_id.rpartition("-")[0]
        await here.maker.app.runner.delete_session("dev", session_id)
        async with asyncio.timeout(20):
            await found
        with pytest.raises(ChatError) as refused:
            await here.read(key)
        assert refused.value.status == 404


@virtual
async def test_a_stranger_makes_no_links() -> None:
    async with world(["a"]) as here:
        await here.asked()
        app = here.reader.app
        request = Request({"type": "http", "path_params": {"turn_id": here.turn_id}, "headers": []})
        eve = await app.authenticate({"x-dev-user": "eve"})
        with pytest.raises(TurnNotFound):
            await turn_streams.make_link(app, eve, request, LinkBody())


@virtual
async def test_another_instance_tells_at_once_what_is_stored() -> None:
    async with world(lines(30, 0.1), elsewhere=True) as here:
        await here.asked()
        await asyncio.sleep(1.5)
        found = text_of(messages(await here.read()))
        assert found and words(30).startswith(found)


@virtual
async def test_who_comes_to_another_instance_at_the_end_is_not_told_what_was_before() -> None:
    async with world(lines(30, 0.1), elsewhere=True) as here:
        await here.asked()
        await asyncio.sleep(1.5)
        told = await events(await here.read("offset=now&live=sse"))
        text = text_of([each for name, data in told if name == "data" for each in data])
        assert words(30).endswith(text) and text != words(30)


@pytest.mark.parametrize("seconds", ["600", True, 59, 600.5])
def test_the_time_of_a_link_is_a_whole_number_of_seconds(seconds: Any) -> None:
    with pytest.raises(ValidationError):
        validate(LinkBody, {"seconds": seconds})


@virtual
async def test_links_of_one_instance_are_known_to_all() -> None:
    async with world(["a"], elsewhere=True) as here:
        await here.asked()
        key = await here.link()
        elsewhere = replace(here, reader=here.maker)
        assert (await elsewhere.read(key)).status_code == 200
