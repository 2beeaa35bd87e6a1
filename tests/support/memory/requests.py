"""Requests with an Idempotency-Key, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from chat.store.request_store import KeyedRequest
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows


@dataclass
class StoredRequest:
    request: KeyedRequest
    at: datetime
    changed: float  # monotonic


class MemoryRequests(MemoryPort):
    """A `RequestStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._keyed: dict[tuple[str, str], StoredRequest] = {}

    @port
    async def claim_request(self, request: KeyedRequest) -> KeyedRequest:
        stored = self._keyed.get((request.user_id, request.key))
        if stored is None:
            stored = StoredRequest(request, self.clock.now(), 0.0)
            self._keyed[request.user_id, request.key] = stored
            self._change(stored, request)
        return replace(stored.request, age=self.clock.monotonic() - stored.changed)

    @port
    async def find_made(self, user_id: str, key: str) -> Mapping[str, str]:
        stored = self._keyed.get((user_id, key))
        return stored.request.made if stored else {}

    @port
    async def hold_request(self, known: KeyedRequest) -> KeyedRequest | None:
        stored = self._as_read(known)
        return self._change(stored, replace(known, held=True, age=0.0)) if stored else None

    @port
    async def note_made(self, user_id: str, key: str, made: Mapping[str, str]) -> None:
        stored = self._keyed.get((user_id, key))
        if stored is not None:
            self._change(stored, replace(stored.request, made=dict(made), held=False))

    @port
    async def let_go(self, known: KeyedRequest) -> None:
        stored = self._as_read(known)
        if stored is not None:
            self._change(stored, replace(stored.request, held=False))

    @port
    async def free_key(self, known: KeyedRequest) -> None:
        if self._as_read(known) is not None:
            del self._keyed[known.user_id, known.key]

    @port
    async def forget_requests(self, *, before: datetime) -> int:
        old = [key for key, stored in self._keyed.items() if stored.at < before]
        for key in old:
            del self._keyed[key]
        return len(old)

    def _as_read(self, known: KeyedRequest) -> StoredRequest | None:
        stored = self._keyed.get((known.user_id, known.key))
        return stored if stored and stored.request.version == known.version else None

    def _change(self, stored: StoredRequest, request: KeyedRequest) -> KeyedRequest:
        stored.request = replace(request, version=self.rows.next_version())
        stored.changed = self.clock.monotonic()
        return stored.request
