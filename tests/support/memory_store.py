"""All three ports of the store in memory, with the same rules as the tables and with faults on demand.

store = MemoryStore(clock)                                  # one object for all ports; `clock` may be left out
store.fail_next("append_events", StoreUnavailable())        # before anything is written
store.fail_next("end_turn", StoreUnavailable(), after_effect=True, times=2)   # written, but the reply got lost
store.freeze(); store.thaw()                                # calls hang in between
store.calls["append_events"]                                # how often it was called
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from chat.clock import Clock, SystemClock
from chat.conversation import MemberRole, Session, Turn, WaitingMessage
from chat.errors import (
    Forbidden,
    MessageNotFound,
    QueueFull,
    SessionInactive,
    SessionNotFound,
    TurnInProgress,
    TurnNotFound,
    ValidationError,
    VersionConflict,
)
from chat.events import NumberedEvent
from chat.messages import Message, MessageDraft, Page, split_message_id
from chat.requests import TurnRequest
from chat.store.conversation_store import COUNTED, WAITING, SessionChanges, SessionDraft, Waits
from chat.store.drafts import (
    appended,
    check_start,
    directory_key,
    members_after,
    messages_from,
    placeholder_from,
    session_from,
    title_from,
    turn_from,
    with_turn,
    with_waiting,
)
from chat.store.errand_store import CLAIMED, Errand, ErrandKind
from chat.store.instance_store import InstanceLease, Join, LeaseLost, Mail
from chat.store.presence_store import Connection, Counted, Person, Presence, Ticket
from chat.store.tables.table_requests import request_to_rows
from chat.store.turn_store import StartedTurn, TurnDraft, TurnEnding
from tests.support.faults import port
from tests.support.memory_keys import MemoryKeys


@dataclass
class _Stored:
    """One session with everything in it."""

    head: Session
    messages: dict[int, Message] = field(default_factory=dict[int, Message])
    turns: dict[str, Turn] = field(default_factory=dict[str, Turn])
    events: dict[str, dict[int, NumberedEvent]] = field(
        default_factory=lambda: defaultdict[str, dict[int, NumberedEvent]](dict)
    )
    last_started: str = ""
    requests: dict[int, TurnRequest] = field(default_factory=dict[int, TurnRequest])  # of what waits


@dataclass
class _Box:
    """The mail of an instance."""

    cancels: set[str] = field(default_factory=set[str])
    watches: set[str] = field(default_factory=set[str])
    joins: list[Join] = field(default_factory=list[Join])


class MemoryStore(MemoryKeys):
    """Conversations, turns and instances of a test."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock or SystemClock()
        self._sessions: dict[str, _Stored] = {}
        self._aliases: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._leases: dict[str, InstanceLease] = {}  # their `age` is the moment of the last beat
        self._boxes: dict[str, _Box] = defaultdict(_Box)
        self._version = 0
        self._errands: dict[tuple[str, ...], Errand] = {}  # their `age` is when they were noted
        self._secrets: dict[str, str] = {}
        self._tickets: dict[str, Ticket] = {}
        self._connections: dict[str, Connection] = {}
        self._people: dict[tuple[str, str], Person] = {}
        self._ends: dict[str, tuple[Connection, datetime]] = {}  # of sockets
        self._counted: tuple[int, float] | None = None  # sockets, and when that was noted
        self.rows_read = 0  # of sockets and of people in sessions

    @port
    async def create_session(
        self, user_id: str, draft: SessionDraft, messages: Sequence[MessageDraft] = ()
    ) -> Session:
        stored = self._sessions.get(draft.id)
        if stored is not None:
            return self._owned(user_id, draft.id).head
        now = self.clock.now()
        stored = _Stored(session_from(user_id, draft, now))
        self._sessions[draft.id] = stored
        self._append(stored, messages, now)
        return stored.head

    @port
    async def claim_session(self, user_id: str, alias: str, session_id: str) -> str:
        claimed = self._aliases.setdefault((user_id, alias), (session_id, self.clock.now()))
        return claimed[0]

    @port
    async def get_session(self, user_id: str, session_id: str) -> Session:
        return self._owned(user_id, session_id).head

    @port
    async def update_session(self, user_id: str, session_id: str, changes: SessionChanges) -> Session:
        stored = self._owned(user_id, session_id, "editor")
        now = max(self.clock.now(), stored.head.updated_at)
        self._set_head(stored, replace(stored.head, **changes.given, updated_at=now))
        return stored.head

    @port
    async def load_session(self, session_id: str) -> Session:
        return self._known(session_id).head

    @port
    async def set_member(
        self, user_id: str, session_id: str, member_id: str, role: MemberRole | None
    ) -> Session:
        need = "viewer" if user_id == member_id and role is None else "owner"
        stored = self._owned(user_id, session_id, need)
        members = members_after(stored.head, member_id, role)
        self._set_head(stored, replace(stored.head, members=members, updated_at=self.clock.now()))
        return stored.head

    @port
    async def list_sessions(self, user_id: str, *, limit: int, cursor: str | None = None) -> Page[Session]:
        if cursor is not None and not cursor.startswith("after:"):
            raise ValidationError("cursor", "This is not a cursor of this list")
        after = "" if cursor is None else cursor.removeprefix("after:")
        heads = {
            directory_key(each.head.id): each.head
            for each in self._sessions.values()
            if each.head.role_of(user_id)
        }
        keys = sorted(key for key in heads if key > after)
        more = f"after:{keys[limit - 1]}" if len(keys) > limit else None
        return Page(tuple(heads[key] for key in keys[:limit]), more)

    @port
    async def count_sessions(self, user_id: str) -> int | None:
        count = sum(each.head.role_of(user_id) is not None for each in self._sessions.values())
        return count if count <= COUNTED else None

    @port
    async def delete_session(self, user_id: str, session_id: str) -> None:
        stored = self._owned(user_id, session_id, "owner")
        if stored.head.running_turn:
            raise TurnInProgress(stored.head.running_turn)
        del self._sessions[session_id]
        gone = [each.id for each in self._connections.values() if each.session_id == session_id]
        for each in gone:
            del self._connections[each]

    @port
    async def tidy(self, *, before: datetime) -> None:
        for key, (session_id, claimed) in list(self._aliases.items()):
            if claimed < before and session_id not in self._sessions:
                del self._aliases[key]

    @port
    async def append_messages(
        self, user_id: str, session_id: str, drafts: Sequence[MessageDraft]
    ) -> list[Message]:
        return self._append(self._owned(user_id, session_id, "editor"), drafts, self.clock.now())

    @port
    async def append_waiting(self, request: TurnRequest) -> Waits | None:
        stored = self._owned(request.user_id, request.session_id, "editor")
        head = stored.head
        asked = head.asked_by(request.key)
        if asked is not None and not asked.turn:
            return Waits(stored.messages[asked.question], new=False)
        if asked is not None or not head.running_turn:
            return None
        if not head.is_active:
            raise SessionInactive
        if len(head.waiting) >= WAITING:
            raise QueueFull(head.running_turn)
        parts = len(request_to_rows(head.id, 1, request))
        [message] = self._append(stored, [request.question], self.clock.now())
        # As it comes back from rows: what has a place of its own is not kept twice.
        kept = replace(request.kept, tools=request.tools, settings=request.settings)
        stored.requests[message.seq] = kept
        self._set_head(stored, with_waiting(stored.head, WaitingMessage(message.seq, request, parts)))
        return Waits(message)

    @port
    async def load_waiting(self, session: Session) -> tuple[WaitingMessage, ...]:
        requests = self._known(session.id).requests
        return tuple(replace(each, request=requests.get(each.seq, each.request)) for each in session.waiting)

    @port
    async def get_message(self, user_id: str, message_id: str) -> Message:
        return self._message(user_id, message_id)

    @port
    async def load_message(self, message_id: str) -> Message:
        place = split_message_id(message_id)
        stored = self._sessions.get(place[0]) if place else None
        message = stored.messages.get(place[1]) if stored and place else None
        if message is None:
            raise MessageNotFound
        return message

    @port
    async def load_messages(self, session: Session, *, limit: int, before: int) -> list[Message]:
        stored = self._sessions[session.id].messages
        found = [stored[seq] for seq in sorted(stored) if seq < min(before, session.last_seq + 1)]
        return found[max(0, len(found) - limit) :]

    @port
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
        stored = self._owned(user_id, session_id)
        if isinstance(before, datetime):
            later = [seq for seq, each in stored.messages.items() if each.created_at >= before]
            before = min(later, default=None)
        found = [
            stored.messages[seq]
            for seq in sorted(stored.messages)
            if seq > after and (before is None or seq < before)
        ]
        return found[max(0, len(found) - limit) :] if newest else found[:limit]

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
            user_message = self._message(draft.request.user_id, draft.request.message_id)
            title = stored.head.title or title_from([user_message])
            stored.head = replace(stored.head, title=title)
        else:
            [user_message] = self._append(stored, [draft.message], draft.started_at)
        return self._begin(stored, draft, user_message)

    @port
    async def get_turn(self, user_id: str, turn_id: str, *, need: MemberRole = "viewer") -> Turn:
        turn = self._turn(turn_id)
        head = self._sessions[turn.session_id].head
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
        stored = self._sessions.get(turn.session_id)
        if stored and stored.turns[turn.id].running:  # what lands after the end is never read
            self._store_events(turn, events)

    @port
    async def read_events(self, turn: Turn, *, after: int = 0) -> list[NumberedEvent]:
        stored = self._sessions.get(turn.session_id)
        events = stored.events[turn.id] if stored else {}
        return [events[number] for number in sorted(events) if number > after]

    @port
    async def end_turn(self, ending: TurnEnding) -> Turn:
        turn = self._turn(ending.turn.id)
        if turn.version != ending.turn.version or not turn.running:
            return turn
        stored = self._sessions[turn.session_id]
        self._store_events(turn, ending.events)
        stored.turns[turn.id] = replace(ending.ended, version=self._next_version())
        stored.messages[ending.message.seq] = ending.message
        moment = ending.ended.ended_at or self.clock.now()
        self._set_head(stored, replace(stored.head, running_turn="", updated_at=moment))
        return stored.turns[turn.id]

    @port
    async def purge_events(self, *, ended_before: datetime) -> int:
        purged = 0
        for stored in self._sessions.values():
            for turn in stored.turns.values():
                if turn.ended_at and turn.ended_at < ended_before and stored.events.pop(turn.id, None):
                    purged += 1
        return purged

    @port
    async def register(self, instance_id: str) -> InstanceLease:
        return self._beat(InstanceLease(instance_id, 0, 0.0))

    @port
    async def renew(self, lease: InstanceLease, turns: Sequence[str] = ()) -> InstanceLease:
        stored = self._leases.get(lease.instance_id)
        if stored is None or stored.fenced or stored.beat not in (lease.beat, lease.beat + 1):
            raise LeaseLost
        return self._beat(replace(lease, beat=lease.beat + 1, turns=tuple(turns)))

    @port
    async def read_lease(self, instance_id: str) -> InstanceLease | None:
        return self._lease(instance_id)

    @port
    async def fence(self, lease: InstanceLease) -> bool:
        stored = self._leases.get(lease.instance_id)
        if stored is None or stored.fenced:
            return True
        if stored.version != lease.version:
            return False
        self._leases[lease.instance_id] = replace(stored, fenced=True, version=self._next_version())
        return True

    @port
    async def retire(self, instance_id: str) -> None:
        self._leases.pop(instance_id, None)
        self._boxes.pop(instance_id, None)

    @port
    async def list_leases(self) -> list[InstanceLease]:
        leases = [self._lease(instance_id) for instance_id in sorted(self._leases)]
        return [lease for lease in leases if lease is not None]

    @port
    async def forget_strays(self) -> None:
        """No mail of a test gets so old."""

    @port
    async def post_cancel(self, instance_id: str, turn_id: str) -> None:
        self._boxes[instance_id].cancels.add(turn_id)

    @port
    async def post_watch(self, instance_id: str, turn_id: str) -> None:
        self._boxes[instance_id].watches.add(turn_id)

    @port
    async def post_join(self, instance_id: str, join: Join) -> None:
        self._boxes[instance_id].joins.append(join)

    @port
    async def note_errand(self, errand: Errand) -> None:
        noted = replace(errand, age=self.clock.monotonic(), version=self._next_version())
        self._errands[_errand_key(errand)] = noted

    @port
    async def list_errands(self, kind: ErrandKind) -> list[Errand]:
        now = self.clock.monotonic()
        return [replace(each, age=now - each.age) for each in self._errands.values() if each.kind == kind]

    @port
    async def end_errand(self, errand: Errand) -> None:
        found = self._errands.get(_errand_key(errand))
        if found is not None and errand.version in ("", found.version):
            del self._errands[_errand_key(errand)]

    @port
    async def claim_errand(self, errand: Errand) -> bool:
        now, found = self.clock.monotonic(), self._errands.get(_errand_key(errand))
        if found is not None and found.claimed and now - found.age < CLAIMED:
            return False
        if found is None and errand.version:
            return False
        claimed = replace(found or errand, age=now, version=self._next_version(), claimed=True)
        self._errands[_errand_key(errand)] = claimed
        return True

    @port
    async def secret(self, name: str) -> str:
        return self._secrets.setdefault(name, f"secret of {name}")

    @port
    async def take_mail(self, instance_id: str) -> Mail:
        box = self._boxes[instance_id]
        lease = self._lease(instance_id)
        mail = Mail(frozenset(box.cancels), frozenset(box.watches), tuple(box.joins), lease)
        box.cancels.clear()
        box.watches.clear()
        box.joins.clear()
        return mail

    @port
    async def issue(self, ticket: Ticket) -> None:
        self._tickets[ticket.id] = ticket

    @port
    async def take(self, session_id: str, ticket_id: str) -> Ticket | None:
        ticket = self._tickets.get(ticket_id)
        return ticket if ticket and ticket.session_id == session_id else None

    @port
    async def enter(self, connection: Connection) -> None:
        self._connections[connection.id] = connection

    @port
    async def find(self, session_id: str, connection_id: str) -> Connection | None:
        return self._connections.get(connection_id)

    @port
    async def note(
        self,
        session_id: str,
        connection_id: str,
        *,
        seen: datetime | None = None,
        joined: bool | None = None,
        knows: str | None = None,
    ) -> None:
        stored = self._connections.get(connection_id)
        if stored is not None:
            self._connections[connection_id] = replace(
                stored,
                seen=stored.seen if seen is None else seen,
                joined=stored.joined if joined is None else joined,
                knows=stored.knows if knows is None else knows,
            )

    @port
    async def learn(self, session_id: str, connection_id: str, turn_id: str) -> bool:
        stored = self._connections.get(connection_id)
        if stored is None or stored.knows >= turn_id:
            return False
        self._connections[connection_id] = replace(stored, knows=turn_id)
        return True

    @port
    async def leave(self, connection: Connection) -> None:
        self._connections.pop(connection.id, None)

    @port
    async def change_person(
        self, session_id: str, user_id: str, change: Callable[[Person], Person]
    ) -> tuple[Person, Person]:
        before = self._people.get((session_id, user_id), Person())
        after = self._people[session_id, user_id] = change(before)
        return before, after

    @port
    async def connections(self, session_id: str) -> tuple[Connection, ...]:
        return self._live(session_id)

    @port
    async def present(self, session_id: str) -> Presence:
        people = {user: each for (of, user), each in self._people.items() if of == session_id}
        self.rows_read += len(people)
        return Presence(
            self._live(session_id), {user: each.seen for user, each in people.items() if each.seen}
        )

    def _live(self, session_id: str) -> tuple[Connection, ...]:
        found = tuple(each for each in self._connections.values() if each.session_id == session_id)
        self.rows_read += len(found)
        return found

    @port
    async def forget_tickets(self, session_id: str, *, expired_before: datetime) -> None:
        old = [each.id for each in self._tickets.values() if each.expires < expired_before]
        for each in old:
            if self._tickets[each].session_id == session_id:
                del self._tickets[each]

    @port
    async def note_end(self, connection: Connection, ends: datetime) -> None:
        self._ends[connection.id] = connection, ends

    @port
    async def forget_end(self, connection: Connection, ends: datetime) -> None:
        self._ends.pop(connection.id, None)

    @port
    async def work_off_ends(self, before: datetime, close: Callable[[Connection], Awaitable[bool]]) -> int:
        due = [each for each, ends in self._ends.values() if ends < before]
        done = [each for each in due if await close(each)]
        for each in done:
            self._ends.pop(each.id, None)
        return len(done)

    @port
    async def note_count(self, sockets: int) -> None:
        self._counted = sockets, self.clock.monotonic()

    @port
    async def counted(self) -> Counted | None:
        if self._counted is None:
            return None
        sockets, when = self._counted
        return Counted(sockets, self.clock.monotonic() - when)

    @port
    async def purge_tickets(self, *, expired_before: datetime) -> int:
        old = [each.id for each in self._tickets.values() if each.expires < expired_before]
        for each in old:
            del self._tickets[each]
        return len(old)

    def remove_event(self, turn: Turn, *, number: int) -> None:
        """Damage a turn: no such hole can come about by itself."""
        del self._sessions[turn.session_id].events[turn.id][number]

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)

    def _known(self, session_id: str) -> _Stored:
        stored = self._sessions.get(session_id)
        if stored is None:
            raise SessionNotFound
        return stored

    def _owned(self, user_id: str, session_id: str, need: MemberRole = "viewer") -> _Stored:
        stored = self._known(session_id)
        if not stored.head.role_of(user_id):
            raise SessionNotFound
        if not stored.head.allows(user_id, need):
            raise Forbidden
        return stored

    def _set_head(self, stored: _Stored, head: Session) -> None:
        stored.head = replace(head, version=self._next_version())

    def _append(self, stored: _Stored, drafts: Sequence[MessageDraft], now: datetime) -> list[Message]:
        messages = messages_from(drafts, stored.head.id, stored.head.last_seq, now)
        stored.messages |= {each.seq: each for each in messages}
        self._set_head(stored, appended(stored.head, messages, now))
        return messages

    def _message(self, user_id: str, message_id: str) -> Message:
        place = split_message_id(message_id)
        if place is None:
            raise MessageNotFound
        message = self._owned(user_id, place[0]).messages.get(place[1])
        if message is None:
            raise MessageNotFound
        return message

    def _turn(self, turn_id: str) -> Turn:
        place = split_message_id(turn_id)
        stored = self._sessions.get(place[0]) if place else None
        if stored is None or turn_id not in stored.turns:
            raise TurnNotFound
        return stored.turns[turn_id]

    def _opened(self, draft: TurnDraft) -> _Stored:
        """The session of the turn, made with its history when it is new."""
        if draft.new_session is None:
            return self._owned(draft.request.user_id, draft.session.id, "editor")
        if draft.new_session.id not in self._sessions:
            head = session_from(draft.request.user_id, draft.new_session, draft.started_at)
            stored = self._sessions[head.id] = _Stored(head)
            self._append(stored, draft.request.history, draft.started_at)
            return stored
        stored = self._owned(draft.request.user_id, draft.new_session.id)
        if stored.head.start_nonce != draft.nonce and not stored.head.running_turn:
            raise VersionConflict
        return stored

    def _begin(self, stored: _Stored, draft: TurnDraft, user_message: Message) -> StartedTurn:
        answer = placeholder_from(draft, stored.head.id, stored.head.last_seq + 1)
        stored.messages[answer.seq] = answer
        turn = replace(turn_from(draft, user_message, answer), version=self._next_version())
        stored.turns[turn.id] = turn
        stored.last_started = turn.id
        head = appended(stored.head, [answer], draft.started_at)
        self._set_head(stored, with_turn(head, draft, user_message.seq, answer))
        for seq in set(stored.requests) - {each.seq for each in stored.head.waiting}:
            del stored.requests[seq]
        return StartedTurn(turn, stored.head, user_message, answer)

    def _started(self, stored: _Stored) -> StartedTurn:
        turn = stored.turns[stored.last_started]
        answer, asked = split_message_id(turn.id), split_message_id(turn.user_message_id)
        assert answer and asked
        return StartedTurn(turn, stored.head, stored.messages[asked[1]], stored.messages[answer[1]])

    def _store_events(self, turn: Turn, events: Sequence[NumberedEvent]) -> None:
        if turn.session_id in self._sessions:
            rows = self._sessions[turn.session_id].events[turn.id]
            for each in events:
                rows.setdefault(each.number, each)

    def _beat(self, lease: InstanceLease) -> InstanceLease:
        beaten = replace(lease, age=self.clock.monotonic(), version=self._next_version())
        self._leases[lease.instance_id] = beaten
        return replace(beaten, age=0.0)

    def _lease(self, instance_id: str) -> InstanceLease | None:
        lease = self._leases.get(instance_id)
        return lease and replace(lease, age=self.clock.monotonic() - lease.age)


def _errand_key(errand: Errand) -> tuple[str, ...]:
    return errand.kind, errand.session_id, errand.user_id, errand.turn_id
