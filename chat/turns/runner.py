"""Runs turns and opens them to followers. A turn belongs to this runner and to no socket."""

import asyncio
import random
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass, replace

from chat.clock import Clock, Ids
from chat.errors import (
    Interrupted,
    ShuttingDown,
    StoreConflict,
    StoreError,
    TurnInProgress,
    ValidationError,
    VersionConflict,
)
from chat.messages import Message, MessageDraft, Session, Turn
from chat.store.base import (
    ConversationStore,
    InstanceStore,
    Mail,
    SessionDraft,
    StartedTurn,
    TurnDraft,
    TurnStore,
)
from chat.telemetry import record, record_error
from chat.turns.base import TurnContext, TurnRequest, TurnSource
from chat.turns.feed import EventFeed
from chat.turns.follow import RemoteTurns
from chat.turns.lease import LeaseKeeper, LeaseObserver
from chat.turns.production import Production
from chat.turns.running import RunningTurn, Stop
from chat.turns.sweep import TurnSweeper
from chat.turns.transcript import transcribe

ATTEMPTS = 8  # starts that may meet another writer
STOPPING = 2.5  # seconds to wait for a turn to stop, before saying how it stands


@dataclass(frozen=True, slots=True)
class LiveTurn:
    """A turn and its events, as a caller gets hold of them."""

    turn: Turn
    feed: EventFeed


