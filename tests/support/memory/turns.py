"""Turns and their events, in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chat.conversation import MemberRole, Turn
from chat.errors import Forbidden, TurnNotFound, VersionConflict
from chat.events import JSONObject, NumberedEvent
from chat.messages import Message, split_message_id
from chat.store.drafts import (
    appended,
    check_start,
    placeholder_from,
    session_from,
    title_from,
    turn_from,
    with_turn,
)
from chat.store.turn_store import StartedTurn, TurnDraft, TurnEnding
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, StoredSession


class MemoryTurns(MemoryPort):
    """A `TurnStore`."""

    @port
    async def start_turn(self, draft: TurnDraft) -> StartedTurn:
        stored = self._opened(draft)
        if draft.nonce and stored.head.start_nonce == draft.nonce:
            return self._started(stored)
        place = split_message_id(draft.request.message_id)
        check_start(stored.head, draft, place[1] if place else 0)
        if draft.new_session is None and stored.head.last_seq != draft.session.last_seq:
            raise VersionConflict
        if draft.message is None:
            user_message = self.rows.message(draft.request.user_id, draft.request.message_id)
            title = stored.head.title or title_from([user_message])
            stored.head = replace(stored.head, title=title)
        else:
            [user_message] = self.rows.append(stored, [draft.message], draft.started_at)
        return self._begin(stored, draft, user_message)

    @port
    async def get_turn(self, user_id: str, turn_id: str, *, need: MemberRole = "viewer") -> Turn:
        turn = self._turn(turn_id)
        head = self.rows.sessions[turn.session_id].head
        if not head.role_of(user_id):
            raise TurnNotFound
        if not head.allows(user_id, need):
            raise Forbidden
        return turn

    @port
    async def load_turn(self, turn_id: str) -> Turn:
        return self._turn(turn_id)

    @port
    async def append_events(self, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        stored = self.rows.sessions.get(turn.session_id)
        if stored and stored.turns[turn.id].running:  # what lands after the end is never read
            _keep(events, stored.events[turn.id])

    @port
    async def read_events(self, turn: Turn, *, after: int = 0) -> list[NumberedEvent]:
        stored = self.rows.sessions.get(turn.session_id)
        events = stored.events[turn.id] if stored else {}
        return [events[number] for number in sorted(events) if number > after]

    @port
    async def end_turn(self, ending: TurnEnding) -> Turn:
        turn = self._turn(ending.turn.id)
        if turn.version != ending.turn.version or not turn.running:
            return turn
        stored = self.rows.sessions[turn.session_id]
        _keep(ending.events, stored.events[turn.id])
        stored.turns[turn.id] = replace(ending.ended, version=self.rows.next_version())
        stored.messages[ending.message.seq] = ending.message
        moment = ending.ended.ended_at or self.clock.now()
        self.rows.set_head(stored, replace(stored.head, running_turn="", updated_at=moment))
        return stored.turns[turn.id]

    @port
    async def note_client(self, turn: Turn, client: JSONObject) -> None:
        noted = self._turn(turn.id)
        stored = self.rows.sessions[turn.session_id]
        stored.turns[turn.id] = replace(noted, request=replace(noted.request, client=client))

    @port
    async def purge_events(self, *, ended_before: datetime) -> int:
        purged = 0
        for session_id, stored in list(self.rows.sessions.items()):
            for turn in stored.turns.values():
                if turn.ended_at and turn.ended_at < ended_before and stored.events.pop(turn.id, None):
                    purged += 1
                    if not stored.head.listed and turn.id == stored.last_started:
                        del self.rows.sessions[session_id]
                        self.forget_session(session_id)
        return purged

    def remove_event(self, turn: Turn, *, number: int) -> None:
        """Damage a turn: no such hole can come about by itself."""
        del self.rows.sessions[turn.session_id].events[turn.id][number]

    def _turn(self, turn_id: str) -> Turn:
        place = split_message_id(turn_id)
        stored = self.rows.sessions.get(place[0]) if place else None
        if stored is None or turn_id not in stored.turns:
            raise TurnNotFound
        return stored.turns[turn_id]

    def _opened(self, draft: TurnDraft) -> StoredSession:
        """The session of the turn, made with its history when it is new."""
        if draft.new_session is None:
            return self.rows.owned(draft.request.user_id, draft.session.id, "editor")
        if draft.new_session.id not in self.rows.sessions:
            head = session_from(draft.request.user_id, draft.new_session, draft.started_at)
            stored = self.rows.sessions[head.id] = StoredSession(head)
            self.rows.append(stored, draft.request.history, draft.started_at)
            return stored
        stored = self.rows.owned(draft.request.user_id, draft.new_session.id)
        if stored.head.start_nonce != draft.nonce and not stored.head.running_turn:
            raise VersionConflict
        return stored

    def _begin(self, stored: StoredSession, draft: TurnDraft, user_message: Message) -> StartedTurn:
        answer = placeholder_from(draft, stored.head.id, stored.head.last_seq + 1)
        stored.messages[answer.seq] = answer
        turn = replace(turn_from(draft, user_message, answer), version=self.rows.next_version())
        stored.turns[turn.id] = turn
        stored.last_started = turn.id
        head = appended(stored.head, [answer], draft.started_at)
        self.rows.set_head(stored, with_turn(head, draft, user_message.seq, answer))
        for seq in set(stored.requests) - {each.seq for each in stored.head.waiting}:
            del stored.requests[seq]
        return StartedTurn(turn, stored.head, user_message, answer)

    def _started(self, stored: StoredSession) -> StartedTurn:
        turn = stored.turns[stored.last_started]
        answer, asked = split_message_id(turn.id), split_message_id(turn.user_message_id)
        assert answer and asked
        return StartedTurn(turn, stored.head, stored.messages[asked[1]], stored.messages[answer[1]])


def _keep(events: Sequence[NumberedEvent], rows: dict[int, NumberedEvent]) -> None:
    for each in events:
        rows.setdefault(each.number, each)
