"""How many sockets are open, in the whole app: the service that holds them is asked once a minute for all instances."""

from chat.push.base import EVERYBODY, PushService
from chat.store.presence_store import PresenceStore

KNOWN = 90.0  # seconds for which a count is good: the timer takes one every minute


class Census:
    """Each socket is in one group beside those of its session (docs/decisions/0022)."""

    def __init__(self, push: PushService, presence: PresenceStore) -> None:
        self._push, self._presence = push, presence

    async def take(self) -> int:
        """Count them, and note it where all instances find it. PushError, StoreError."""
        count = await self._push.count(EVERYBODY)
        await self._presence.note_count(count)
        return count

    async def known(self) -> int:
        """As they were counted last. Where that is too long ago, or nobody did yet, they are counted now. Raises as
        `take`."""
        counted = await self._presence.counted()
        if counted is None or counted.age > KNOWN:
            return await self.take()
        return counted.sockets
