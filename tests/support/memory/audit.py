"""The audit log, in memory."""

from datetime import datetime

from chat.errors import ValidationError
from chat.messages import Page
from chat.store.audit_store import AuditEntry
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows


class MemoryAudit(MemoryPort):
    """An `AuditStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self.audited: list[AuditEntry] = []  # oldest first

    @port
    async def note_audit(self, entry: AuditEntry) -> None:
        self.audited.append(entry)

    @port
    async def list_audit(self, *, limit: int, cursor: str | None = None) -> Page[AuditEntry]:
        if cursor is not None and not cursor.isdecimal():
            raise ValidationError("cursor", "This is not a cursor of this list")
        beyond = int(cursor) if cursor else len(self.audited)
        first = max(0, beyond - limit)
        return Page(tuple(self.audited[first:beyond][::-1]), str(first) if first else None)

    @port
    async def forget_audit(self, *, before: datetime) -> int:
        old = [entry for entry in self.audited if entry.at < before]
        self.audited = [entry for entry in self.audited if entry.at >= before]
        return len(old)
