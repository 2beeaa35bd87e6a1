"""The accounts of users in memory, with the same rules as the tables and with faults on demand."""

from dataclasses import replace
from datetime import datetime

from chat.clock import Clock, SystemClock
from chat.errors import VersionConflict
from chat.store.limit_store import NONCES, Account, LimitStore
from tests.support.faults import Faults, port


class MemoryLimits(Faults, LimitStore):
    """Several instances that share one are several processes."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self.accounts: dict[str, Account] = {}
        self._version = 0

    def now(self) -> datetime:
        return self._clock.now()

    @port
    async def load_account(self, user_id: str) -> Account:
        return self.accounts.get(user_id) or Account(user_id)

    @port
    async def save_account(self, before: Account, after: Account, nonce: str) -> Account:
        found = self.accounts.get(after.user_id) or Account(after.user_id)
        if nonce in found.nonces:
            return found
        if found.version != before.version:
            raise VersionConflict
        self._version += 1
        nonces = (*before.nonces, nonce)[-NONCES:]
        saved = replace(after, nonces=nonces, version=str(self._version))
        self.accounts[after.user_id] = saved
        return saved
