"""The rooms of this process: turns on their way to sockets, and frames about everything else that happens."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from chat.dialects.base import Dialect
from chat.dialects.message_update import show_briefly
from chat.errors import ChatError, EventsGone, PushRefused
from chat.events import TERMINAL_NUMBER, JSONObject
from chat.messages import Message, Turn
from chat.push.base import PushService, group_of, room_of
from chat.rooms.arrivals import Arrivals
from chat.rooms.gate import GroupGate
from chat.rooms.joiners import shown_to
from chat.store.base import ConversationStore, InstanceStore, Join, StartedTurn, TurnStore
from chat.store.presence_base import Connection, PresenceStore
from chat.telemetry import record, record_error
from chat.turns.base import TurnWatcher
from chat.turns.feed import EventFeed
from chat.turns.lease import LEASE
from chat.turns.tasks import TaskSet

ROOM = "session"  # the dialect that shows more than answers
OPENING = (0.0, 0.5, 2.0, 5.0, 10.0, 20.0)  # seconds before each try to learn who watches a turn
REMEMBERED = 1000  # turns that were made here, of which it is known who saw them
BEHIND = 500  # turns that ended here and whose end is not sent yet; of more the oldest are given up
LAST_WORDS = 0.5  # seconds that frames have to go out when the process ends
ENDED = ("completed", "failed", "cancelled")

type Pace = Callable[[float], None]


@dataclass(slots=True)
class _Live:
    """A turn that this process makes."""

    started: StartedTurn
    feed: EventFeed
    pace: Pace
    asked: bool  # whether its question is new, too
    gates: dict[str, GroupGate] = field(
        default_factory=dict[str, GroupGate]
    )  # by dialect, as long as they run
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, asyncio.Task[None]])
    joins: dict[str, Join] | None = field(
        default_factory=dict[str, Join]
    )  # the newest of each socket, until it is known who watched from the start
    ended: bool = False

    def set_pace(self) -> None:
        self.pace(max((gate.window for gate in self.gates.values()), default=0.0))


class Rooms(TurnWatcher):
    """Shows turns to the sockets of their sessions. Nothing is sent where nobody watches."""

    def __init__(
        self,
        *,
        push: PushService,
        presence: PresenceStore,
        conversations: ConversationStore,
        turns: TurnStore,
        instances: InstanceStore,
        dialects: Mapping[str, Dialect],
    ) -> None:
        self._push = push
        self._presence = presence
        self._conversations = conversations
        self._turns = turns
        self._instances = instances
        self._dialects = dialects
        self._live: dict[str, _Live] = {}
        self._showing: set[tuple[str, str]] = set()  # turns that ended, and the sockets that are shown them
        self._saw: OrderedDict[str, set[str]] = (
            OrderedDict()
        )  # by turn that was made here, who was shown all of it
        self._newest: dict[str, asyncio.Task[None]] = {}  # by group, the gate that is the last to send to it
        self._tasks = TaskSet()
        self._arrivals = Arrivals(self, push, presence, conversations, turns)

    @property
    def behind(self) -> bool:
        return bool(self._live)

    def started(self, started: StartedTurn, feed: EventFeed, *, new: bool, asked: bool, pace: Pace) -> None:
        live = self._live[started.turn.id] = _Live(started, feed, pace, asked)
        self._saw[started.turn.id] = set()
        if len(self._saw) > REMEMBERED:
            self._saw.popitem(last=False)
        if new:
            live.joins = None
        else:
            self._tasks.spawn(self._open(live))

    def ended(self, turn: Turn, *, lost: bool) -> None:
        live = self._live.get(turn.id)
        if live is None:
            return
        live.ended = True
        if lost:  # whoever took it over tells its end
            for task in live.running.values():
                task.cancel()
        self._forget(live)
        self._give_up_oldest()

    def joined(self, join: Join) -> None:
        live, name = self._live.get(join.turn_id), join.dialect
        if name not in self._dialects:
            record("join_not_understood", connection_id=join.connection_id)
        elif live is not None and live.joins is not None:
            live.joins[join.connection_id] = join
        elif live is not None and (name in live.gates or not live.ended):
            (live.gates.get(name) or self._gate(live, name)).admit(join)
        else:
            self._tasks.spawn(self._show_later(join))

    def abandoned(self, turn: Turn) -> None:
        self._tasks.spawn(self._tell_end(turn))

    async def show(self, turn: Turn, join: Join, *, by_maker: bool = False) -> None:
        """Show a socket a turn, wherever that runs; `by_maker` also when it ended, since its end may be on its way to
        the others, and the maker alone knows who is being shown it. EventsGone, StoreUnavailable, PushError."""
        if turn.id in self._live:
            self.joined(join)
        elif turn.running or (by_maker and await self._reads_mail(turn.instance_id)):
            await self._instances.post_join(turn.instance_id, join)
        else:
            await self._show_ended(join)

    def let_in(self, connection: Connection, turn_id: str = "", *, whole: bool = True) -> None:
        """A socket is open: show it a turn, if one is named, or else (not `whole`) nothing of that turn, whose end may
        be on its way to others; and then what comes. Returns at once."""
        self._arrivals.let_in(connection, turn_id, whole=whole)

    async def enter(self, session_id: str, dialect: str, connection_id: str) -> bool:
        """Show a socket what comes from now on. False when it is not there. PushError, StoreUnavailable."""
        there = await self._push.add_to_group(group_of(session_id, dialect), connection_id)
        if there:
            await self._presence.note(session_id, connection_id, joined=True)
        return there

    async def tell(self, session_id: str, frame: JSONObject, *, but_user: str = "") -> None:
        """A frame to everybody in the room. What cannot be sent is left out: it is no part of an answer."""
        try:
            whole: JSONObject = {**frame, "session_id": session_id}
            await self._push.send_to_group(room_of(session_id), whole, but_user=but_user)
        except ChatError as error:
            record("frame_lost", session_id=session_id, type=str(frame.get("type")), code=error.code)

    def tell_later(self, session_id: str, frame: JSONObject) -> None:
        """The same, for who shall not wait for it."""
        self._tasks.spawn(self.tell(session_id, frame))

    def tell_message(self, message: Message, action: str = "new_message") -> None:
        """A message that was stored or changed."""
        for frame in self._dialects[ROOM].message(message, action):
            self.tell_later(message.session_id, frame)

    async def aclose(self) -> None:
        """Let what the turns said last go out, and stop."""
        await self._arrivals.aclose()
        await self._tasks.settle(LAST_WORDS)
        await self._tasks.close()

    async def _open(self, live: _Live) -> None:
        """Find out who watches. The turn goes on meanwhile, and so does its end."""
        for pause in OPENING:
            await asyncio.sleep(pause)
            try:
                watching = await self._presence.connections(live.started.turn.session_id)
            except ChatError as error:
                record("room_not_opened", turn_id=live.started.turn.id, code=error.code)
                continue
            by_dialect = defaultdict[str, list[Connection]](list)
            for each in watching:
                by_dialect[each.dialect].append(each)
            for name in by_dialect.keys() & self._dialects.keys():
                self._gate(live, name, by_dialect[name])
            break
        joins, live.joins = live.joins or {}, None
        for join in joins.values():
            self.joined(join)
        self._forget(live)

    def _forget(self, live: _Live) -> None:
        """Once it ended and all of it is sent."""
        if live.ended and live.joins is None and not live.gates:
            self._live.pop(live.started.turn.id, None)

    def _give_up_oldest(self) -> None:
        """While the service is away turns end, and their ends wait: not for all memory there is."""
        behind = [each for each in self._live.values() if each.ended]
        for live in behind[: max(0, len(behind) - BEHIND)]:
            record("gate_gave_up", turn_id=live.started.turn.id, behind=len(behind))
            for task in live.running.values():
                task.cancel()

    def _gate(self, live: _Live, name: str, watching: Sequence[Connection] | None = None) -> GroupGate:
        """A gate to the sockets of a dialect: to those who watch from the start, or opened now for who comes."""
        started, dialect, late = live.started, self._dialects[name], watching is None
        placeholder = show_briefly(started.assistant_message)
        first = dialect.message(started.user_message, "new_message") if live.asked and not late else ()
        gate = live.gates[name] = GroupGate(
            started.turn,
            live.feed,
            dialect,
            self._push,
            fill=lambda payload: self._filled(payload, placeholder),
            first=first,
            members=[each.id for each in watching or () if each.joined],
            coming=[each.id for each in watching or () if not each.joined],
            on_pace=live.set_pace,
            on_entered=lambda connection_id: self._entered(started.turn, connection_id),
        )
        if late:
            gate.skip_to_now()
        live.set_pace()
        group = group_of(started.turn.session_id, name)
        task = self._tasks.spawn(self._run(live, name, gate, self._newest.get(group)))
        live.running[name] = self._newest[group] = task
        task.add_done_callback(lambda _: self._newest.get(group) is task and self._newest.pop(group))
        return gate

    def _entered(self, turn: Turn, connection_id: str) -> None:
        """A socket is in its group, and saw what it had to see."""
        self._saw.get(turn.id, set()).add(connection_id)
        self._tasks.spawn(self._note(turn.session_id, connection_id))

    async def _note(self, session_id: str, connection_id: str) -> None:
        try:
            await self._presence.note(session_id, connection_id, joined=True)
        except ChatError as error:  # it is asked again whether it is in: that does no harm
            record("socket_not_noted", connection_id=connection_id, code=error.code)

    async def _run(self, live: _Live, name: str, gate: GroupGate, before: asyncio.Task[None] | None) -> None:
        """After the gate of the turn before: who comes is let in by one of them at a time."""
        try:
            if before is not None:
                await asyncio.wait([before])
            await gate.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            record_error("gate_failed", error, turn_id=live.started.turn.id)
        finally:
            del live.gates[name], live.running[name]
            self._forget(live)

    async def _reads_mail(self, instance_id: str) -> bool:
        lease = await self._instances.read_lease(instance_id)
        return lease is not None and not lease.fenced and lease.age < LEASE

    async def _show_later(self, join: Join) -> None:
        name = (join.turn_id, join.connection_id)
        if name in self._showing:
            return
        self._showing.add(name)
        try:
            await self._show_ended(join)
        except ChatError as error:
            record("turn_not_shown", turn_id=join.turn_id, code=error.code)
        except Exception as error:
            record_error("turn_not_shown", error, turn_id=join.turn_id)
        finally:
            self._showing.discard(name)

    async def _show_ended(self, join: Join) -> None:
        """The turn ended before the socket could be shown it, or nobody makes it: the store knows all there is."""
        turn = await self._turns.load_turn(join.turn_id)
        stored = await self._presence.find(turn.session_id, join.connection_id)
        coming = join.after in (None, TERMINAL_NUMBER)
        saw = self._saw.get(turn.id)  # it may be in the group by the turn after this one
        asked_twice = join.after is not None or saw is None or join.connection_id in saw
        if coming and stored is not None and stored.joined and asked_twice:
            return
        events = await self._turns.read_events(turn)
        if not events:
            raise EventsGone
        for payload in shown_to(turn, self._dialects[join.dialect], events, join):
            with suppress(PushRefused):  # what comes after it is not refused
                await self._push.send_to_connection(join.connection_id, await self._filled(payload))
        if coming:
            if saw is not None:
                saw.add(join.connection_id)
            await self.enter(turn.session_id, join.dialect, join.connection_id)

    async def _tell_end(self, turn: Turn) -> None:
        """The end of a turn whose process died, to everybody who saw it begin."""
        try:
            events = await self._turns.read_events(turn)
            watching = await self._presence.connections(turn.session_id)
            for name in {each.dialect for each in watching} & self._dialects.keys():
                encoder = self._dialects[name].encoder(turn)
                *_, last = ([*encoder.encode(each)] for each in events)
                for payload in last:
                    await self._push.send_to_group(
                        group_of(turn.session_id, name), await self._filled(payload)
                    )
        except (ChatError, ValueError) as error:
            record("end_not_told", turn_id=turn.id, error=str(error))

    async def _filled(self, payload: JSONObject, placeholder: JSONObject | None = None) -> JSONObject:
        """A frame about a message with the message in it, where it holds the id alone."""
        action, message = payload.get("action"), payload.get("message")
        if not isinstance(message, dict):
            return payload
        if action == "new_message" and placeholder is not None and message.keys() == {"id"}:
            return {**payload, "message": placeholder}
        if action not in ENDED:
            return payload
        try:
            stored = await self._conversations.load_message(str(message["id"]))
        except ChatError:
            return payload
        return {**payload, "message": show_briefly(stored)}
