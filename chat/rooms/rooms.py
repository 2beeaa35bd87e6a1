"""The rooms of this process: turns on their way to sockets, and frames about everything else that happens."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence

from chat.conversation import Turn
from chat.dialects.base import Dialect, watching
from chat.errors import ChatError
from chat.news import MessageShown
from chat.push.base import PushService, group_of
from chat.rooms.arrivals import Arrivals
from chat.rooms.ends import Ends
from chat.rooms.followers import Followers
from chat.rooms.gate import GroupGate
from chat.rooms.live import HANDOVER, LiveRoomTurn, Pace, Turnaround
from chat.rooms.past_turns import PastTurns
from chat.rooms.room_news import Filling, RoomNews
from chat.store.conversation_store import ConversationStore
from chat.store.errand_store import ErrandStore
from chat.store.instance_store import InstanceStore, Join
from chat.store.presence_store import Connection, PresenceStore
from chat.store.turn_store import StartedTurn, TurnStore
from chat.telemetry import record, record_error
from chat.turns.base import TurnWatcher
from chat.turns.feed import EventFeed
from chat.turns.lease import lives
from chat.turns.tasks import TaskSet

OPENING = (0.0, 0.5, 2.0, 5.0, 10.0, 20.0)  # seconds before each try to learn who watches a turn
REMEMBERED = 1000  # turns that were made here, of which it is known who saw them
BEHIND = 500  # turns that ended here and whose end is not sent yet; of more the oldest are given up
LAST_WORDS = 0.5  # seconds that frames have to go out when the process ends


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
        errands: ErrandStore,
        dialects: Mapping[str, Dialect],
    ) -> None:
        self._push = push
        self._presence = presence
        self._conversations = conversations
        self._turns = turns
        self._instances = instances
        self._dialects = watching(dialects)
        self._live: dict[str, LiveRoomTurn] = {}
        self._fill = Filling(conversations)
        self.followers = Followers(push)
        self.news = RoomNews(push, self._dialects)
        # By turn that was made here, who was shown all of it; by group, the gate that is the last to send to it.
        self._saw: OrderedDict[str, set[str]] = OrderedDict()
        self._newest: dict[str, Turnaround] = {}
        self._tasks = TaskSet()
        self._ends = Ends(
            push=push,
            presence=presence,
            turns=turns,
            instances=instances,
            errands=errands,
            dialects=self._dialects,
            fill=self._fill,
            enter=self.enter,
        )
        self._past = PastTurns(
            push=push,
            presence=presence,
            conversations=conversations,
            turns=turns,
            dialects=self._dialects,
            fill=self._fill,
            saw=self._saw.get,
            enter=self.enter,
        )
        self._arrivals = Arrivals(self, push, presence, conversations, turns)

    def started(self, started: StartedTurn, feed: EventFeed, *, new: bool, asked: bool, pace: Pace) -> None:
        live = self._live[started.turn.id] = LiveRoomTurn(started, feed, pace, asked)
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
        live.ended, live.lost = True, lost
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
            self._tasks.spawn(self._past.show_later(join))

    def abandoned(self, turn: Turn) -> None:
        """Told before the next turn of its groups, which may begin at once: else its sockets see both at a time."""
        task, told = self._tasks.spawn(self._ends.tell(turn)), asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(HANDOVER, lambda: told.done() or told.set_result(None))
        for name in self._dialects:
            self._go_last(group_of(turn.session_id, name), Turnaround(task, told))

    def died(self, instance_id: str) -> None:
        self._ends.died()
        self.followers.died(instance_id)

    async def work_off(self) -> None:
        """Tell the ends that processes died over. StoreError."""
        await self._ends.work_off()

    @property
    def telling(self) -> bool:
        return bool(self._live) or self.followers.busy

    async def show(self, turn: Turn, join: Join, *, by_maker: bool = False) -> None:
        """Show a socket a turn, wherever that runs; `by_maker` also when it ended, since its end may be on its way to
        the others, and the maker alone knows who is being shown it. EventsGone, StoreUnavailable, PushError."""
        if turn.id in self._live:
            self.joined(join)
        elif turn.running or (by_maker and await lives(self._instances, turn.instance_id)):
            await self._instances.post_join(turn.instance_id, join)
        else:
            await self._past.show(join)

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

    async def aclose(self) -> None:
        """Let what the turns said last go out, and stop."""
        await self._arrivals.aclose()
        await self.followers.aclose(LAST_WORDS)
        await asyncio.gather(
            self._tasks.settle(LAST_WORDS), self.news.settle(LAST_WORDS), self._past.aclose(LAST_WORDS)
        )
        await self._ends.aclose()
        await self._tasks.close()

    async def _open(self, live: LiveRoomTurn) -> None:
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

    def _forget(self, live: LiveRoomTurn) -> None:
        """Once it ended and all of it is sent."""
        if not live.ended or live.joins is not None or live.gates:
            return
        if self._live.pop(live.started.turn.id, None) is not None and live.watched and not live.lost:
            self._ends.told(live.started.turn)

    def _give_up_oldest(self) -> None:
        """While the service is away turns end, and their ends wait: not for all memory there is."""
        behind = [each for each in self._live.values() if each.ended]
        for live in behind[: max(0, len(behind) - BEHIND)]:
            record("gate_gave_up", turn_id=live.started.turn.id, behind=len(behind))
            for task in live.running.values():
                task.cancel()

    def _gate(self, live: LiveRoomTurn, name: str, watching: Sequence[Connection] | None = None) -> GroupGate:
        """A gate to the sockets of a dialect: to those who watch from the start, or opened now for who comes."""
        started, dialect, late = live.started, self._dialects[name], watching is None
        if not live.watched:
            live.watched = True
            self._ends.watch(started.turn)
        show_news, asked = dialect.face.news, MessageShown(started.user_message)
        first = show_news(asked.message.session_id, asked) if show_news and live.asked and not late else ()
        gate = live.gates[name] = GroupGate(
            started.turn,
            live.feed,
            dialect,
            self._push,
            fill=lambda payload: self._fill(dialect, payload, started.assistant_message),
            first=first,
            members=[each.id for each in watching or () if each.joined],
            coming=[each.id for each in watching or () if not each.joined],
            on_pace=live.set_pace,
            on_told=lambda: self._told(live, name),
            on_entered=lambda connection_id: self._entered(started.turn, connection_id),
        )
        if late:
            gate.skip_to_now()
        live.set_pace()
        group = group_of(started.turn.session_id, name)
        told = live.told[name] = asyncio.get_running_loop().create_future()
        task = self._tasks.spawn(self._run(live, name, gate, self._newest.get(group)))
        live.running[name] = task
        self._go_last(group, Turnaround(task, told))
        return gate

    def _go_last(self, group: str, mine: Turnaround) -> None:
        """Whatever is shown to the group next waits for this."""
        self._newest[group] = mine
        mine.task.add_done_callback(lambda _: self._newest.get(group) is mine and self._newest.pop(group))

    def _told(self, live: LiveRoomTurn, name: str) -> None:
        """The group of a dialect was shown the turn to its end; those who come late may still be on their way in."""
        if not live.told[name].done():
            live.told[name].set_result(None)
        all_told = all(live.told[each].done() for each in live.gates)
        if live.watched and not live.lost and live.feed.ended and all_told:
            live.watched = False
            self._ends.told(live.started.turn)

    def _entered(self, turn: Turn, connection_id: str) -> None:
        """A socket is in its group, and saw what it had to see."""
        self._saw.get(turn.id, set()).add(connection_id)
        self._tasks.spawn(self._note(turn.session_id, connection_id))

    async def _note(self, session_id: str, connection_id: str) -> None:
        try:
            await self._presence.note(session_id, connection_id, joined=True)
        except ChatError as error:  # it is asked again whether it is in: that does no harm
            record("socket_not_noted", connection_id=connection_id, code=error.code)

    async def _run(self, live: LiveRoomTurn, name: str, gate: GroupGate, before: Turnaround | None) -> None:
        """After the gate of the turn before: who comes is let in by one of them at a time."""
        try:
            if before is not None:
                await before.over()
            await gate.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            record_error("gate_failed", error, turn_id=live.started.turn.id)
        finally:
            del live.gates[name], live.running[name]
            self._forget(live)
