"""Sessions and their messages on tables: the port `ConversationStore`."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from chat.clock import Clock
from chat.conversation import Session, WaitingMessage
from chat.errors import MessageNotFound, SessionNotFound, StoreConflict
from chat.messages import Message, MessageDraft, Page, message_id, split_message_id
from chat.requests import TurnRequest
from chat.store.conversation_store import Posted, SessionChanges, SessionDraft, Waits
from chat.store.drafts import session_from
from chat.store.membership import HeadChanges
from chat.store.request_json import request_from_json
from chat.store.tables.session_appends import AppendMessages, AppendWaiting, PostMessage, grouped
from chat.store.tables.session_writer import SessionWriters
from chat.store.tables.table_aliases import Aliases
from chat.store.tables.table_client import Row, Table, key_range, together
from chat.store.tables.table_deletion import Deletions
from chat.store.tables.table_heads import Head, Heads, allowed
from chat.store.tables.table_invitations import TableInvitations
from chat.store.tables.table_keys import is_id, message_key
from chat.store.tables.table_lists import SESSIONS, UserLists
from chat.store.tables.table_properties import moment
from chat.store.tables.table_requests import requests_from_rows
from chat.store.tables.table_rows import message_from_rows, messages_from_rows


class TableConversations:
    """Conversations on the table `sessions`."""

    def __init__(
        self,
        sessions: Table,
        heads: Heads,
        writers: SessionWriters,
        lists: UserLists,
        invitations: TableInvitations,
        deletions: Deletions,
        aliases: Aliases,
        clock: Clock,
    ) -> None:
        self._sessions = sessions
        self._heads = heads
        self._writers = writers
        self._lists = lists
        self._invitations = invitations
        self._clock = clock
        self._aliases = aliases
        self._deletions = deletions

    async def create_session(
        self, user_id: str, draft: SessionDraft, messages: Sequence[MessageDraft] = ()
    ) -> Session:
        now = self._clock.now()
        first = next(grouped(messages), [])
        create = AppendMessages(user_id, first, now, creates=True)
        head = Head(session_from(user_id, draft, now))
        written, _ = await together(
            self._writers.write(draft.id, create, new=head), self._heads.list_new(head.session)
        )
        session = written.head.session if written else await self._heads.read(user_id, draft.id)
        missing = [] if session.start_nonce else messages[session.last_seq :]
        if missing:
            await self.append_messages(user_id, draft.id, missing)
            session = await self._heads.read(user_id, draft.id)
        return session

    async def claim_session(self, user_id: str, alias: str, session_id: str) -> str:
        return await self._aliases.claim(user_id, alias, session_id)

    async def find_claimed(self, user_id: str, alias: str) -> str:
        return await self._aliases.find(user_id, alias)

    async def get_session(self, user_id: str, session_id: str) -> Session:
        return await self._heads.read(user_id, session_id)

    async def load_session(self, session_id: str) -> Session:
        return await self._heads.load(session_id)

    async def update_session(self, user_id: str, session_id: str, changes: SessionChanges) -> Session:
        async def change(_: Session) -> HeadChanges:
            return changes.given

        return await self._heads.change(
            session_id, change, permit=lambda session: allowed(user_id, session, "editor")
        )

    async def list_sessions(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Session]:
        async def show(row: Row) -> Session | None:
            with suppress(SessionNotFound):  # deleted, left, or its first batch did not land
                return await self._heads.read(user_id, row.values["session_id"])

        return await self._lists.page(SESSIONS, user_id, show, limit=limit, cursor=cursor)

    async def count_sessions(self, user_id: str) -> int | None:
        return await self._lists.count(SESSIONS, user_id)

    async def delete_session(self, user_id: str, session_id: str) -> None:
        await self._deletions.delete(user_id, session_id)

    async def tidy(self, *, before: datetime) -> None:
        await self._deletions.go_on(before)
        await self._aliases.forget(before)
        await self._invitations.forget(before)

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
