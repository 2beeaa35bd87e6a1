"""The keys of an issuer: through changes, floods, and while it is away. Minutes pass in virtual time."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from chat.auth.discovery import MAX_BYTES, Discovery, read_keys
from chat.auth.signing_keys import MAX_WAITING, OLD, PAUSE, SigningKey, SigningKeys
from chat.errors import SignInUnavailable, Unauthenticated
from tests.support.issuers import desk
from tests.support.virtual_time import VirtualClock, virtual
from tests.support.web_server import served

HALF_AN_HOUR = 1800.0  # for which keys are kept here
RSA = ("RSA", "")


def key(name: str) -> SigningKey:
    return SigningKey(name, RSA, "RS256", (("n", name), ("e", "AQAB")))


class Source:
    """An issuer that is asked by a call: how long it takes, and whether it answers."""

    def __init__(self, *names: str) -> None:
        self.keys = [key(name) for name in names]
        self.takes = 0.0  # seconds
        self.away = False
        self.asked: list[float] = []

    async def fetch(self) -> tuple[SigningKey, ...]:
        self.asked.append(VirtualClock().monotonic())
        keys = tuple(self.keys)  # as they were when it was asked
        await asyncio.sleep(self.takes)
        if self.away:
            raise SignInUnavailable(reason="away")
        return keys


class Asking:
    """Whoever checks tokens with these keys."""

    def __init__(self, source: Source) -> None:
        self.keys = SigningKeys(
            "https://sso.example", source.fetch, VirtualClock().monotonic, kept=HALF_AN_HOUR
        )

    async def find(self, name: str) -> str:
        """The key's name, "none", or "503", and for whoever had to wait how long."""
        began = VirtualClock().monotonic()
        try:
            found = await self.keys.find(name, "RS256", RSA)
            told = found.id if found else "none"
        except SignInUnavailable:
            told = "503"
        waited = VirtualClock().monotonic() - began
        return told if waited < 0.01 else f"{told} after {waited:g}"

    async def aclose(self) -> None:
        await self.keys.aclose()


def asking(source: Source) -> Any:
    return aclosing(Asking(source))


@virtual
async def test_many_who_come_at_once_are_one_question_and_wait_for_it_alone() -> None:
    source = Source("a")
    source.takes = 2.0
    async with asking(source) as asked:
        first = [asyncio.create_task(asked.find("a")) for _ in range(50)]
        await asyncio.sleep(0.5)
        later = [asyncio.create_task(asked.find("a")) for _ in range(50)]
        assert {await each for each in first} == {"a after 2"}
        assert {await each for each in later} == {"a after 1.5"}
        assert await asked.find("a") == "a"
        assert len(source.asked) == 1


@virtual
async def test_while_keys_change_nobody_is_refused_and_the_issuer_is_asked_once_a_change() -> None:
    source = Source("k0")
    refused: list[str] = []
    async with asking(source) as asked:

        async def keep_asking() -> None:
            while True:
                newest = source.keys[-1].id
                if not (told := await asked.find(newest)).startswith(newest):
                    refused.append(told)
                await asyncio.sleep(0.05)

        callers = [asyncio.create_task(keep_asking()) for _ in range(20)]
        for number in range(1, 7):
            await asyncio.sleep(10)
            source.keys = [*source.keys[-1:], key(f"k{number}")]
        await asyncio.sleep(10)
        for each in callers:
            each.cancel()
        assert (refused, len(source.asked)) == ([], 7)


@virtual
async def test_a_change_during_a_fetch_is_seen_by_the_next_one() -> None:
    source = Source("a")
    source.takes = 1.0
    async with asking(source) as asked:
        first = asyncio.create_task(asked.find("a"))
        await asyncio.sleep(0.5)
        source.keys.append(key("b"))
        assert await asked.find("b") == f"b after {PAUSE + 0.5:g}"
        assert await first == "a after 1"


