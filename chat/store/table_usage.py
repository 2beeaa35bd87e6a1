"""One row for each ended turn in the table `usage`: what it used, and by its day the index of what can be purged."""

import asyncio
import itertools
import zlib
from datetime import UTC, datetime, timedelta

from chat.messages import Message, Turn, split_message_id
from chat.store.table_client import Row, Table, key_range
from chat.store.table_errors import RowMissing
from chat.store.table_keys import events_range
from chat.store.table_properties import Entity, moment
from chat.store.table_rows import usage_to_properties

SHARDS = 4
PURGED_AT_ONCE = 8
PURGED_PER_CALL = 500
PROGRESS: Entity = {"PartitionKey": "purge", "RowKey": "until"}


class UsageRows:
    """The rows of ended turns."""

    def __init__(self, usage: Table, sessions: Table) -> None:
        self._usage = usage
        self._sessions = sessions

    async def note(self, turn: Turn, message: Message) -> None:
        """Write the row of an ended turn. Safe to repeat."""
        await self._usage.upsert(_row(turn, message))

    async def correct(self, noted: Turn, stored: Turn, message: Message) -> None:
        """The turn had ended otherwise than was noted."""
        wrong, right = _row(noted, message), _row(stored, message)
        if _keys(wrong) != _keys(right):
            await self._usage.delete(*_keys(wrong))
        await self._usage.upsert(right)

    async def purge(self, ended_before: datetime) -> int:
        """Remove the events of turns that ended before then; at most 500 turns a call, the oldest days first."""
        since = await self._purged_until()
        # A turn's day is by the clock of whoever ended it: so look one day further back.
        first, last = _day(since - timedelta(days=1)), _day(ended_before)
        query = (
            f"PartitionKey ge '{first}' and PartitionKey lt '{last}.' and purged eq false "
            f"and ended_at lt datetime'{ended_before.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}'"
        )
        rows = await self._first_rows(query)
        for group in itertools.batched(rows[:PURGED_PER_CALL], PURGED_AT_ONCE, strict=False):
            await asyncio.gather(*(self._purge_turn(row) for row in group))
        if len(rows) <= PURGED_PER_CALL:
            await self._usage.upsert(PROGRESS | {"until": max(since, ended_before)})
        return min(len(rows), PURGED_PER_CALL)

    async def _first_rows(self, query: str) -> list[Row]:
        rows: list[Row] = []
        async for page in self._usage.pages(query, select=("PartitionKey", "RowKey")):
            rows += page
            if len(rows) > PURGED_PER_CALL:
                break
        return rows

    async def _purge_turn(self, row: Row) -> None:
        place = split_message_id(row.key)
        if place is not None:
            await self._sessions.delete_all(key_range(*events_range(*place)))
        try:
            await self._usage.merge({"PartitionKey": row.partition, "RowKey": row.key, "purged": True})
        except RowMissing:
            return

    async def _purged_until(self) -> datetime:
        row = await self._usage.get("purge", "until")
        return moment(row.values["until"]) if row else datetime(2020, 1, 1, tzinfo=UTC)


def _row(turn: Turn, message: Message) -> Entity:
    ended_at = turn.ended_at or turn.started_at
    row: Entity = {
        "PartitionKey": f"{_day(ended_at)}-{zlib.crc32(turn.id.encode()) % SHARDS}",
        "RowKey": turn.id,
        "user_id": turn.user_id,
        "state": turn.state,
        "started_at": turn.started_at,
        "ended_at": ended_at,
        "pipeline": turn.pipeline,
        "llm_provider": message.llm_provider,
        "llm_model": message.llm_model,
        "error_code": turn.error.code if turn.error else "",
        "purged": False,
    }
    return row | usage_to_properties(turn)


def _keys(row: Entity) -> tuple[str, str]:
    return str(row["PartitionKey"]), str(row["RowKey"])


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y%m%d}"
