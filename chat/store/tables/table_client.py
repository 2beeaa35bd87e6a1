"""One table: typed rows, our own time limits and retries, and only errors of ours.

Reads, upserts and deletes are tried again until the deadline. A create, a guarded update and a batch are tried
again too where the caller can tell its own earlier try from somebody else's; `batch` leaves even that to the caller.
"""

import asyncio
import functools
import itertools
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from typing import Any, cast

from azure.core import MatchConditions
from azure.data.tables import UpdateMode
from azure.data.tables.aio import TableClient

from chat.errors import StoreConflict, StoreUnavailable
from chat.store.tables.table_connection import Connection
from chat.store.tables.table_errors import RowMissing, TableMissing, translated
from chat.store.tables.table_limits import can_be_key, check_batch, check_entity
from chat.store.tables.table_properties import Entity
from chat.store.tables.table_reads import Query, Row, Token, read_page, read_row
from chat.store.tables.table_writes import Operation, send_batch, send_write

ATTEMPT_TIMEOUT = 2.5  # above the 2 s that the sockets have, for replies that trickle
OPERATION_TIMEOUT = 5.0
SCAN_TIMEOUT = (
    6.0  # for one page of a scan: the service itself gives up after 5 s, and gives a token to go on with
)
SCANNING = 9.0  # for one page with all its tries
BATCH_ROWS = 100
BATCH_BYTES = 3_500_000  # of the 4 MiB that a request may have


def creating(entity: Entity) -> Operation:
    return ("create", entity, {})


def merging(entity: Entity, etag: str = "") -> Operation:
    """Changes the named properties of a row that must exist, and with `etag` must be as it was read."""
    return ("update", entity, {"mode": UpdateMode.MERGE} | _guard(etag))


def replacing(entity: Entity, etag: str = "") -> Operation:
    return ("update", entity, {"mode": UpdateMode.REPLACE} | _guard(etag))


def upserting(entity: Entity) -> Operation:
    return ("upsert", entity, {"mode": UpdateMode.REPLACE})


def deleting(partition: str, key: str, etag: str = "") -> Operation:
    return ("delete", {"PartitionKey": partition, "RowKey": key}, _guard(etag))


def quoted(text: str) -> str:
    """A string of a query filter."""
    return "'" + text.replace("'", "''") + "'"


def key_range(partition: str, first: str, beyond: str) -> str:
    """The filter for the rows of a partition from key `first` up to, but not including, `beyond`."""
    return f"PartitionKey eq {quoted(partition)} and RowKey ge {quoted(first)} and RowKey lt {quoted(beyond)}"


def pauses() -> Iterator[float]:
    """Seconds between tries: 0.1 to 1, growing, with jitter."""
    longest = 0.2
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(1.0, longest * 2)


