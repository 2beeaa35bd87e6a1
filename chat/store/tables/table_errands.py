"""Errands and secrets on the table `instances`: the port `ErrandStore`.

The partition `errands` has a row `{kind}-{session}-{hash of user or turn}` for each errand, the partition `secrets`
one for each secret.
"""

import hashlib
import secrets
from contextlib import suppress

from chat.store.errand_store import CLAIMED, Errand, ErrandKind
from chat.store.tables.table_client import Row, Table, key_range
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_properties import Entity

ERRANDS, SECRETS = "errands", "secrets"


class TableErrands:
    """Errands on tables."""

    def __init__(self, instances: Table) -> None:
        self._instances = instances

    async def note_errand(self, errand: Errand) -> None:
        await self._instances.upsert(_row(errand))

    async def list_errands(self, kind: ErrandKind) -> list[Errand]:
        rows = await self._instances.rows(key_range(ERRANDS, f"{kind}-", f"{kind}."))
        return [_errand(kind, row) for row in rows]

    async def end_errand(self, errand: Errand) -> None:
        with suppress(RowChanged, RowMissing):
            await self._instances.delete(ERRANDS, _errand_key(errand), errand.version)

    async def claim_errand(self, errand: Errand) -> bool:
        mine = secrets.token_hex(8)
        while True:
            found = await self._instances.get(ERRANDS, _errand_key(errand))
            holder = found.values.get("claimed") if found else ""
            if holder == mine:
                return True
            if found and holder and found.age < CLAIMED:
                return False
            if found is None and errand.version:
                return False
            with suppress(RowExists, RowChanged, RowMissing):  # or by an earlier try of ours: look again
                if found is None:
                    await self._instances.create(_row(errand) | {"claimed": mine})
                else:
                    await self._instances.merge(_row(errand) | {"claimed": mine}, found.etag)
                return True

    async def secret(self, name: str) -> str:
        made = secrets.token_urlsafe(32)
        while True:
            row = await self._instances.get(SECRETS, name)
            if row is not None:
                return row.values["secret"]
            with suppress(RowExists):  # somebody else was quicker
                await self._instances.create({"PartitionKey": SECRETS, "RowKey": name, "secret": made})
                return made


def _row(errand: Errand) -> Entity:
    fields: Entity = {"session_id": errand.session_id, "user_id": errand.user_id, "turn_id": errand.turn_id}
    return {"PartitionKey": ERRANDS, "RowKey": _errand_key(errand)} | fields


def _errand(kind: ErrandKind, row: Row) -> Errand:
    values = row.values
    claimed = bool(values.get("claimed"))
    return Errand(
        kind, values["session_id"], values["user_id"], values["turn_id"], row.age, row.etag, claimed
    )


def _errand_key(errand: Errand) -> str:
    """A user id alone may be as long as a key."""
    what = hashlib.sha256(f"{errand.turn_id} {errand.user_id}".encode()).hexdigest()[:32]
    return f"{errand.kind}-{errand.session_id}-{what}"
