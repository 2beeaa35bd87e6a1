"""The start of a turn: the model is asked and the start is stored side by side, and only both make a turn."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from chat.clock import Clock, Ids
from chat.errors import (
    Conflict,
    Forbidden,
    NotFound,
    SessionInactive,
    StoreConflict,
    StoreError,
    TurnInProgress,
    ValidationError,
    VersionConflict,
)
from chat.messages import Message, MessageDraft, Session, Turn, message_id
from chat.store.base import ConversationStore, SessionDraft, StartedTurn, TurnDraft, TurnStore
from chat.telemetry import record
from chat.turns.base import TurnContext, TurnRequest, TurnSource
from chat.turns.branches import current
from chat.turns.lease import LeaseKeeper
from chat.turns.production import Production
from chat.turns.tasks import TaskSet
from chat.turns.tool_history import continued_metadata

ATTEMPTS = 8  # starts that may meet another writer
SETTLING = (0.5, 2.0, 5.0, 10.0, 20.0)  # seconds before each look for a start whose reply did not come


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn that is stored, and the source that is being asked for it."""

    started: StartedTurn
    production: Production


class TurnStarter:
    """Starts turns. `abandon` ends a stored turn that nobody makes."""

    def __init__(
        self,
        *,
        sources: Mapping[str, TurnSource],
        conversations: ConversationStore,
        turns: TurnStore,
        lease: LeaseKeeper,
        clock: Clock,
        ids: Ids,
        history: int,
        tasks: TaskSet,
        abandon: Callable[[Turn], Awaitable[None]],
    ) -> None:
        self._sources = sources  # by the name of the pipeline
        self._conversations = conversations
        self._turns = turns
        self._lease = lease
        self._clock = clock
        self._ids = ids
        self._history = history
        self._tasks = tasks
        self._abandon = abandon
        self.unsure: set[str] = set()  # turns that may be stored although their start failed

    async def start(self, request: TurnRequest) -> NewTurn | Turn:
        """A new turn, or the one that the same request made before. Raises as `TurnRunner.start`."""
        new_id = self._ids.new()
        if request.nonce and not request.session_id:
            new_id, request = await self._repeated(request, new_id)
        request = replace(request, nonce=request.nonce or self._ids.new())
        for attempt in range(ATTEMPTS):
            try:
                return await self._try_start(request, new_id)
            except VersionConflict:
                await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
        raise StoreConflict

    async def _repeated(self, request: TurnRequest, new_id: str) -> tuple[str, TurnRequest]:
        """A request that makes a session, under a key of the caller's: the id that the session has, and the request
        with that session if it is there already."""
        new_id = await self._conversations.claim_session(request.user_id, request.nonce, new_id)
        try:
            session = await self._conversations.get_session(request.user_id, new_id)
        except NotFound:
            return new_id, request
        if session.start_nonce not in ("", request.nonce):
            raise Conflict("This Idempotency-Key belongs to an older turn.")
        return new_id, replace(request, session_id=new_id, history=())

    async def _try_start(self, request: TurnRequest, new_id: str) -> NewTurn | Turn:
        leasing = self._tasks.spawn(self._lease.ensure())
        session, messages = await self._conversation(request, new_id)
        if not session.allows(request.user_id, "editor"):
            raise Forbidden
        if session.start_nonce == request.nonce:  # a repeated request: its turn is there already
            return (await self._turns.start_turn(self._draft(request, session, await leasing))).turn
        if not session.is_active:
            raise SessionInactive
        if session.running_turn:
            raise TurnInProgress(session.running_turn)
        production = Production(self._sources[request.pipeline], TurnContext(session, messages, request))
        try:
            draft = self._draft(request, session, await leasing)
            started = await self._store(draft)
        except BaseException:
            await production.stop()
            raise
        if _made_by(draft, started.turn):
            return NewTurn(started, production)
        await production.stop()  # the same request landed through another door
        return started.turn

    async def _store(self, draft: TurnDraft) -> StartedTurn:
        try:
            return await self._turns.start_turn(draft)
        except StoreError:
            self._tasks.spawn(self._settle(draft))
            raise

    async def _settle(self, draft: TurnDraft) -> None:
        """The caller was told that the start failed, but it may have landed, or land late. Nobody makes such a turn,
        and this instance's lease would keep it alive for ever."""
        turn_id = _turn_id(draft)
        self.unsure.add(turn_id)
        try:
            looks = 0
            while looks < len(SETTLING):
                await asyncio.sleep(SETTLING[looks])
                with contextlib.suppress(StoreError):  # a look that failed says nothing
                    if (turn := await self._landed(draft)) is not None:
                        record("start_abandoned", turn_id=turn.id)
                        await self._abandon(turn)
                        return
                    looks += 1
        finally:
            self.unsure.discard(turn_id)

    async def _landed(self, draft: TurnDraft) -> Turn | None:
        """The running turn that this start made, if it did."""
        with contextlib.suppress(NotFound):
            session = await self._conversations.load_session(draft.session.id)
            if session.start_nonce == draft.nonce and session.running_turn:
                turn = await self._turns.load_turn(session.running_turn)
                return turn if turn.running and _made_by(draft, turn) else None
        return None

    async def _conversation(
        self, request: TurnRequest, new_id: str
    ) -> tuple[Session, tuple[Message | MessageDraft, ...]]:
        """The session, and the messages that the model is shown: up to the one that is answered."""
        asked = _question(request)
        if not request.session_id:
            now = self._clock.now()
            session = Session(new_id, request.user_id, "", now, now)
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
        new = (request.continued,) if request.continued else () if request.message_id else (asked,)
        return session, (*current(messages), *new)

    def _draft(self, request: TurnRequest, session: Session, instance_id: str) -> TurnDraft:
        message = _question(request)
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
            pipeline=request.pipeline,
            wire=request.wire,
            llm_provider=session.llm_provider,
            llm_model=session.llm_model,
            metadata=continued_metadata(request.continued) if request.continued else {},
        )


def _question(request: TurnRequest) -> MessageDraft:
    return MessageDraft(
        "user", request.content, author=request.user_id, parent_message_id=request.parent_message_id
    )


def _turn_id(draft: TurnDraft) -> str:
    """The id that the turn has if this start lands."""
    before = draft.session.last_seq if draft.new_session is None else len(draft.history)
    return message_id(draft.session.id, before + (2 if draft.message else 1))


def _made_by(draft: TurnDraft, turn: Turn) -> bool:
    """Whether this very start made the turn, and not another request with the same nonce."""
    return (turn.instance_id, turn.started_at) == (draft.instance_id, draft.started_at)