@pytest.mark.parametrize("takes", [0.0, 4.9])
@virtual
async def test_while_the_issuer_is_away_known_keys_go_on_and_nobody_waits_for_them(takes: float) -> None:
    source = Source("a")
    async with asking(source) as asked:
        assert await asked.find("a") == "a"
        source.away, source.takes = True, takes
        for _ in range(100):
            await asyncio.sleep(HALF_AN_HOUR / 100 - 0.1)
            assert await asked.find("a") == "a"
        assert len(source.asked) > 50
        await asyncio.sleep(20)
        assert (await asked.find("a")).startswith("503")
        source.away = False
        await asyncio.sleep(PAUSE)
        assert (await asked.find("a")).startswith("a")


@pytest.mark.parametrize("takes", [0.0, 4.9])
@virtual
async def test_sixty_seconds_without_the_issuer_under_load(takes: float) -> None:
    source = Source("a")
    async with asking(source) as asked:
        await asked.find("a")
        await asyncio.sleep(OLD)
        source.away, source.takes = True, takes
        began, told = len(source.asked), set[str]()
        for _ in range(6000):
            told.add(await asked.find("a"))
            await asyncio.sleep(0.01)
        assert told == {"a"}
        assert len(source.asked) - began <= 60 / PAUSE + 1
        assert (await asked.find("unknown")).startswith("503")


@virtual
async def test_a_flood_of_unknown_keys_is_one_question_each_pause_and_costs_others_nothing() -> None:
    source = Source("a")
    async with asking(source) as asked:
        assert await asked.find("a") == "a"
        told: list[str] = []

        async def forge(number: int) -> None:
            told.append(await asked.find(f"forged-{number}"))

        forging: list[asyncio.Task[None]] = []
        for number in range(6000):
            forging.append(asyncio.create_task(forge(number)))
            assert await asked.find("a") == "a"
            await asyncio.sleep(0.01)
        await asyncio.gather(*forging)
        assert len(source.asked) <= 60 / PAUSE + 2
        assert {each.partition(" ")[0] for each in told} == {"none"}


@virtual
async def test_there_is_an_end_to_those_who_wait() -> None:
    source = Source("a")
    async with asking(source) as asked:
        await asked.find("a")
        told = await asyncio.gather(*(asked.find(f"forged-{number}") for number in range(MAX_WAITING + 50)))
        assert sum(each.startswith("503") for each in told) == 50
        assert await asked.find("a") == "a"


@virtual
async def test_a_new_key_is_found_during_a_flood() -> None:
    source = Source("a")
    async with asking(source) as asked:
        await asked.find("a")
        forging = [asyncio.create_task(asked.find(f"forged-{number}")) for number in range(100)]
        await asyncio.sleep(1)
        source.keys.append(key("b"))
        assert (await asked.find("b")).startswith("b")
        await asyncio.gather(*forging)


@virtual
async def test_an_issuer_that_never_answered_is_asked_again_after_a_pause_and_not_with_every_request() -> (
    None
):
    source = Source("a")
    source.away = True
    async with asking(source) as asked:
        assert [await asked.find("a") for _ in range(100)] == ["503"] * 100
        assert len(source.asked) == 1
        source.away = False
        await asyncio.sleep(PAUSE)
        assert await asked.find("a") == "a"


@virtual
async def test_a_caller_who_leaves_takes_the_question_of_the_others_with_them_not() -> None:
    source = Source("a")
    source.takes = 1.0
    async with asking(source) as asked:
        leaving = asyncio.create_task(asked.find("a"))
        await asyncio.sleep(0.5)
        leaving.cancel()
        assert await asked.find("a") == "a after 0.5"


@virtual
async def test_what_is_being_asked_is_given_up_when_the_app_closes() -> None:
    source = Source("a")
    source.takes = 1000.0
    asked = Asking(source)
    waiting = [asyncio.create_task(asked.find("a")) for _ in range(2)]
    await asyncio.sleep(0)
    await asked.aclose()
    assert all(
        isinstance(each, asyncio.CancelledError)
        for each in await asyncio.gather(*waiting, return_exceptions=True)
    )


# Over HTTP


async def test_through_changes_of_keys_over_http_nobody_is_refused() -> None:
    async with desk() as at:
        refused = 0
        for change in range(2):
            for number in range(200):
                if number == 100 and not change:
                    at.issuer.keys.rotate()
                try:
                    await at.ask(at.issuer.token(f"user-{number}"))
                except Unauthenticated:
                    refused += 1
        assert (refused, at.issuer.asked["/jwks"]) == (0, 2)


