"""The audit log on the table `audit`: the port `AuditStore`.

One partition, `lines`, newest first: admins read other people's conversations seldom, and one partition takes 2,000
lines a second.
"""

import itertools
import re
import secrets
from contextlib import aclosing
from datetime import datetime

from chat.messages import Page
from chat.store.audit_store import AuditEntry
from chat.store.drafts import LAST_MILLISECOND
from chat.store.tables.table_client import BATCH_ROWS, Row, Table, key_range
from chat.store.tables.table_cursors import cursor_after, read_cursor
from chat.store.tables.table_properties import moment

LINES = "lines"
KEY = re.compile(r"\d{13}-[0-9a-f]{16}")
FIRST, BEYOND = "0", ":"  # of all keys, which begin with digits


class TableAudit:
    """The audit log on tables."""

    def __init__(self, audit: Table) -> None:
        self._audit = audit

    async def note_audit(self, entry: AuditEntry) -> None:
        # An upsert, so that it may be tried again: the key is this line's alone.
        await self._audit.upsert(
            {
                "PartitionKey": LINES,
                "RowKey": f"{_inverted(entry.at)}-{secrets.token_hex(8)}",
                "at": entry.at,
                "actor": entry.actor,
                "action": entry.action,
                "user_id": entry.user_id,
                "path": entry.path,
                "to": entry.to,
            }
        )

    async def list_audit(self, *, limit: int, cursor: str | None = None) -> Page[AuditEntry]:
        after = read_cursor(cursor, KEY)
        first = f"{after}-" if after else FIRST
        rows: list[Row] = []
        async with aclosing(self._audit.pages(key_range(LINES, first, BEYOND), top=limit + 1)) as pages:
            async for page in pages:
                rows += page
                if len(rows) > limit:
                    break
        entries = tuple(map(_entry, rows[:limit]))
        return Page(entries, cursor_after(rows[limit - 1].key) if len(rows) > limit else None)

    async def forget_audit(self, *, before: datetime) -> int:
        old = key_range(LINES, f"{_inverted(before)}.", BEYOND)  # but none of that moment itself
        async with aclosing(self._audit.pages(old, select=("PartitionKey", "RowKey"), patient=True)) as pages:
            async for page in pages:
                for rows in itertools.batched(page, BATCH_ROWS, strict=False):
                    await self._audit.delete_rows(rows)
                if page:
                    return len(page)
        return 0


def _inverted(at: datetime) -> str:
    """The earlier, the further back."""
    return f"{LAST_MILLISECOND - int(at.timestamp() * 1000):013d}"


def _entry(row: Row) -> AuditEntry:
    values = row.values
    return AuditEntry(
        moment(values["at"]),
        values["actor"],
        values["action"],
        values["user_id"],
        values["path"],
        values.get("to", ""),
    )
