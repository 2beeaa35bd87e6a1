"""Requests with an Idempotency-Key on the table `limits`: the port `RequestStore`.

A row `i-{hash of the key}` in the partition of the user. One row a user and day, in the index by time, leads the timer
to all of them.
"""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

import orjson

from chat.clock import Clock
from chat.errors import StoreConflict
from chat.store.request_store import KeyedRequest
from chat.store.tables.table_client import BATCH_ROWS, Row, Table, key_range
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_keys import escaped
from chat.store.tables.table_properties import Entity, moment

FIRST, BEYOND = "i-", "i."  # of all keys
TRIES = 4  # a key may be freed between two looks
DAY = timedelta(days=1)


class TableKeyedRequests:
    """Keyed requests on the tables `limits` and `usage`."""

    def __init__(self, limits: Table, due: DueRows, clock: Clock) -> None:
        self._limits = limits
        self._due = due
        self._clock = clock

    async def claim_request(self, request: KeyedRequest) -> KeyedRequest:
        for _ in range(TRIES):
            try:
                return replace(request, version=await self._create(request))
            except RowExists:
                row = await self._limits.get(*_keys(request.user_id, request.key))
            if row is not None:
                return _request(row, request)
        raise StoreConflict

    async def find_made(self, user_id: str, key: str) -> Mapping[str, str]:
        row = await self._limits.get(*_keys(user_id, key))
        return _made_of(row) if row is not None else {}

    async def hold_request(self, known: KeyedRequest) -> KeyedRequest | None:
        with suppress(RowChanged, RowMissing):
            version = await self._limits.merge({**_row_keys(known), "held": True}, known.version)
            return replace(known, held=True, age=0.0, version=version)
        return None

    async def note_made(self, user_id: str, key: str, made: Mapping[str, str]) -> None:
        partition, row_key = _keys(user_id, key)
        row: Entity = {"PartitionKey": partition, "RowKey": row_key}
        with suppress(RowMissing):
            await self._limits.merge(row | {"made": orjson.dumps(dict(made)).decode(), "held": False})

    async def let_go(self, known: KeyedRequest) -> None:
        with suppress(RowChanged, RowMissing):
            await self._limits.merge({**_row_keys(known), "held": False}, known.version)

    async def free_key(self, known: KeyedRequest) -> None:
        with suppress(RowChanged):
            await self._limits.delete(*_keys(known.user_id, known.key), known.version)

    async def forget_requests(self, *, before: datetime) -> int:
        forgotten: list[int] = []

        async def forget(due: Row) -> bool:
            forgotten.append(await self._forget(due.values["user"], before))
            return True

        await self._due.work_off("due-requests", before, forget)
        return sum(forgotten)

    async def _create(self, request: KeyedRequest) -> str:
        """The version. The day's row of the user is written beside: should that one alone get lost with its process,
        that of the user's next day leads to this row as well."""
        now = self._clock.now()
        created, noted = await asyncio.gather(
            self._limits.create(request_to_row(request, now)),
            self._note(escaped(request.user_id), now),
            return_exceptions=True,
        )
        for outcome in (created, noted):
            if isinstance(outcome, BaseException):
                raise outcome
        assert isinstance(created, str)
        return created

    async def _note(self, partition: str, now: datetime) -> None:
        evening = now.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
        name = sha256(partition.encode()).hexdigest()[
            :32
        ]  # the name of a user can be as long as a key may be
        with suppress(RowExists, RowChanged):  # somebody writes the same at this moment
            await self._due.note("due-requests", evening, name, user=partition)

    async def _forget(self, partition: str, before: datetime) -> int:
        """What a user asked for before then."""
        forgotten = 0
        select = ("PartitionKey", "RowKey", "at")
        rows = self._limits.pages(key_range(partition, FIRST, BEYOND), select=select, patient=True)
        async with aclosing(rows) as pages:
            async for page in pages:
                old = [row for row in page if moment(row.values["at"]) < before]
                for some in itertools.batched(old, BATCH_ROWS, strict=False):
                    await self._limits.delete_rows(some)
                forgotten += len(old)
        return forgotten


def request_to_row(request: KeyedRequest, now: datetime) -> Entity:
    """The row of a request that begins."""
    return {
        **_row_keys(request),
        "digest": request.digest,
        "promised": request.promised,
        "held": True,
        "at": now,
    }


def _request(row: Row, asked: KeyedRequest) -> KeyedRequest:
    values = row.values
    return replace(
        asked,
        digest=values["digest"],
        promised=values["promised"],
        made=_made_of(row),
        held=values["held"],
        age=row.age,
        version=row.etag,
    )


def _made_of(row: Row) -> Mapping[str, str]:
    return orjson.loads(row.values.get("made") or "{}")


def _keys(user_id: str, key: str) -> tuple[str, str]:
    return escaped(user_id), FIRST + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _row_keys(request: KeyedRequest) -> Entity:
    partition, key = _keys(request.user_id, request.key)
    return {"PartitionKey": partition, "RowKey": key}
