"""What the timer has to look at one day, by time: a partition of the table `usage` for each kind of work.

A row is there before what it leads to, so a crash in between leaves at most a row that leads to nothing. One partition
takes about 2,000 writes a second, and each turn writes one row.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

from chat.errors import StoreConflict, StoreError, StoreRefused
from chat.store.tables.table_client import Row, Table, key_range
from chat.store.tables.table_properties import Value
from chat.telemetry import record, record_error

type Kind = Literal[
    "due-events",
    "due-tickets",
    "due-aliases",
    "due-deletions",
    "due-sockets",
    "due-invitations",
    "due-requests",
]

AT_ONCE = 32  # rows that are worked off side by side; then comes a pause as long as they took
PAGE = 1000  # rows that are read at once
WORKING = 30.0  # seconds after which a call leaves the rest to the next one


class DueRows:
    """The rows of all kinds."""

    def __init__(self, usage: Table) -> None:
        self._usage = usage

    async def note(self, kind: Kind, when: datetime, name: str, **fields: Value) -> None:
        """Have `name` looked at after that time. Safe to repeat."""
        await self._usage.upsert({"PartitionKey": kind, "RowKey": f"{_moment(when)}-{name}", **fields})

    async def drop(self, kind: Kind, when: datetime, name: str) -> None:
        """The reverse of `note`. Safe to repeat."""
        await self._usage.delete(kind, f"{_moment(when)}-{name}")

    async def work_off(self, kind: Kind, before: datetime, work: Callable[[Row], Awaitable[bool]]) -> int:
        """Has `work` see each row that is due before then, oldest first, and removes those that it is done with. How
        many. What is left comes again with the next call."""
        until = time.monotonic() + WORKING
        done, first, beyond = 0, "0", _moment(before)
        while rows := await self._first_page(key_range(kind, first, beyond)):
            for group in itertools.batched(rows, AT_ONCE, strict=False):
                began = time.monotonic()
                outcomes = await asyncio.gather(*(_tried(work, row) for row in group))
                finished = [row for row, outcome in zip(group, outcomes, strict=True) if outcome]
                await self._usage.delete_rows(finished)
                done += len(finished)
                if time.monotonic() > until:
                    return done
                await asyncio.sleep(time.monotonic() - began)
            first = rows[-1].key + "-"
        return done

    async def _first_page(self, query: str) -> list[Row]:
        async for page in self._usage.pages(query, top=PAGE, patient=True):
            if page:
                return page
        return []


async def _tried(work: Callable[[Row], Awaitable[bool]], row: Row) -> bool:
    """Whether the row is done with. What is wrong with one does not keep the others waiting."""
    try:
        return await work(row)
    except StoreError as error:
        if not isinstance(error, StoreConflict | StoreRefused):
            raise
        record("due_row_failed", kind=row.partition, key=row.key, code=error.code)
    except Exception as error:
        record_error("due_row_failed", error, kind=row.partition, key=row.key)
    return False


def _moment(when: datetime) -> str:
    return f"{max(0, int(when.timestamp() * 1000)):013d}"
