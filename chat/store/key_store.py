"""The port of API keys: what is kept of those that users made for their programs."""

from datetime import datetime
from typing import Protocol

from chat.credentials import ApiKey

KEYS = 20
"""Keys that one user may have."""


class KeyStore(Protocol):
    """Keys by their id, and of each user. Who may ask is checked before."""

    async def add_key(self, key: ApiKey) -> ApiKey:
        """The key as it is stored: the first one of its id. TooManyKeys when its user has KEYS that have not ended at
        the moment it was made, whoever else adds one at the same time. Those that have ended are removed."""
        ...

    async def find_key(self, key_id: str) -> ApiKey | None:
        """One read; None when there is none, or it was revoked."""
        ...

    async def list_keys(self, user_id: str) -> list[ApiKey]:
        """All of a user's, newest first."""
        ...

    async def remove_key(self, user_id: str, key_id: str) -> None:
        """KeyNotFound when the user has no such key."""
        ...

    async def note_used(self, key_id: str, when: datetime) -> None:
        """Nothing happens when it is gone."""
        ...
