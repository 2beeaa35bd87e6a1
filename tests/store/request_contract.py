"""The rules of requests that come with a key, as a suite like those of `contract.py`."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chat.clock import SystemClock
from chat.store.request_store import KeyedRequest
from tests.store.builders import IDS, PLANES, Stores

MADE = {"session_id": "s", "turn_id": "s-00000002"}
LATER = timedelta(days=3)


def asked(**fields: Any) -> KeyedRequest:
    return KeyedRequest(**{"user_id": "ann", "key": "k", "digest": "d", "promised": IDS.new()} | fields)


async def known(store: Stores, **fields: Any) -> KeyedRequest:
    """What is known of a key, to somebody who asks with it."""
    return await store.requests.claim_request(asked(**fields))


class RequestContract:
    async def test_of_those_who_claim_a_key_one_has_it_and_the_others_learn_whose_it_is(
        self, store: Stores
    ) -> None:
        claims = [asked(digest=f"d{number}") for number in range(8)]
        found = await asyncio.gather(*map(store.requests.claim_request, claims))
        [first] = [each for each, claim in zip(found, claims, strict=True) if each.promised == claim.promised]
        assert {(each.promised, each.digest, each.held) for each in found} == {
            (first.promised, first.digest, True)
        }
        assert [dict(each.made) for each in found] == [{}] * 8

    @pytest.mark.parametrize(
        "other", [{"user_id": "bob"}, {"key": "K"}, {"key": "k "}, {"user_id": "ann/i-k"}]
    )
    async def test_another_key_and_the_same_of_another_user_are_others(
        self, store: Stores, other: dict[str, str]
    ) -> None:
        await known(store)
        claim = asked(**other)
        assert (await store.requests.claim_request(claim)).promised == claim.promised

    @pytest.mark.parametrize("key", [PLANES, "x" * 255, "\U0001f600" * 255, "/\\#?%"])
    async def test_a_key_may_be_any_text(self, store: Stores, key: str) -> None:
        first = await known(store, key=key, user_id=key)
        await store.requests.note_made(key, key, MADE)
        again = await known(store, key=key, user_id=key)
        assert (again.promised, dict(again.made)) == (first.promised, MADE)

    async def test_what_came_of_it_is_told_and_may_grow(self, store: Stores) -> None:
        await known(store)
        for made in ({"session_id": "s"}, MADE):
            await store.requests.note_made("ann", "k", made)
            again = await known(store)
            assert (dict(again.made), again.held) == (made, False)

    async def test_what_came_of_it_is_found_without_asking_again(self, store: Stores) -> None:
        assert dict(await store.requests.find_made("ann", "k")) == {}
        claim = await known(store)
        assert dict(await store.requests.find_made("ann", "k")) == {}
        await store.requests.note_made("ann", "k", MADE)
        assert dict(await store.requests.find_made("ann", "k")) == MADE
        assert dict(await store.requests.find_made("bob", "k")) == {}
        assert (await known(store)).promised == claim.promised

    async def test_what_came_of_a_key_that_is_not_known_is_not_noted(self, store: Stores) -> None:
        await store.requests.note_made("ann", "k", MADE)
        claim = asked()
        assert (await store.requests.claim_request(claim)).promised == claim.promised

    async def test_a_freed_key_can_be_had_by_another_request(self, store: Stores) -> None:
        await store.requests.free_key(await known(store))
        claim = asked(digest="other")
        assert (await store.requests.claim_request(claim)).digest == "other"

    async def test_who_is_let_go_is_held_by_one_of_those_who_come(self, store: Stores) -> None:
        first = await known(store)
        await store.requests.let_go(first)
        again = await known(store)
        assert (again.held, again.promised) == (False, first.promised)
        holders = await asyncio.gather(*(store.requests.hold_request(again) for _ in range(5)))
        [holder] = [each for each in holders if each is not None]
        assert (holder.held, holder.promised, holder.digest) == (True, first.promised, first.digest)
        await store.requests.free_key(holder)
        assert (await known(store)).promised != first.promised

    async def test_what_came_of_it_stays_whoever_lets_go_late(self, store: Stores) -> None:
        first = await known(store)
        await store.requests.note_made("ann", "k", MADE)
        await store.requests.free_key(first)
        await store.requests.let_go(first)
        assert await store.requests.hold_request(first) is None
        again = await known(store)
        assert (again.promised, dict(again.made)) == (first.promised, MADE)

    async def test_what_is_gone_is_left_alone(self, store: Stores) -> None:
        first = await known(store)
        for _ in range(2):
            await store.requests.free_key(first)
        await store.requests.let_go(first)
        assert await store.requests.hold_request(first) is None

    async def test_its_age_counts_from_its_last_change(self, store: Stores) -> None:
        first = await known(store)
        assert 0 <= first.age < 5
        held = await store.requests.hold_request(await known(store))
        assert held is not None and 0 <= held.age < 5

    async def test_what_is_old_is_forgotten_and_nothing_else(self, store: Stores) -> None:
        first = [await known(store, key=f"k{number}", user_id=user) for user in "ab" for number in range(3)]
        now = SystemClock().now()
        assert await store.requests.forget_requests(before=now - LATER) == 0
        assert (await known(store, key="k1", user_id="b")).promised == first[4].promised
        assert await store.requests.forget_requests(before=now + LATER) == 6
        assert (await known(store, key="k1", user_id="b")).promised != first[4].promised
