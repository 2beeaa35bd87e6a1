"""Turns and their events on tables: the port `TurnStore`."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from chat.conversation import MemberRole, Turn
from chat.errors import NotFound, StoreConflict, TurnNotFound
from chat.events import JSONObject, NumberedEvent
from chat.messages import Message, split_message_id
from chat.store.conversation_store import ConversationStore
from chat.store.drafts import session_from
from chat.store.tables.session_appends import StartTurn, grouped
from chat.store.tables.session_writer import SessionWriters, Written
from chat.store.tables.table_client import (
    BATCH_BYTES,
    BATCH_ROWS,
    Operation,
    Table,
    key_range,
    merging,
    replacing,
    together,
    upserting,
)
from chat.store.tables.table_errors import RowChanged, RowExists, RowMissing
from chat.store.tables.table_events import events_from_rows, events_to_rows
from chat.store.tables.table_heads import Head, Heads
from chat.store.tables.table_keys import HEAD, events_range, is_id, turn_key
from chat.store.tables.table_limits import check_entity
from chat.store.tables.table_properties import Entity, json_chunked, weight
from chat.store.tables.table_purge import EventPurge
from chat.store.tables.table_rows import message_to_rows, turn_from_row, turn_to_row
from chat.store.tables.table_usage import UsageRows
from chat.store.turn_store import StartedTurn, TurnDraft, TurnEnding


class TableTurns:
    """Turns on the tables `sessions` and `usage`."""

    def __init__(
        self,
        sessions: Table,
        usage: UsageRows,
        purge: EventPurge,
        heads: Heads,
        writers: SessionWriters,
        conversations: ConversationStore,
    ) -> None:
        self._sessions = sessions
        self._usage = usage
        self._purge = purge
        self._heads = heads
        self._writers = writers
        self._conversations = conversations

    async def start_turn(self, draft: TurnDraft) -> StartedTurn:
        if draft.new_session is not None:
            return await self._start_with_session(draft)
        answered = None
        if draft.message is None:
            answered = await self._conversations.get_message(draft.request.user_id, draft.request.message_id)
        free = draft.session.version and not draft.session.running_turn
        known = Head(draft.session) if free else None
        return await self._start(StartTurn(draft, answered), draft.session.id, known=known)

    async def get_turn(self, user_id: str, turn_id: str, *, need: MemberRole = "viewer") -> Turn:
        session_id, _ = _place(turn_id)
        try:
            _, turn = await together(self._heads.read(user_id, session_id, need), self.load_turn(turn_id))
        except NotFound:
            raise TurnNotFound from None
        return turn

    async def load_turn(self, turn_id: str) -> Turn:
        session_id, seq = _place(turn_id)
        row = await self._sessions.get(session_id, turn_key(seq))
        if row is None:
            raise TurnNotFound
        return turn_from_row(row.values, row.etag)

    async def append_events(self, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        session_id, seq = _place(turn.id)
        rows = events_to_rows(session_id, seq, events)
        await self._purge.note(turn, events)
        if len(rows) != 1:
            # Upserts: an earlier try may have written some of the same rows, cut at another place.
            await self._write_ahead([upserting(row) for row in rows])
            return
        # A repeat of a single row is no conflict: the reply to an earlier try got lost.
        with suppress(RowExists):
            await self._sessions.create(rows[0])

    async def read_events(self, turn: Turn, *, after: int = 0) -> list[NumberedEvent]:
        session_id, seq = _place(turn.id)
        rows = await self._sessions.rows(key_range(*events_range(session_id, seq, after=after)))
        return events_from_rows((row.values for row in rows), after=after)

    async def end_turn(self, ending: TurnEnding) -> Turn:
        await self._purge.note(ending.turn, ending.events)
        stored, _ = await together(self._end(ending), self._usage.note(ending.ended, ending.message))
        if (stored.state, stored.ended_at) != (ending.ended.state, ending.ended.ended_at):
            await self._usage.correct(ending.ended, stored, ending.message)
        return stored

    async def note_client(self, turn: Turn, client: JSONObject) -> None:
        session_id, seq = _place(turn.id)
        row: Entity = {"PartitionKey": session_id, "RowKey": turn_key(seq), **json_chunked("client", client)}
        try:
            await self._sessions.merge(row)
        except RowMissing:
            raise TurnNotFound from None

    async def purge_events(self, *, ended_before: datetime) -> int:
        return await self._purge.purge(ended_before)

    async def _start_with_session(self, draft: TurnDraft) -> StartedTurn:
        assert draft.new_session is not None
        assert draft.message is not None
        request = draft.request
        if len(list(grouped([*request.history, draft.message]))) > 1:
            session = await self._conversations.create_session(
                request.user_id, draft.new_session, request.history
            )
            request = replace(request, session_id=session.id, history=())
            return await self.start_turn(replace(draft, session=session, request=request))
        session = session_from(request.user_id, draft.new_session, draft.started_at)
        started, _ = await together(
            self._start(StartTurn(draft), session.id, new=Head(session)),
            self._heads.list_new(session),
        )
        return started

    async def _start(
        self, start: StartTurn, session_id: str, *, new: Head | None = None, known: Head | None = None
    ) -> StartedTurn:
        written = await self._writers.write(session_id, start, new=new, known=known)
        if written is None:
            return await self._landed(start.draft, session_id)
        assert written.change.turn is not None
        turn = await self._with_version(written.change.turn, written)
        *_, answer = written.change.messages
        asked = start.answered or written.change.messages[-2]
        return StartedTurn(turn, written.head.session, asked, answer)

    async def _with_version(self, turn: Turn, written: Written) -> Turn:
        if written.turn_version:
            return replace(turn, version=written.turn_version)
        return await self.load_turn(turn.id)

    async def _landed(self, draft: TurnDraft, session_id: str) -> StartedTurn:
        """What an earlier start with the same nonce has written."""
        head = await self._heads.find(session_id)
        if head is None or head.session.start_nonce != draft.nonce:
            raise StoreConflict
        turn = await self.load_turn(head.last_turn)
        asked, answer = await together(
            self._message(draft, turn.user_message_id), self._message(draft, turn.id)
        )
        return StartedTurn(turn, head.session, asked, answer)

    async def _message(self, draft: TurnDraft, message_id: str) -> Message:
        return await self._conversations.get_message(draft.request.user_id, message_id)

    async def _end(self, ending: TurnEnding) -> Turn:
        session_id, seq = _place(ending.turn.id)
        message, *parts = message_to_rows(ending.message, ending.turn.nonce)
        head: Entity = {"PartitionKey": session_id, "RowKey": HEAD, "running_turn": ""}
        head["updated_at"] = ending.ended.ended_at or ending.message.updated_at
        last = [
            replacing(turn_to_row(ending.ended, seq), ending.turn.version),
            replacing(message),
            merging(head),
        ]
        rows = [*parts, *events_to_rows(session_id, seq, ending.events, follows=ending.follows)]
        for row in (*(operation[1] for operation in last), *rows):
            check_entity(row)  # before the first of several batches
        early, final = _divided(rows, sum(weight(operation[1]) for operation in last))
        if early:
            turn = await self.load_turn(ending.turn.id)
            if not turn.running:
                return turn
            await self._write_ahead([upserting(row) for row in early])
        return await self._end_at_once(ending, [*last, *(upserting(row) for row in final)])

    async def _end_at_once(self, ending: TurnEnding, operations: list[Operation]) -> Turn:
        try:
            etags = await self._sessions.batch(operations, again=True)
            return replace(ending.ended, version=etags[0])
        except RowChanged:  # by somebody else, or by an earlier try of ours
            turn = await self.load_turn(ending.turn.id)
        except RowMissing:  # deleted: events that were flushed since then belong to nobody
            session_id, seq = _place(ending.turn.id)
            await self._sessions.delete_all(key_range(*events_range(session_id, seq, after=0)))
            raise TurnNotFound from None
        if turn.running:
            raise StoreConflict
        return turn

    async def _write_ahead(self, operations: Sequence[Operation]) -> None:
        group: list[Operation] = []
        size = 0
        for operation in operations:
            more = weight(operation[1])
            if group and (len(group) == BATCH_ROWS or size + more > BATCH_BYTES):
                await self._sessions.batch(group, again=True)
                group, size = [], 0
            group.append(operation)
            size += more
        if group:
            await self._sessions.batch(group, again=True)


def _place(turn_id: str) -> tuple[str, int]:
    place = split_message_id(turn_id)
    if place is None or not is_id(place[0]):
        raise TurnNotFound
    return place


def _divided(rows: Sequence[Entity], size: int) -> tuple[list[Entity], list[Entity]]:
    """The rows that must be written before the last batch, and those that fit into it beside `size` bytes: as many
    as can be, and always the last row, which has the terminal event."""
    kept = len(rows)
    while kept > 0:
        size += weight(rows[kept - 1])
        full = size > BATCH_BYTES or len(rows) - kept >= BATCH_ROWS - 4
        if full and kept < len(rows):
            break
        kept -= 1
    return list(rows[:kept]), list(rows[kept:])
