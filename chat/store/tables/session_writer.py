"""One writer for each session that is written to: it drains a queue, many appends a batch, so that the appends of
one process never meet. Against other processes the head's etag guards; who comes second reads it again and retries.
"""

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace

from chat.errors import ChatError, SessionNotFound, StoreConflict, StoreError, StoreRefused, StoreUnavailable
from chat.store.tables.session_appends import Append, Change
from chat.store.tables.table_client import (
    BATCH_BYTES,
    BATCH_ROWS,
    OPERATION_TIMEOUT,
    Operation,
    Table,
    creating,
    deleting,
    key_range,
    merging,
    pauses,
)
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_heads import Head, Heads
from chat.store.tables.table_keys import message_key, seq_of, turn_key
from chat.store.tables.table_properties import Entity, weight
from chat.store.tables.table_rows import head_to_row, new_head_to_row

APPENDS_PER_BATCH = 24
CONFLICT_TIMEOUT = 10.0
CONFLICT_PAUSE = 0.02  # seconds, times the number of conflicts
# The pause grows no further. To give up after eight conflicts was too soon: of 4 processes that write without a pause,
# one lost nine times in a row (2 cores, Azurite).
CONFLICTS_COUNTED = 8


@dataclass(frozen=True, slots=True)
class Written:
    """What an append became. `turn_version` is "" when it was a read that showed that the batch had landed."""

    change: Change
    head: Head
    turn_version: str


