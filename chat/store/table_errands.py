"""Errands and secrets on the table `instances`: the port `ErrandStore`.

The partition `errands` has a row `{kind}-{session}-{hash of the user}` for each errand, the partition `secrets` one for
each secret.
"""

import hashlib
import secrets
from contextlib import suppress

from chat.store.errands_base import Errand, ErrandKind
from chat.store.table_client import Table, key_range
from chat.store.table_errors import RowChanged, RowExists, RowMissing
from chat.store.table_properties import Entity

ERRANDS, SECRETS = "errands", "secrets"


class TableErrands:
    """Errands on tables."""

    def __init__(self, instances: Table) -> None:
        self._instances = instances

    async def note_errand(self, errand: Errand) -> None:
        fields: Entity = {"session_id": errand.session_id, "user_id": errand.user_id}
        await self._instances.upsert({"PartitionKey": ERRANDS, "RowKey": _errand_key(errand)} | fields)

    async def list_errands(self, kind: ErrandKind) -> list[Errand]:
        rows = await self._instances.rows(key_range(ERRANDS, f"{kind}-", f"{kind}."))
        return [
            Errand(kind, row.values["session_id"], row.values["user_id"], row.age, row.etag) for row in rows
        ]

    async def end_errand(self, errand: Errand) -> None:
        with suppress(RowChanged, RowMissing):
            await self._instances.delete(ERRANDS, _errand_key(errand), errand.version)

    async def secret(self, name: str) -> str:
        made = secrets.token_urlsafe(32)
        while True:
            row = await self._instances.get(SECRETS, name)
            if row is not None:
                return row.values["secret"]
            with suppress(RowExists):  # somebody else was quicker
                await self._instances.create({"PartitionKey": SECRETS, "RowKey": name, "secret": made})
                return made


def _errand_key(errand: Errand) -> str:
    """A user id alone may be as long as a key."""
    user = hashlib.sha256(errand.user_id.encode()).hexdigest()[:32]
    return f"{errand.kind}-{errand.session_id}-{user}"
