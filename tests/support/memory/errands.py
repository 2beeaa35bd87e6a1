"""Errands and secrets, in memory."""

from dataclasses import replace

from chat.store.errand_store import CLAIMED, Errand, ErrandKind
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows


class MemoryErrands(MemoryPort):
    """An `ErrandStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._errands: dict[tuple[str, ...], Errand] = {}  # their `age` is when they were noted
        self._secrets: dict[str, str] = {}

    @port
    async def note_errand(self, errand: Errand) -> None:
        noted = replace(errand, age=self.clock.monotonic(), version=self.rows.next_version())
        self._errands[_errand_key(errand)] = noted

    @port
    async def list_errands(self, kind: ErrandKind) -> list[Errand]:
        now = self.clock.monotonic()
        return [replace(each, age=now - each.age) for each in self._errands.values() if each.kind == kind]

    @port
    async def end_errand(self, errand: Errand) -> None:
        found = self._errands.get(_errand_key(errand))
        if found is not None and errand.version in ("", found.version):
            del self._errands[_errand_key(errand)]

    @port
    async def claim_errand(self, errand: Errand) -> bool:
        now, found = self.clock.monotonic(), self._errands.get(_errand_key(errand))
        if found is not None and found.claimed and now - found.age < CLAIMED:
            return False
        if found is None and errand.version:
            return False
        claimed = replace(found or errand, age=now, version=self.rows.next_version(), claimed=True)
        self._errands[_errand_key(errand)] = claimed
        return True

    @port
    async def secret(self, name: str) -> str:
        return self._secrets.setdefault(name, f"secret of {name}")


def _errand_key(errand: Errand) -> tuple[str, ...]:
    return errand.kind, errand.session_id, errand.user_id, errand.turn_id
