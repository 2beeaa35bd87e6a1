"""Sessions and their messages on tables: the port `ConversationStore`."""

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from chat.clock import Clock
from chat.conversation import MemberRole, Session, WaitingMessage
from chat.errors import MessageNotFound, SessionNotFound, StoreConflict
from chat.messages import Message, MessageDraft, Page, message_id, split_message_id
from chat.requests import TurnRequest
from chat.store.conversation_store import COUNTED, Posted, SessionChanges, SessionDraft, Waits
from chat.store.drafts import members_after, session_from, with_version
from chat.store.request_json import request_from_json
from chat.store.tables.session_appends import AppendMessages, AppendWaiting, PostMessage, grouped
from chat.store.tables.session_writer import SessionWriters
from chat.store.tables.table_aliases import Aliases
from chat.store.tables.table_client import Row, Table, key_range, together
from chat.store.tables.table_cursors import cursor_after, read_cursor
from chat.store.tables.table_deletion import Deletions
from chat.store.tables.table_due import DueRows
from chat.store.tables.table_errors import RowChanged, RowMissing
from chat.store.tables.table_heads import Head, Heads, allowed
from chat.store.tables.table_keys import escaped, is_id, message_key
from chat.store.tables.table_properties import moment
from chat.store.tables.table_requests import requests_from_rows
from chat.store.tables.table_rows import head_changes_to_row, message_from_rows, messages_from_rows

ATTEMPTS = 8
READS = 32  # heads that the lists of one process read at once: each needs a connection
ABANDONED = (
    86_400.0  # seconds after which a line of a list that leads nowhere is removed by who comes upon it
)
DIRECTORY_KEY = re.compile(r"\d{13}-[A-Za-z0-9_-]{1,128}")


