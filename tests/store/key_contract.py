"""The rules of stored API keys, as a suite like those of `contract.py`."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chat.credentials import ApiKey, digest_of, make_key
from chat.errors import KeyNotFound, TooManyKeys
from chat.store.key_store import KEYS, KeyStore
from tests.store.builders import NOW


def api_key(user_id: str = "ann", *, made: float = 0, days: float = 1, name: str = "ci") -> ApiKey:
    """A key that was made so many seconds after the others."""
    key_id, text = make_key(user_id)
    since = NOW + timedelta(seconds=made)
    scopes = frozenset(("read", "manage"))
    return ApiKey(key_id, user_id, name, scopes, digest_of(text), since, since + timedelta(days=days))


class KeyContract:
    async def test_a_key_is_found_as_it_was_added(self, keys: KeyStore) -> None:
        key = api_key("Zoë/é?#%", name="a 'name' / é\n")
        await keys.add_key(key)
        assert await keys.find_key(key.id) == key
        assert await keys.list_keys("Zoë/é?#%") == [key]
        assert await keys.list_keys("ann") == []

    @pytest.mark.parametrize(
        "key_id", ["", "x", "0" * 26, "owner", "../..", "k-" + "0" * 26, "é" * 26, "0" * 9_999]
    )
    async def test_what_nobody_made_is_not_there(self, keys: KeyStore, key_id: str) -> None:
        await keys.add_key(api_key())
        assert await keys.find_key(key_id) is None
        await keys.note_used("0" * 26, NOW)
        with pytest.raises(KeyNotFound):
            await keys.remove_key("ann", key_id)
        assert len(await keys.list_keys("ann")) == 1

    async def test_keys_are_listed_newest_first(self, keys: KeyStore) -> None:
        made = [api_key(made=seconds) for seconds in (2, 0, 1)]
        for key in made:
            await keys.add_key(key)
        assert await keys.list_keys("ann") == [made[0], made[2], made[1]]

    async def test_a_removed_key_is_gone_and_only_its_user_removes_it(self, keys: KeyStore) -> None:
        key = api_key()
        await keys.add_key(key)
        with pytest.raises(KeyNotFound):
            await keys.remove_key("eve", key.id)
        assert await keys.find_key(key.id) == key
        await keys.remove_key("ann", key.id)
        assert await keys.find_key(key.id) is None
        with pytest.raises(KeyNotFound):
            await keys.remove_key("ann", key.id)
        await keys.note_used(key.id, NOW)
        assert await keys.list_keys("ann") == []

    async def test_the_first_key_of_an_id_stays(self, keys: KeyStore) -> None:
        first, second = api_key(), api_key()
        second = replace(second, id=first.id)
        assert await keys.add_key(first) == await keys.add_key(second) == first
        assert await keys.list_keys("ann") == [first]

    async def test_its_last_use_is_kept(self, keys: KeyStore) -> None:
        key, used = api_key(), NOW + timedelta(hours=1)
        await keys.add_key(key)
        await keys.note_used(key.id, used)
        assert await keys.find_key(key.id) == replace(key, used_at=used)

    async def test_there_is_an_end_to_the_keys_of_a_user(self, keys: KeyStore) -> None:
        for _ in range(KEYS - 2):
            await keys.add_key(api_key())
        added = await asyncio.gather(*(keys.add_key(api_key()) for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(each, TooManyKeys) for each in added) == 3
        assert len(await keys.list_keys("ann")) == KEYS
        await keys.add_key(api_key("bob"))

    async def test_keys_that_ended_make_room(self, keys: KeyStore) -> None:
        for _ in range(KEYS):
            await keys.add_key(api_key(days=1))
        with pytest.raises(TooManyKeys):
            await keys.add_key(api_key(made=86_399))
        late = api_key(made=86_400)
        await keys.add_key(late)
        assert await keys.list_keys("ann") == [late]