@dataclass(eq=False, slots=True)
class _Item:
    append: Append
    future: asyncio.Future[Written | None]
    known: Head | None = None
    tried: list[Change] = field(default_factory=list[Change])

    def settle(self, written: Written | None) -> None:
        if not self.future.done():
            self.future.set_result(written)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class SessionWriters:
    """The writers of this process. One that has nothing to write is forgotten."""

    def __init__(self, sessions: Table, heads: Heads) -> None:
        self._sessions = sessions
        self._heads = heads
        self._writers: dict[str, _Writer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(
        self, session_id: str, append: Append, *, new: Head | None = None, known: Head | None = None
    ) -> Written | None:
        """Append, in turn; None when it was stored already. `new` is the head to create when there is none, `known` one
        that was read just now, and lets the append be: unless there is a newer one it need not be read again.
        SessionNotFound, StoreConflict, StoreUnavailable, StoreRefused, and what `apply` raises.
        """
        item = _Item(append, asyncio.get_running_loop().create_future(), known)
        writer = self._writers.get(session_id)
        if writer is None:
            writer = self._writers[session_id] = _Writer(session_id, self._sessions, self._heads)
            # An empty context: the variables of the request that happens to come first are none of the others'.
            task = asyncio.create_task(self._drain(session_id, writer), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        writer.new = writer.new or new
        writer.queue.append(item)
        return await item.future

    async def aclose(self) -> None:
        """Wait until all is written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drain(self, session_id: str, writer: "_Writer") -> None:
        try:
            await writer.drain()
        finally:
            del self._writers[session_id]
            for item in writer.queue:
                item.fail(StoreUnavailable())

    def __len__(self) -> int:
        return len(self._writers)


class _Writer:
    """Writes what is queued for one session."""

    def __init__(self, session_id: str, sessions: Table, heads: Heads) -> None:
        self.queue: deque[_Item] = deque()
        self.new: Head | None = None
        self._session_id = session_id
        self._sessions = sessions
        self._heads = heads

    async def drain(self) -> None:
        most = APPENDS_PER_BATCH
        while self.queue:
            count = min(len(self.queue), most)
            items = [self.queue.popleft() for _ in range(count)]
            most = min(APPENDS_PER_BATCH, most * 2)
            try:
                await self._write(items)
            except Exception as error:
                most = self._take_apart(items, error) or most

    def _take_apart(self, items: Sequence[_Item], error: Exception) -> int:
        """After a batch that failed. What is wrong with the session or with the store fails all that were in it. What
        can be the fault of one is tried again in halves, so that in the end the one alone fails: how many at once."""
        tried = [item for item in items if not item.future.done() and item not in self.queue]
        if len(tried) > 1 and _can_be_ones_own(error):
            self.queue.extendleft(reversed(tried))
            return len(tried) // 2
        for item in tried:
            item.fail(error)
        return 0

    async def _write(self, items: Sequence[_Item]) -> None:
        """Settles the items: those that do not fit into the batch go back to the queue."""
        conflicts, unsure_from = 0, -1
        waits = pauses()
        # What one knows says nothing about what others may do.
        head = self.new or (items[0].known if len(items) == 1 else None)
        try:
            async with asyncio.timeout(CONFLICT_TIMEOUT) as limit:
                while batch := self._plan(items, head or await self._read_head()):
                    try:
                        return await self._submit(batch)
                    except (RowExists, RowChanged):
                        conflicts += 1
                        pause = random.uniform(0, CONFLICT_PAUSE * min(conflicts, CONFLICTS_COUNTED))
                    except RowMissing:
                        raise SessionNotFound from None
                    except StoreUnavailable:
                        pause = next(waits)
                        if unsure_from < 0:
                            unsure_from = batch.base.session.last_seq
                            limit.reschedule(
                                min(limit.when() or 0, asyncio.get_running_loop().time() + OPERATION_TIMEOUT)
                            )
                    await asyncio.sleep(pause)
                    head = await self._read_head()
                    if unsure_from >= 0:
                        await self._recognise(batch.items, unsure_from, head)
                    items = [item for item in batch.items if not item.future.done()]
        except TimeoutError:
            raise (StoreUnavailable if unsure_from >= 0 else StoreConflict) from None

    def _plan(self, items: Sequence[_Item], head: Head) -> "_Batch | None":
        """As many appends as fit, one upon the other. Those that cannot be are settled at once."""
        batch = _Batch(head, head)
        for index, item in enumerate(items):
            if item.future.done():
                continue  # the caller has left
            try:
                change = item.append.apply(batch.after)
                rows = change.rows(item.append.marker) if change else []
            except ChatError as error:
                if not batch.items:
                    item.fail(error)
                    continue
                change, rows = None, []
            # What a head that is not stored yet refuses, or has already, is judged again by the one that will be.
            if change is None and not batch.items:
                item.settle(None)
            elif change is None or not batch.take(item, change, rows):
                self.queue.extendleft(reversed(items[index:]))
                break
        return batch if batch.items else None

    async def _submit(self, batch: "_Batch") -> None:
        operations = batch.operations()
        etags = await self._sessions.batch(operations)
        versions = {
            str(operation[1]["RowKey"]): etag for operation, etag in zip(operations, etags, strict=True)
        }
        head = replace(batch.after, session=replace(batch.after.session, version=etags[0]))
        self.new = None
        for item in batch.items:
            change = item.tried[-1]
            item.settle(
                Written(change, head, versions[turn_key(change.messages[-1].seq)] if change.turn else "")
            )

    async def _read_head(self) -> Head:
        head = await self._heads.find(self._session_id) or self.new
        if head is None:
            raise SessionNotFound
        return head

    async def _recognise(self, items: Sequence[_Item], since: int, head: Head) -> None:
        """Settles the appends that an earlier batch, whose reply did not come, has written after `since`."""
        query = key_range(self._session_id, message_key(since + 1), message_key(head.session.last_seq + 1))
        landed: dict[str, int] = {}
        for row in await self._sessions.rows(query, select=("RowKey", "marker")):
            landed.setdefault(row.values.get("marker") or "", seq_of(row.key))
        for item in items:
            seq = landed.get(item.append.marker)
            change = next(
                (each for each in item.tried if each.messages and each.messages[0].seq == seq), None
            )
            if change is not None:
                item.settle(Written(change, head, ""))


def _can_be_ones_own(error: Exception) -> bool:
    """Whether one append alone may be why a batch of many failed."""
    return isinstance(error, StoreRefused) or not isinstance(error, StoreError | SessionNotFound)


@dataclass(slots=True)
class _Batch:
    """The appends that go into one batch: `base` is the head before them, `after` the one that they make."""

    base: Head
    after: Head
    items: list[_Item] = field(default_factory=list[_Item])
    rows: list[Entity] = field(default_factory=list[Entity])
    gone: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    size: int = 0

    def take(self, item: _Item, change: Change, rows: Sequence[Entity]) -> bool:
        """Whether it fits; the first one is taken in any case."""
        size = sum(weight(row) for row in rows)
        gone = change.gone()
        operations = len(self.rows) + len(self.gone) + len(rows) + len(gone)
        full = operations > BATCH_ROWS - 2 or self.size + size > BATCH_BYTES
        if full and self.items:
            return False
        item.tried.append(change)
        self.items.append(item)
        self.rows += rows
        self.gone += gone
        self.size += size
        self.after = change.head
        return True

    def operations(self) -> list[Operation]:
        """The head first, then the rows to create, and those to delete."""
        session, last_turn = self.after.session, self.after.last_turn
        creates = [*map(creating, self.rows), *(deleting(*keys, etag="*") for keys in self.gone)]
        if self.base.session.version:
            return [merging(head_to_row(session, last_turn=last_turn), self.base.session.version), *creates]
        head = creating(new_head_to_row(session, last_turn=last_turn))
        return [head, *creates]
