"""One row for each ended turn in the table `usage`: what it used, and how it ended."""

import zlib
from datetime import UTC, datetime

from chat.conversation import Turn
from chat.messages import Message
from chat.store.tables.table_client import Table
from chat.store.tables.table_properties import Entity
from chat.store.tables.table_rows import usage_to_properties

SHARDS = 4


class UsageRows:
    """The rows of ended turns."""

    def __init__(self, usage: Table) -> None:
        self._usage = usage

    async def note(self, turn: Turn, message: Message) -> None:
        """Write the row of an ended turn. Safe to repeat."""
        await self._usage.upsert(_row(turn, message))

    async def correct(self, noted: Turn, stored: Turn, message: Message) -> None:
        """The turn had ended otherwise than was noted."""
        wrong, right = _row(noted, message), _row(stored, message)
        if _keys(wrong) != _keys(right):
            await self._usage.delete(*_keys(wrong))
        await self._usage.upsert(right)


def _row(turn: Turn, message: Message) -> Entity:
    ended_at = turn.ended_at or turn.started_at
    row: Entity = {
        "PartitionKey": f"{_day(ended_at)}-{zlib.crc32(turn.id.encode()) % SHARDS}",
        "RowKey": turn.id,
        "user_id": turn.user_id,
        "state": turn.state,
        "started_at": turn.started_at,
        "ended_at": ended_at,
        "pipeline": turn.request.pipeline,
        "llm_provider": message.llm_provider,
        "llm_model": message.llm_model,
        "error_code": turn.error.code if turn.error else "",
    }
    return row | usage_to_properties(turn)


def _keys(row: Entity) -> tuple[str, str]:
    return str(row["PartitionKey"]), str(row["RowKey"])


def _day(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y%m%d}"
