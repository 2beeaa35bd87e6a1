"""Appends to a session from a process of its own: `python -m tests.store.appender PORT PREFIX SESSION NAME COUNT`."""

import asyncio
import sys

from chat.clock import SystemClock
from chat.messages import MessageDraft
from chat.store.tables.table_service import TableService
from chat.store.tables.table_storage import TableStorage
from tests.support.azurite import connection_string


async def append_many(port: int, prefix: str, session_id: str, name: str, count: int) -> None:
    """All at once, as so many requests would."""
    storage = TableStorage(TableService({"": connection_string(port)}, prefix), SystemClock())
    try:
        await asyncio.gather(
            *(
                storage.conversations.append_messages(
                    "ann", session_id, [MessageDraft("user", f"{name} {number}")]
                )
                for number in range(count)
            )
        )
    finally:
        await storage.aclose()


if __name__ == "__main__":
    port, prefix, session_id, name, count = sys.argv[1:]
    asyncio.run(append_many(int(port), prefix, session_id, name, int(count)))