async def together[A, B](first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """Both results; when one fails the other is awaited all the same."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(tuple[A, B], tuple(results))


class Table:
    """A table. `prepare` makes the tables of the store; it is called before the first use, and after a reply that
    says that the table is gone (then with `again`)."""

    def __init__(
        self, client: TableClient, connection: Connection, prepare: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._client = client
        self._connection = connection
        self._prepare = prepare

    async def get(self, partition: str, key: str) -> Row | None:
        """The row; None when it is not there, as it is for a key that no row can have."""
        if not (can_be_key(partition) and can_be_key(key)):
            return None
        try:
            return await self._retried(
                functools.partial(read_row, self._connection, self._client, partition, key)
            )
        except RowMissing:
            return None

    async def create(self, entity: Entity) -> str:
        """The etag. RowExists when it is there, be it from an earlier try of this call."""
        return await self._write(creating(entity))

    async def merge(self, entity: Entity, etag: str = "") -> str:
        """The new etag. RowChanged, be it by an earlier try of this call; RowMissing."""
        return await self._write(merging(entity, etag))

    async def replace(self, entity: Entity, etag: str) -> str:
        """As `merge`, but nothing of the old row is left."""
        return await self._write(replacing(entity, etag))

    async def upsert(self, entity: Entity) -> str:
        """Create or replace; the new etag."""
        return await self._write(upserting(entity))

    async def delete(self, partition: str, key: str, etag: str = "") -> None:
        """Nothing when it is not there. RowChanged."""
        with suppress(RowMissing):
            await self._write(deleting(partition, key, etag))

    async def batch(self, operations: Sequence[Operation], *, again: bool = False) -> list[str]:
        """All of them or none; the new etags. StoreUnavailable leaves open which, so only what may be written
        twice is tried `again`. RowExists, RowChanged, RowMissing, StoreRefused."""
        check_batch([entity for _, entity, _ in operations])
        attempt = functools.partial(send_batch, self._connection, self._client, operations)
        return await self._retried(attempt, tries=10 if again else 1)

    async def delete_all(self, query: str) -> None:
        """Delete the rows of one partition that match. Safe beside others who do the same."""
        for _ in range(8):
            rows = await self.rows(query, select=("PartitionKey", "RowKey"))
            operations = [deleting(row.partition, row.key) for row in rows]
            try:
                for group in itertools.batched(operations, BATCH_ROWS, strict=False):
                    await self.batch(group, again=True)
                return
            except RowMissing:
                continue
        raise StoreConflict

    async def delete_rows(self, rows: Sequence[Row]) -> None:
        """Delete these rows of one partition, at most BATCH_ROWS. Safe beside others who do the same."""
        if not rows:
            return
        try:
            await self.batch([deleting(row.partition, row.key) for row in rows], again=True)
        except RowMissing:  # somebody else was there, or an earlier try of ours
            await asyncio.gather(*(self.delete(row.partition, row.key) for row in rows))

    async def rows(
        self, query: str, *, select: Sequence[str] = (), top: int = 1000, patient: bool = False
    ) -> list[Row]:
        """All rows that match, in the order of their keys."""
        found: list[Row] = []
        async with aclosing(self.pages(query, select=select, top=top, patient=patient)) as pages:
            async for page in pages:
                found += page
        return found

    async def pages(
        self, query: str, *, select: Sequence[str] = (), top: int = 1000, patient: bool = False
    ) -> AsyncGenerator[list[Row]]:
        """The rows page by page; a page may be empty although more follow. `patient` is for work in the background
        that reads past many rows to find some."""
        limit, within = (SCAN_TIMEOUT, SCANNING) if patient else (ATTEMPT_TIMEOUT, OPERATION_TIMEOUT)
        ask = functools.partial(read_page, self._connection, self._client, Query(query, select, top))
        token: Token = {}
        while True:
            attempt = functools.partial(ask, token, read_timeout=SCAN_TIMEOUT if patient else None)
            page, token = await self._retried(attempt, limit=limit, within=within)
            yield page
            if not token:
                return

    async def _write(self, operation: Operation) -> str:
        check_entity(operation[1])
        return await self._retried(functools.partial(send_write, self._connection, self._client, operation))

    async def _retried[T](
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        tries: int = 10,
        limit: float = ATTEMPT_TIMEOUT,
        within: float = OPERATION_TIMEOUT,
    ) -> T:
        until = time.monotonic() + within
        for pause in pauses():
            tries -= 1
            try:
                return await self._attempt(attempt, until, limit)
            except StoreUnavailable:
                if tries <= 0 or time.monotonic() + pause >= until:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("pauses never end")

    async def _attempt[T](self, attempt: Callable[[], Awaitable[T]], until: float, limit: float) -> T:
        await self._prepare(False)
        try:
            return await self._limited(attempt, until, limit)
        except TableMissing:
            await self._prepare(True)
        try:
            return await self._limited(attempt, until, limit)
        except TableMissing:
            raise StoreUnavailable from None

    async def _limited[T](self, attempt: Callable[[], Awaitable[T]], until: float, limit: float) -> T:
        with translated():
            async with asyncio.timeout(min(limit, max(0.1, until - time.monotonic()))):
                return await attempt()


def _guard(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