async def test_while_the_issuer_fails_over_http_those_who_are_known_go_on() -> None:
    async with desk() as at:
        assert await at.ask(at.issuer.token("ann"))
        at.issuer.status = 500
        assert await at.ask(at.issuer.token("bob"))
        at.issuer.keys.rotate()
        with pytest.raises(SignInUnavailable):
            await at.ask(at.issuer.token("ann"))


type Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with served(app) as url:
        yield url


def telling(**documents: Any) -> Answer:
    """`configuration` and `jwks`; texts in them have the address of the issuer for URL."""

    async def answer(request: web.Request) -> web.StreamResponse:
        name = "configuration" if "well-known" in request.path else "jwks"
        url = f"http://{request.host}"
        return web.Response(text=json.dumps(documents.get(name)).replace("URL", url))

    return answer


async def redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/elsewhere")


async def endless(request: web.Request) -> web.StreamResponse:
    reply = web.StreamResponse()
    await reply.prepare(request)
    for _ in range(MAX_BYTES // 1000 + 100):
        await reply.write(b" " * 1000)
    return reply


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


GOOD_KEY = {"kty": "RSA", "kid": "a", "n": "A" * 342, "e": "AQAB"}
CONFIGURATION = {"issuer": "URL", "jwks_uri": "URL/keys"}
BROKEN: dict[str, Answer] = {
    "it redirects": redirect,
    "its document never ends": endless,
    "it does not answer": silent,
    "its document is null": telling(),
    "its document is another issuer's": telling(
        configuration=CONFIGURATION | {"issuer": "https://evil.example"}, jwks={"keys": [GOOD_KEY]}
    ),
    "its keys are nowhere": telling(configuration={"issuer": "URL"}),
    "its keys are a file": telling(configuration=CONFIGURATION | {"jwks_uri": "file:///etc/passwd"}),
    "its keys are sent in the clear": telling(configuration=CONFIGURATION | {"jwks_uri": "http://10.0.0.1/"}),
    "it has no keys": telling(configuration=CONFIGURATION, jwks={"keys": []}),
    "its keys are no list": telling(configuration=CONFIGURATION, jwks={"keys": {"a": GOOD_KEY}}),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_an_issuer_that_is_broken_is_away(how: str) -> None:
    async with serving(BROKEN[how]) as url:
        with pytest.raises(SignInUnavailable) as caught:
            await Discovery(url, timeout=0.5).fetch()
        assert caught.value.reason


async def test_an_issuer_that_nobody_reaches_is_away() -> None:
    with pytest.raises(SignInUnavailable):
        await Discovery("http://127.0.0.1:9").fetch()


async def test_keys_are_found_by_the_document_of_the_issuer_or_where_the_setting_says() -> None:
    async with serving(telling(configuration=CONFIGURATION, jwks={"keys": [GOOD_KEY]})) as url:
        for found in (await Discovery(url).fetch(), await Discovery("https://x", f"{url}/keys").fetch()):
            assert [each.id for each in found] == ["a"]


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        "a",
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        GOOD_KEY | {"use": "enc"},
        GOOD_KEY | {"kid": 7},
        GOOD_KEY | {"kid": "k" * 256},
        GOOD_KEY | {"n": "A" * 171},
        GOOD_KEY | {"n": 7},
        {"kty": "RSA", "kid": "a", "e": "AQAB"},
        {"kty": ["RSA"], "kid": "a"},
        {"kty": "EC", "kid": "a", "crv": "P-256", "x": "x"},
    ],
)
def test_what_is_no_key_for_signatures_is_passed_over(jwk: Any) -> None:
    assert [each.id for each in read_keys({"keys": [jwk, GOOD_KEY]})] == ["a"]


def test_a_private_key_that_an_issuer_shows_is_not_kept() -> None:
    [found] = read_keys({"keys": [GOOD_KEY | {"d": "secret", "p": "x"}]})
    assert found.jwk == {"kty": "RSA", "n": GOOD_KEY["n"], "e": "AQAB"}
