"""Lists that stand in a user's partition of the table `directory`, newest first: a line leads to the head of a session,
which says whether it still holds.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress

from chat.messages import Page
from chat.store.conversation_store import COUNTED
from chat.store.tables.table_client import Row, Table, key_range
from chat.store.tables.table_cursors import cursor_after, read_cursor
from chat.store.tables.table_errors import RowChanged
from chat.store.tables.table_keys import escaped

READS = 32  # heads that the lists of one process read at once: each needs a connection
ABANDONED = (
    86_400.0  # seconds after which a line of a list that leads nowhere is removed by who comes upon it
)

type Show[T] = Callable[[Row], Awaitable[T | None]]

SESSIONS, INVITATIONS = "", "i-"
"""The lists of a user, by what their keys begin with; inverted milliseconds and a session follow."""

LINES = {
    which: re.compile(which + r"\d{13}-[A-Za-z0-9_-]{1,128}", re.ASCII) for which in (SESSIONS, INVITATIONS)
}


class UserLists:
    """All lists of all users."""

    def __init__(self, directory: Table) -> None:
        self._directory = directory
        self._reads = asyncio.Semaphore(READS)

    async def page[T](
        self, which: str, user_id: str, show: Show[T], *, limit: int, cursor: str | None
    ) -> Page[T]:
        """What `show` makes of the lines; None for one that leads nowhere. ValidationError for a cursor not ours."""
        found: list[T] = []
        keys: list[str] = []
        after = read_cursor(cursor, LINES[which])
        while len(found) <= limit:
            rows = await self._lines(which, user_id, after, limit + 1)
            if not rows:
                return Page(tuple(found))
            for row, shown in zip(rows, await self._shown(show, rows), strict=True):
                if shown is not None:
                    found.append(shown)
                    keys.append(row.key)
            after = rows[-1].key
        return Page(tuple(found[:limit]), cursor_after(keys[limit - 1]))

    async def count(self, which: str, user_id: str) -> int | None:
        """Keys alone are read, a thousand a request. None for more than COUNTED."""
        count = 0
        lines = self._directory.pages(_lines(which, user_id), select=("RowKey",))
        async with aclosing(lines) as pages:
            async for page in pages:
                count += len(page)
                if count > COUNTED:
                    return None
        return count

    async def lines(self, which: str, user_id: str, *, select: Sequence[str]) -> list[Row]:
        """All of them."""
        return await self._directory.rows(_lines(which, user_id), select=select)

    async def _lines(self, which: str, user_id: str, after: str, count: int) -> list[Row]:
        first = after + "-" if after else ""  # all keys of a list have one length
        async for page in self._directory.pages(_lines(which, user_id, first), top=min(count, 1000)):
            if page:
                return page
        return []

    async def _shown[T](self, show: Show[T], rows: Sequence[Row]) -> list[T | None]:
        found = await asyncio.gather(*(self._look(show, row) for row in rows), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if not isinstance(each, BaseException)]

    async def _look[T](self, show: Show[T], row: Row) -> T | None:
        async with self._reads:
            shown = await show(row)
        if shown is None and row.age > ABANDONED:
            with suppress(RowChanged):
                await self._directory.delete(row.partition, row.key, row.etag)
        return shown


def _lines(which: str, user_id: str, first: str = "") -> str:
    """The keys of a list go on with digits."""
    return key_range(escaped(user_id), first or which + "0", which + ":")
