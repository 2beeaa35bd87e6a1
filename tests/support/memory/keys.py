"""API keys, in memory."""

from dataclasses import replace
from datetime import datetime

from chat.credentials import ApiKey
from chat.errors import KeyNotFound, TooManyKeys
from chat.store.key_store import KEYS
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows


class MemoryKeys(MemoryPort):
    """A `KeyStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._keys: dict[str, ApiKey] = {}

    @port
    async def add_key(self, key: ApiKey) -> ApiKey:
        if key.id in self._keys:
            return self._keys[key.id]
        mine = [each for each in self._keys.values() if each.user_id == key.user_id]
        ended = [each for each in mine if each.expires_at <= key.created_at]
        if len(mine) - len(ended) >= KEYS:
            raise TooManyKeys(details={"limit": KEYS})
        for each in ended:
            del self._keys[each.id]
        self._keys[key.id] = key
        return key

    @port
    async def find_key(self, key_id: str) -> ApiKey | None:
        return self._keys.get(key_id)

    @port
    async def list_keys(self, user_id: str) -> list[ApiKey]:
        mine = [each for each in self._keys.values() if each.user_id == user_id]
        return sorted(mine, key=lambda each: (each.created_at, each.id), reverse=True)

    @port
    async def remove_key(self, user_id: str, key_id: str) -> None:
        key = self._keys.get(key_id)
        if key is None or key.user_id != user_id:
            raise KeyNotFound
        del self._keys[key_id]

    @port
    async def note_used(self, key_id: str, when: datetime) -> None:
        if key_id in self._keys:
            self._keys[key_id] = replace(self._keys[key_id], used_at=when)