class TableConversations:
    """Conversations on the tables `sessions` and `directory`."""

    def __init__(
        self,
        sessions: Table,
        directory: Table,
        heads: Heads,
        writers: SessionWriters,
        due: DueRows,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._directory = directory
        self._heads = heads
        self._writers = writers
        self._clock = clock
        self._aliases = Aliases(directory, heads, due, clock)
        self._deletions = Deletions(sessions, heads, due, clock)
        self._reads = asyncio.Semaphore(READS)

    async def create_session(
        self, user_id: str, draft: SessionDraft, messages: Sequence[MessageDraft] = ()
    ) -> Session:
        now = self._clock.now()
        first = next(grouped(messages), [])
        create = AppendMessages(user_id, first, now, creates=True)
        head = Head(session_from(user_id, draft, now))
        written, _ = await together(
            self._writers.write(draft.id, create, new=head), self._heads.list_up(user_id, draft.id)
        )
        session = written.head.session if written else await self._heads.read(user_id, draft.id)
        missing = [] if session.start_nonce else messages[session.last_seq :]
        if missing:
            await self.append_messages(user_id, draft.id, missing)
            session = await self._heads.read(user_id, draft.id)
        return session

    async def claim_session(self, user_id: str, alias: str, session_id: str) -> str:
        return await self._aliases.claim(user_id, alias, session_id)

    async def get_session(self, user_id: str, session_id: str) -> Session:
        return await self._heads.read(user_id, session_id)

    async def load_session(self, session_id: str) -> Session:
        return await self._heads.load(session_id)

    async def update_session(self, user_id: str, session_id: str, changes: SessionChanges) -> Session:
        return await self._change(
            session_id, lambda session: allowed(user_id, session, "editor") and changes.given
        )

    async def set_member(
        self, user_id: str, session_id: str, member_id: str, role: MemberRole | None
    ) -> Session:
        def change(session: Session) -> Mapping[str, Any]:
            allowed(user_id, session, "viewer" if user_id == member_id and role is None else "owner")
            return {"members": members_after(session, member_id, role)}

        session = await self._change(session_id, change)
        if role is None:
            await self._heads.strike(member_id, session_id)
        else:
            await self._heads.list_up(member_id, session_id)
        return session

    async def _change(self, session_id: str, change: Callable[[Session], Mapping[str, Any]]) -> Session:
        """Merge what `change` makes of the head, again when somebody else was quicker."""
        for attempt in range(ATTEMPTS):
            session = await self._heads.load(session_id)
            given = change(session)
            now = max(self._clock.now(), session.updated_at)
            try:
                etag = await self._sessions.merge(
                    head_changes_to_row(session_id, given, now), session.version
                )
            except RowChanged:
                await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
                continue
            except RowMissing:
                raise SessionNotFound from None
            return with_version(replace(session, **given, updated_at=now), etag)
        raise StoreConflict

    async def list_sessions(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Session]:
        found: list[Session] = []
        keys: list[str] = []
        after = read_cursor(cursor, DIRECTORY_KEY)
        while len(found) <= limit:
            rows = await self._directory_page(user_id, after, limit + 1)
            if not rows:
                return Page(tuple(found))
            for row, session in zip(rows, await self._listed(user_id, rows), strict=True):
                if session is not None:
                    found.append(session)
                    keys.append(row.key)
            after = rows[-1].key
        return Page(tuple(found[:limit]), cursor_after(keys[limit - 1]))

    async def count_sessions(self, user_id: str) -> int | None:
        """Keys alone are read, a thousand a request."""
        count = 0
        lines = self._directory.pages(_lines(user_id), select=("RowKey",))
        async with aclosing(lines) as pages:
            async for page in pages:
                count += len(page)
                if count > COUNTED:
                    return None
        return count

    async def delete_session(self, user_id: str, session_id: str) -> None:
        await self._deletions.delete(user_id, session_id)

    async def tidy(self, *, before: datetime) -> None:
        await self._deletions.go_on(before)
        await self._aliases.forget(before)

    async def append_messages(
        self, user_id: str, session_id: str, drafts: Sequence[MessageDraft]
    ) -> list[Message]:
        """More than fit into one batch (90 rows, 3 MB) go as several, each of them whole."""
        stored: list[Message] = []
        if not drafts:
            await self._heads.read(user_id, session_id)
        for group in grouped(drafts):
            written = await self._writers.write(session_id, AppendMessages(user_id, group, self._clock.now()))
            assert written is not None
            stored += written.change.messages
        return stored

    async def post_message(self, request: TurnRequest, draft: MessageDraft | None = None) -> Posted:
        session_id, draft = request.session_id, draft or request.question
        list(grouped([draft]))  # TooLarge for one that no batch can hold
        written = await self._writers.write(session_id, PostMessage(request, draft, self._clock.now()))
        if written is not None:
            return Posted(written.change.messages[0])
        asked = (await self._heads.load(session_id)).asked_by(request.key)
        if asked is None:  # ASKED others came since it was found there
            raise StoreConflict
        return Posted(await self.load_message(message_id(session_id, asked.question)), new=False)

    async def append_waiting(self, request: TurnRequest) -> Waits | None:
        session_id = request.session_id
        written = await self._writers.write(session_id, AppendWaiting(request, self._clock.now()))
        if written is not None:
            return Waits(written.change.messages[0])
        asked = (await self._heads.load(session_id)).asked_by(request.key)
        if asked is None or asked.turn:
            return None
        return Waits(await self.load_message(message_id(session_id, asked.question)), new=False)

    async def load_waiting(self, session: Session) -> tuple[WaitingMessage, ...]:
        rows = await self._sessions.rows(key_range(session.id, "q-", "q."))
        asked = requests_from_rows(row.values for row in rows)
        return tuple(
            replace(each, request=request_from_json(asked.get(each.seq, {}), each.request))
            for each in session.waiting
        )

    async def get_message(self, user_id: str, message_id: str) -> Message:
        place = split_message_id(message_id)
        if place is None or not is_id(place[0]):
            raise MessageNotFound
        _, message = await together(self._heads.read(user_id, place[0]), self.load_message(message_id))
        return message

    async def load_message(self, message_id: str) -> Message:
        place = split_message_id(message_id)
        if place is None or not is_id(place[0]):
            raise MessageNotFound
        session_id, seq = place
        query = key_range(session_id, message_key(seq), message_key(seq + 1))
        rows = await self._sessions.rows(query)
        if not rows:
            raise MessageNotFound
        return message_from_rows([row.values for row in rows])

    async def load_messages(self, session: Session, *, limit: int, before: int) -> list[Message]:
        beyond = min(before, session.last_seq + 1)
        return await self._messages(session.id, max(1, beyond - limit), beyond)

    async def list_messages(
        self,
        user_id: str,
        session_id: str,
        *,
        limit: int,
        after: int = 0,
        before: int | datetime | None = None,
        newest: bool = False,
    ) -> list[Message]:
        session = await self._heads.read(user_id, session_id)
        if isinstance(before, datetime):
            before = await self._first_since(before, session)
        beyond = session.last_seq + 1 if before is None else min(before, session.last_seq + 1)
        # Numbers have no gaps, so the range of keys alone picks the right messages.
        first = max(after + 1, beyond - limit) if newest else after + 1
        return await self._messages(session_id, first, min(beyond, first + limit))

    async def _messages(self, session_id: str, first: int, beyond: int) -> list[Message]:
        if first >= beyond:
            return []
        query = key_range(session_id, message_key(first), message_key(beyond))
        return messages_from_rows(row.values for row in await self._sessions.rows(query))

    async def _first_since(self, when: datetime, session: Session) -> int:
        """The number of the first message from then on, found by halving: numbers go with time."""
        first, beyond = 1, session.last_seq + 1
        while first < beyond:
            middle = (first + beyond) // 2
            key = message_key(middle)
            rows = await self._sessions.rows(key_range(session.id, key, key + "-"), select=("created_at",))
            if not rows:  # deleted meanwhile
                raise SessionNotFound
            if moment(rows[0].values["created_at"]) < when:
                first = middle + 1
            else:
                beyond = middle
        return first

    async def _directory_page(self, user_id: str, after: str, count: int) -> list[Row]:
        query = _lines(user_id, after + "-" if after else "0")  # all keys of sessions have one length
        async for page in self._directory.pages(query, top=min(count, 1000)):
            if page:
                return page
        return []

    async def _listed(self, user_id: str, rows: Sequence[Row]) -> list[Session | None]:
        found = await asyncio.gather(*(self._visible(user_id, row) for row in rows), return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if not isinstance(each, BaseException)]

    async def _visible(self, user_id: str, row: Row) -> Session | None:
        try:
            async with self._reads:
                return await self._heads.read(user_id, row.values["session_id"])
        except SessionNotFound:  # deleted, left, or its first batch did not land
            if row.age > ABANDONED:
                with suppress(RowChanged):
                    await self._directory.delete(row.partition, row.key, row.etag)
            return None


def _lines(user_id: str, first: str = "0") -> str:
    """The rows of a user's list of sessions. Keys from "a" on are not of sessions."""
    return key_range(escaped(user_id), first, "a")
