"""Who is known by an API key, for how long, and what it costs to try."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.auth.apikey import ABSENT, FRESH, KEPT, ApiKeyAuthenticator, KeyRing
from chat.auth.base import Principal
from chat.credentials import (
    CHECK,
    PREFIX,
    ApiKey,
    _check,  # pyright: ignore[reportPrivateUsage]
    digest_of,
    make_key,
)
from chat.errors import CredentialEnded, StoreUnavailable, Unauthenticated
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import START


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Any:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Gate:
    """The way `apikey` over a store in memory."""

    def __init__(self) -> None:
        self.clock, self.store = Hands(), MemoryStore()
        self.ring = KeyRing(self.store, self.clock)
        self.way = ApiKeyAuthenticator(self.ring)

    async def make(self, user: str = "ann", *, minutes: float = 60) -> tuple[ApiKey, str]:
        key_id, text = make_key(user)
        now = self.clock.now()
        ends = now + timedelta(minutes=minutes)
        key = ApiKey(key_id, user, "ci", frozenset({"read"}), digest_of(text), now, ends)
        await self.store.add_key(key)
        return key, text

    async def ask(self, text: str) -> Principal | None:
        return await self.way.authenticate({"x-api-key": text})

    async def is_known(self, text: str) -> bool:
        try:
            return await self.ask(text) is not None
        except Unauthenticated:
            return False

    @property
    def reads(self) -> int:
        return self.store.calls["find_key"]


def tampered(text: str) -> str:
    """Another secret for the same id, with a right checksum."""
    body = text[:34] + make_key("ann")[1][34:-CHECK]
    return body + _check(body)


async def test_a_key_is_its_user_within_its_limits_and_no_admin() -> None:
    gate = Gate()
    key, text = await gate.make("Zoë")
    principal = await gate.ask(text)
    assert principal == Principal("Zoë", frozenset(), key.expires_at, frozenset({"read"}), key_id=key.id)
    assert not principal.is_admin
    assert not principal.may("write")


@pytest.mark.parametrize(
    ("headers", "known"),
    [
        ({"x-api-key": "KEY"}, True),
        ({"authorization": "Bearer KEY"}, True),
        ({"authorization": " bearer  KEY "}, True),
        ({"authorization": "Bearer KEY", "x-api-key": "KEY"}, True),
        ({}, None),
        ({"x-api-key": "", "authorization": ""}, None),
        ({"authorization": "Basic KEY"}, None),
        ({"authorization": "KEY"}, None),
        ({"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}, None),  # another way may know it
        ({"x-chat-authorization": "Bearer KEY"}, None),  # for sockets alone
        ({"x-api-key": "eyJhbGciOiJub25lIn0.e30."}, False),
        ({"x-api-key": "KEY", "authorization": "Bearer OTHER"}, False),
        ({"x-api-key": "nonsense", "authorization": "Bearer KEY"}, False),
        ({"authorization": "Bearer parley_"}, False),
        ({"authorization": "Bearer KEYx"}, False),
        ({"authorization": "Bearer TAMPERED"}, False),
        ({"x-api-key": "MADE UP"}, False),
    ],
)
async def test_a_key_stands_in_one_of_two_headers(headers: Mapping[str, str], known: bool | None) -> None:
    gate = Gate()
    (_, text), (_, other) = await gate.make(), await gate.make()
    words = {"TAMPERED": tampered(text), "OTHER": other, "MADE UP": make_key("ann")[1], "KEY": text}
    for word, meant in words.items():
        headers = {name: value.replace(word, meant) for name, value in headers.items()}
    if known is False:
        with pytest.raises(Unauthenticated):
            await gate.way.authenticate(headers)
    else:
        assert (await gate.way.authenticate(headers) is not None) is bool(known)


@pytest.mark.parametrize(
    ("query", "headers", "known"),
    [
        ({"token": ["KEY"]}, {}, True),
        ({}, {"x-chat-authorization": "Bearer KEY"}, True),
        ({}, {"x-api-key": "KEY"}, True),
        ({"token": ["eyJhbGciOiJub25lIn0.e30."]}, {}, None),
        ({"token": []}, {}, None),
        ({}, {}, None),
        ({"token": ["KEYx"]}, {}, False),
        ({"token": ["KEYx"]}, {"x-api-key": "KEY"}, False),
    ],
)
async def test_a_socket_may_have_it_in_its_query(
    query: Mapping[str, list[str]], headers: Mapping[str, str], known: bool | None
) -> None:
    gate = Gate()
    _, text = await gate.make()
    query = {name: [each.replace("KEY", text) for each in values] for name, values in query.items()}
    headers = {name: value.replace("KEY", text) for name, value in headers.items()}
    if known is False:
        with pytest.raises(Unauthenticated):
            await gate.way.authenticate_socket(query, headers)
    else:
        assert (await gate.way.authenticate_socket(query, headers) is not None) is bool(known)


async def test_a_key_ends_at_its_moment_though_it_is_remembered() -> None:
    gate = Gate()
    key, text = await gate.make(minutes=0.05)
    gate.clock.seconds = 2.9
    assert await gate.is_known(text)
    await gate.ring.check(key.id)
    gate.clock.seconds = 3.0
    assert not await gate.is_known(text)
    with pytest.raises(CredentialEnded):
        await gate.ring.check(key.id)
    assert gate.reads == 1


async def test_a_key_costs_one_read_in_a_few_seconds() -> None:
    gate = Gate()
    _, text = await gate.make()
    for seconds in (0.0, 1.0, FRESH - 0.1, FRESH, FRESH + 1):
        gate.clock.seconds = seconds
        assert await gate.is_known(text)
    assert gate.reads == 2


async def test_requests_that_come_together_share_a_read() -> None:
    gate = Gate()
    _, text = await gate.make()
    assert all(await asyncio.gather(*(gate.is_known(text) for _ in range(50))))
    assert (gate.reads, gate.store.calls["note_used"]) == (1, 1)


async def test_a_key_that_is_revoked_elsewhere_is_known_for_a_few_seconds_at_most() -> None:
    gate = Gate()
    key, text = await gate.make()
    assert await gate.is_known(text)
    await gate.store.remove_key("ann", key.id)
    gate.clock.seconds = FRESH
    assert not await gate.is_known(text)
    with pytest.raises(CredentialEnded):
        await gate.ring.check(key.id)


async def test_a_key_that_is_revoked_here_is_known_no_more_be_it_while_it_is_read() -> None:
    gate = Gate()
    key, text = await gate.make()
    assert await gate.is_known(text)
    gate.ring.forget(key.id)
    assert not await gate.is_known(text)
    key, text = await gate.make()
    gate.store.freeze()
    asked = asyncio.create_task(gate.is_known(text))
    await asyncio.sleep(0.01)
    gate.ring.forget(key.id)
    gate.store.thaw()
    assert not await asked
    assert not await gate.is_known(text)


async def test_what_is_none_by_its_form_costs_no_read() -> None:
    gate = Gate()
    _, text = await gate.make()
    for wrong in ("x", PREFIX, text[:-1], text + "x", text[:-1] + "é", text.swapcase(), text * 99):
        assert not await gate.is_known(wrong)
    assert gate.reads == 0


async def test_wrong_secrets_of_a_key_that_is_there_cost_one_read_together_and_are_no_use_of_it() -> None:
    gate = Gate()
    key, text = await gate.make()
    for _ in range(20):
        assert not await gate.is_known(tampered(text))
    assert gate.reads == 1
    [kept] = await gate.store.list_keys("ann")
    assert kept == key


async def test_a_key_that_is_not_there_costs_one_read_and_a_flood_of_them_no_memory_without_end() -> None:
    gate = Gate()
    _, text = await gate.make()
    assert await gate.is_known(text)
    _, unknown = make_key("ann")
    for _ in range(20):
        assert not await gate.is_known(unknown)
    assert gate.reads == 2
    gate.clock.seconds = ABSENT
    assert not await gate.is_known(unknown)
    assert gate.reads == 3
    gate.clock.seconds = 0.0
    for _ in range(KEPT + 5):
        gate.ring.forget(make_key("ann")[0])
    assert len(gate.ring._absent._kept) == KEPT  # pyright: ignore[reportPrivateUsage]
    assert await gate.is_known(text)
    assert gate.reads == 3  # it pushed no key out


async def test_its_last_use_is_noted_once_in_a_while() -> None:
    gate = Gate()
    key, text = await gate.make(minutes=60)
    for minutes in (0, 1, 9, 10, 11, 30):
        gate.clock.seconds = minutes * 60
        assert await gate.is_known(text)
    assert gate.store.calls["note_used"] == 3
    [kept] = await gate.store.list_keys("ann")
    assert kept.used_at == key.created_at + timedelta(minutes=30)


async def test_a_store_that_is_away_lets_in_whom_it_let_in_before_and_nobody_else() -> None:
    gate = Gate()
    (_, text), (_, other) = await gate.make(), await gate.make()
    gate.store.fail_next("note_used", StoreUnavailable())
    assert await gate.is_known(text)
    gate.store.fail_next("find_key", StoreUnavailable())
    assert await gate.is_known(text)
    with pytest.raises(StoreUnavailable):
        await gate.ask(other)
    assert await gate.is_known(other)


@given(st.dictionaries(st.sampled_from(["x-api-key", "authorization"]), st.text()))
def test_whatever_the_headers_say_nobody_is_known_who_has_no_key(headers: dict[str, str]) -> None:
    async def ask() -> None:
        gate = Gate()
        with suppress(Unauthenticated):
            assert await gate.way.authenticate(headers) is None
        assert gate.reads == 0

    asyncio.run(ask())
