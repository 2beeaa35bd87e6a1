"""What users have used of their limits, on the table `limits`: the port `LimitStore`.

The partition of a user has the row `bucket`, with what is left of the requests and what an admin set for the user, and
a row `budget-{yyyymmdd}` for each day of which something is used. Every change writes `bucket` under its ETag, so that
one row guards them all; the others are written blindly in the same batch.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chat.errors import StoreConflict, StoreUnavailable, VersionConflict
from chat.store.limit_store import EVERYBODY, NONCES, Account, LimitStore, Override, Spent
from chat.store.tables.table_client import (
    Row,
    Table,
    creating,
    deleting,
    key_range,
    replacing,
    upserting,
)
from chat.store.tables.table_clock import ServiceClock
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_keys import MARK, escaped
from chat.store.tables.table_properties import Entity, integer
from chat.store.tables.table_writes import Operation

BUCKET, BUDGET = "bucket", "budget-"
BEYOND = "budget."  # the key beyond those of all days
SHARED = MARK + "all"  # the partition of EVERYBODY: no user id is escaped to this
PAUSES = (0.0, 0.1, 0.3)  # seconds before each try to write, where a reply got lost


class TableQuotas(LimitStore):
    """Accounts on tables."""

    def __init__(self, limits: Table, clock: ServiceClock) -> None:
        self._limits = limits
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    async def load_account(self, user_id: str) -> Account:
        rows = await self._limits.rows(key_range(_partition(user_id), BUCKET, BEYOND))
        return _account(user_id, rows)

    async def save_account(self, before: Account, after: Account, nonce: str) -> Account:
        after = replace(after, nonces=(*before.nonces, nonce)[-NONCES:])
        lost: StoreUnavailable | None = None
        for pause in PAUSES:
            await asyncio.sleep(pause)
            try:
                etags = await self._limits.batch(_operations(before, after))
                return replace(after, version=etags[0])
            except StoreUnavailable as error:
                lost = error
            except (RowExists, RowChanged, RowMissing) as error:
                if lost is None:  # no earlier try of ours can have written it
                    raise VersionConflict from error
            found = await self.load_account(after.user_id)
            if nonce in found.nonces:
                return found
            if found.version != before.version:
                raise VersionConflict
        raise lost or StoreConflict


def _operations(before: Account, after: Account) -> Sequence[Operation]:
    """The guard comes first."""
    partition = _partition(after.user_id)
    row = _bucket_row(partition, after)
    operations = [replacing(row, before.version) if before.version else creating(row)]
    for day, spent in after.spent.items():
        if before.spent.get(day) != spent:
            operations.append(upserting(_budget_row(partition, day, spent)))
    gone = before.spent.keys() - after.spent.keys()
    return [*operations, *(deleting(partition, BUDGET + day) for day in gone)]


def _bucket_row(partition: str, account: Account) -> Entity:
    row: Entity = {"PartitionKey": partition, "RowKey": BUCKET, "nonces": ",".join(account.nonces)}
    if account.left is not None:
        row |= {"left": float(account.left), "at": float(account.at)}
    override = account.override
    if override.requests is not None:
        row["requests"] = override.requests
    if override.per_seconds is not None:
        row["per_seconds"] = float(override.per_seconds)
    if override.tokens_per_day is not None:
        row["tokens_per_day"] = (override.tokens_per_day, "Edm.Int64")
    return row


def _budget_row(partition: str, day: str, spent: Spent) -> Entity:
    counts: Entity = {"used": (spent.used, "Edm.Int64"), "held": (spent.held, "Edm.Int64")}
    return {"PartitionKey": partition, "RowKey": BUDGET + day, **counts}


def _account(user_id: str, rows: Sequence[Row]) -> Account:
    spent = {
        row.key.removeprefix(BUDGET): Spent(integer(row.values["used"]), integer(row.values["held"]))
        for row in rows
        if row.key.startswith(BUDGET)
    }
    bucket = next((row for row in rows if row.key == BUCKET), None)
    if bucket is None:
        return Account(user_id, spent=spent)
    values = bucket.values
    return Account(
        user_id,
        values.get("left"),
        values.get("at", 0.0),
        spent,
        _override(bucket),
        tuple(filter(None, values["nonces"].split(","))),
        bucket.etag,
    )


def _override(bucket: Row) -> Override:
    values = bucket.values
    tokens = values.get("tokens_per_day")
    return Override(
        values.get("requests"), values.get("per_seconds"), None if tokens is None else integer(tokens)
    )


def _partition(user_id: str) -> str:
    return SHARED if user_id == EVERYBODY else escaped(user_id)