class TurnRunner:
    """Starts, follows and stops turns, in this process and through the store in all others."""

    def __init__(
        self,
        *,
        source: TurnSource,
        conversations: ConversationStore,
        turns: TurnStore,
        instances: InstanceStore,
        clock: Clock,
        ids: Ids,
        window: float,
        turn_limit: float,
        history: int,
    ) -> None:
        self._source = source
        self._conversations = conversations
        self._turns = turns
        self._instances = instances
        self._clock = clock
        self._ids = ids
        self._window = window
        self._turn_limit = turn_limit
        self._history = history
        self._running: dict[str, RunningTurn] = {}
        self._starting = 0
        self._draining = False
        self._tasks: set[asyncio.Task[object]] = set()
        self._lease = LeaseKeeper(
            instances,
            ids=ids,
            clock=clock,
            busy=lambda: bool(self._running or self._starting),
            on_mail=self._read_mail,
            on_lost=self._drop_turns,
        )
        observer = LeaseObserver(instances, clock)
        self.sweeper = TurnSweeper(
            conversations=conversations, turns=turns, instances=instances, observer=observer, clock=clock
        )
        self._remote = RemoteTurns(
            turns=turns, instances=instances, observer=observer, sweeper=self.sweeper, clock=clock
        )

    @property
    def running(self) -> int:
        """How many turns this process makes."""
        return len(self._running)

    async def start(self, request: TurnRequest) -> LiveTurn:
        """Store the user's message and start the answer.

        Raises SessionNotFound, MessageNotFound, ValidationError, TurnInProgress, ShuttingDown, StoreUnavailable,
        StoreConflict. A failure of the model is an event of the turn. Goes on when the caller leaves.
        """
        return await asyncio.shield(self._spawn(self._start(request)))

    async def open(self, user_id: str, turn_id: str) -> LiveTurn:
        """A turn to follow: made here, elsewhere, or long ago. TurnNotFound, EventsGone."""
        return await self._opened(await self._turns.get_turn(user_id, turn_id))

    async def look(self, user_id: str, turn_id: str) -> Turn:
        """How a turn stands. One whose maker may be dead is looked after. TurnNotFound."""
        turn = await self._turns.get_turn(user_id, turn_id)
        run = self._running.get(turn_id)
        if run is not None:
            return replace(turn, last_event=run.feed.last_number)
        if turn.running:
            self._remote.suspect(turn)
        return turn

    async def text_so_far(self, user_id: str, turn_id: str) -> str:
        """What the assistant said in a turn that may still run. TurnNotFound."""
        turn = await self.look(user_id, turn_id)
        run = self._running.get(turn_id)
        events = run.feed.events if run is not None else await self._turns.read_events(turn)
        return transcribe(events).text

    async def cancel(self, user_id: str, turn_id: str) -> Turn:
        """Stop a turn, wherever it runs, and keep what was said. The turn as it stands then; one that ended
        before is left alone."""
        run = self._running.get(turn_id)
        if run is not None and run.turn.user_id == user_id:
            run.stop(Stop.CANCELLED)  # also while the store is away
        turn = await self._turns.get_turn(user_id, turn_id)
        if run is not None:
            run.stop(Stop.CANCELLED)
        elif turn.running:
            await self._instances.post_cancel(turn.instance_id, turn_id)
            self._remote.suspect(turn)
        deadline = self._clock.monotonic() + STOPPING
        while turn.running and self._clock.monotonic() < deadline:
            await asyncio.sleep(0.05)
            turn = await self._turns.get_turn(user_id, turn_id)
        return turn

    async def delete_session(self, user_id: str, session_id: str) -> None:
        """Stop what runs in a session, then remove it. SessionNotFound; TurnInProgress when its turn does not stop
        and its instance is not known to be dead yet."""
        session = await self._conversations.get_session(user_id, session_id)
        if session.running_turn:
            turn = await self.cancel(user_id, session.running_turn)
            if turn.running:
                raise TurnInProgress(turn.id)
        await self._conversations.delete_session(user_id, session_id)

    async def drain(self) -> None:
        """Take no new turns and end those that run here as interrupted. For a shutdown."""
        self._draining = True
        for run in self._running.values():
            run.stop(Interrupted())
        deadline = self._clock.monotonic() + STOPPING
        while (self._running or self._starting) and self._clock.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await self._remote.close()
        await self._lease.close()

    async def _start(self, request: TurnRequest) -> LiveTurn:
        if self._draining:
            raise ShuttingDown
        request = replace(request, nonce=request.nonce or self._ids.new())
        began = self._clock.monotonic()
        self._starting += 1
        try:
            for attempt in range(ATTEMPTS):
                try:
                    return await self._try_start(request, began)
                except VersionConflict:
                    await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
            raise StoreConflict
        finally:
            self._starting -= 1

    async def _try_start(self, request: TurnRequest, began: float) -> LiveTurn:
        """Ask the model and write the start side by side; nothing is shown before the start is stored."""
        leasing = self._spawn(self._lease.ensure())
        session, messages = await self._conversation(request)
        if session.start_nonce == request.nonce:  # a repeated request: its turn is there already
            started = await self._turns.start_turn(self._draft(request, session, await leasing))
            return await self._opened(started.turn)
        if session.running_turn:
            raise await self._busy(request.user_id, session.running_turn)
        production = Production(self._source, TurnContext(session, messages))
        try:
            draft = self._draft(request, session, await leasing)
            started = await self._turns.start_turn(draft)
        except BaseException as error:
            await production.stop()
            if isinstance(error, TurnInProgress):
                raise await self._busy(request.user_id, error.turn_id) from None
            raise
        if started.turn.instance_id != draft.instance_id or started.turn.started_at != draft.started_at:
            await production.stop()  # the same request landed through another door
            return await self._opened(started.turn)
        return self._run(request, started, production, began)

    def _run(
        self, request: TurnRequest, started: StartedTurn, production: Production, began: float
    ) -> LiveTurn:
        turn = started.turn
        run = RunningTurn(
            started,
            production,
            began=began,
            store=self._turns,
            lease=self._lease,
            clock=self._clock,
            window=self._window,
            limit=self._turn_limit,
        )
        self._running[turn.id] = run
        self._spawn(self._finish(run))
        if not request.session_id:
            record("session_created", session_id=turn.session_id, user_id=turn.user_id)
        record("turn_started", turn_id=turn.id, dialect=turn.dialect, messages=started.session.message_count)
        if self._draining:
            run.stop(Interrupted())
        return LiveTurn(turn, run.feed)

    async def _finish(self, run: RunningTurn) -> None:
        """Run a turn to its end; what goes wrong here is a bug, and its readers must not wait for ever."""
        noted = self._spawn(self._note(run.turn))
        try:
            turn = await run.run()
        except Exception as error:
            record_error("turn_lost", error, turn_id=run.turn.id)
            run.feed.fail(Interrupted())
            await self.sweeper.end(run.turn)
            return
        finally:
            del self._running[run.turn.id]
        await asyncio.wait([noted])
        if run.lost:
            self._remote.adopt(turn, run.feed)
            return
        _record_end(turn)
        await self._forget(turn)

    async def _note(self, turn: Turn) -> None:
        """Tell the sweeper that this instance makes the turn. Whoever touches the turn finds out anyway."""
        try:
            await self._instances.add_turn(turn.instance_id, turn.id)
        except StoreError as error:
            record("note_failed", turn_id=turn.id, code=error.code)

    async def _forget(self, turn: Turn) -> None:
        try:
            await self._instances.remove_turn(turn.instance_id, turn.id)
        except StoreError as error:
            record("note_failed", turn_id=turn.id, code=error.code)

    async def _conversation(self, request: TurnRequest) -> tuple[Session, tuple[Message | MessageDraft, ...]]:
        """The session, and the messages that the model is shown: up to the one that is answered."""
        asked = MessageDraft("user", request.content, author=request.user_id)
        if not request.session_id:
            now = self._clock.now()
            session = Session(self._ids.new(), request.user_id, "", now, now)
            return session, (*request.history[-self._history :], asked)
        session = await self._conversations.get_session(request.user_id, request.session_id)
        before = session.last_seq + 1
        if request.message_id:
            message = await self._conversations.get_message(request.user_id, request.message_id)
            if message.session_id != session.id or message.role != "user":
                raise ValidationError("message_id", "Only a user's message in this session can be answered")
            before = message.seq + 1
        messages = await self._conversations.list_messages(
            request.user_id, session.id, limit=self._history, before=before, newest=True
        )
        return session, (*messages, *(() if request.message_id else (asked,)))

    def _draft(self, request: TurnRequest, session: Session, instance_id: str) -> TurnDraft:
        message = MessageDraft("user", request.content, author=request.user_id)
        return TurnDraft(
            session=session,
            user_id=request.user_id,
            instance_id=instance_id,
            started_at=self._clock.now(),
            nonce=request.nonce,
            message=None if request.message_id else message,
            message_id=request.message_id,
            new_session=None if request.session_id else SessionDraft(session.id),
            history=request.history,
            dialect=request.dialect,
            wire=request.wire,
            llm_provider=session.llm_provider,
            llm_model=session.llm_model,
        )

    async def _busy(self, user_id: str, turn_id: str) -> TurnInProgress:
        await self.look(user_id, turn_id)
        return TurnInProgress(turn_id)

    async def _opened(self, turn: Turn) -> LiveTurn:
        run = self._running.get(turn.id)
        return LiveTurn(turn, run.feed if run is not None else await self._remote.feed(turn))

    def _read_mail(self, mail: Mail) -> None:
        for turn_id in mail.cancels:
            if (run := self._running.get(turn_id)) is not None:
                run.stop(Stop.CANCELLED)
        for turn_id in mail.watches:
            if (run := self._running.get(turn_id)) is not None:
                run.watch()

    def _drop_turns(self, instance_id: str) -> None:
        for run in self._running.values():
            if run.turn.instance_id == instance_id:
                run.stop(Stop.LOST)

    def _spawn[T](self, coroutine: Coroutine[object, object, T]) -> asyncio.Task[T]:
        """A task that outlives the invocation, and takes none of its context variables along."""
        task = asyncio.create_task(coroutine, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever awaits the task sees it; a caller that left does not need it


def _record_end(turn: Turn) -> None:
    elapsed = (turn.ended_at - turn.started_at).total_seconds() if turn.ended_at else None
    record(
        "turn_ended",
        turn_id=turn.id,
        state=turn.state,
        code=turn.error.code if turn.error else None,
        seconds=elapsed,
        tokens=turn.usage.total_tokens if turn.usage else None,
        attempts=len(turn.attempts),
    )
