"""New turns: the model is asked and the turn is stored side by side, and only both make one."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

from chat.conversation import Asked, Session, Turn
from chat.errors import (
    Conflict,
    Forbidden,
    NotFound,
    SessionInactive,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    TurnInProgress,
    ValidationError,
    VersionConflict,
)
from chat.messages import Message, MessageDraft, message_id, split_message_id
from chat.requests import TurnRequest
from chat.store.turn_store import StartedTurn, TurnDraft
from chat.telemetry import record
from chat.turns.allowance import FREE, Allowance
from chat.turns.base import TurnContext, TurnSource
from chat.turns.branches import current, in_order
from chat.turns.client_calls import LOOKED_BACK, check_unanswered
from chat.turns.lease import LeaseKeeper
from chat.turns.ports import TurnPorts
from chat.turns.production import NewTurn, Production
from chat.turns.roster import TurnRoster
from chat.turns.sweep import TurnSweeper
from chat.turns.tasks import TaskSet
from chat.turns.tool_history import kept_metadata

ATTEMPTS = 8  # tries that may meet another writer
PATIENCE = 3.0  # seconds that a start waits for another one in its session and process
SETTLING = (0.5, 2.0, 5.0, 10.0, 20.0)  # seconds before each look for a start whose reply did not come


class GoneOn(Exception):
    """More was said after the answer that a request follows: it belongs to another conversation."""


class TurnCreator:
    """Creates turns, from a request to the batch that stores them. Running them is up to others."""

    def __init__(
        self,
        ports: TurnPorts,
        sources: Mapping[str, TurnSource],  # by the name of the pipeline
        *,
        history: int,
        roster: TurnRoster,
        lease: LeaseKeeper,
        sweeper: TurnSweeper,
        tasks: TaskSet,
    ) -> None:
        self._conversations, self._turns = ports.conversations, ports.turns
        self._clock, self._ids = ports.clock, ports.ids
        self._sources, self._history = sources, history
        self._roster, self._lease, self._sweeper, self._tasks = roster, lease, sweeper, tasks
        self._turnstile = _Turnstile()

    async def create(self, request: TurnRequest, allowance: Allowance = FREE) -> NewTurn | Turn:
        """A new turn, or the one that the same request made before. Raises as `TurnRunner.start`."""
        new_id = request.promised or self._ids.new()
        nonce = request.key or self._ids.new()
        async with self._turnstile.one_at_a_time(request.session_id or new_id):
            for attempt in range(ATTEMPTS):
                try:
                    return await self._try(request, new_id, nonce, allowance)
                except VersionConflict:
                    await asyncio.sleep(random.uniform(0, 0.02 * (attempt + 1)))
                except TurnInProgress:
                    if request.session_id:
                        raise
                request = await self._repeated(request)
        raise StoreConflict

    async def _repeated(self, request: TurnRequest) -> TurnRequest:
        """A request whose session cannot be made, since it was when the request came before: with that session."""
        if request.session_id or not request.promised:
            return request
        session = await self._conversations.get_session(request.user_id, request.promised)
        if request.key and session.start_nonce and session.asked_by(request.key) is None:
            raise Conflict("This Idempotency-Key belongs to an older turn.")
        return replace(request, session_id=session.id, history=()) if session.start_nonce else request

    async def _try(
        self, request: TurnRequest, new_id: str, nonce: str, allowance: Allowance
    ) -> NewTurn | Turn:
        """Whether the caller may is asked first: no request that is refused costs a model call, or a row. Their limits
        are asked meanwhile."""
        session = await self._session(request, new_id)
        if (asked := _became(session, request)) is not None and asked.turn:
            return await self._turns.load_turn(message_id(session.id, asked.turn))
        if not session.is_active:
            raise SessionInactive
        if request.follows and session.last_seq != request.follows:
            raise GoneOn
        if session.running_turn:
            raise TurnInProgress(session.running_turn)
        if asked is not None:  # its message waits still
            waits = message_id(session.id, asked.question)
            request = replace(request, content="", message_id=waits, waited=True)
        leasing = self._tasks.spawn(self._lease.ensure())
        messages = await self._messages(request, session)
        await allowance.granted()
        context = TurnContext(session, messages, request, allowance=allowance)
        production = Production(self._sources[request.pipeline], context)
        try:
            draft = self._draft(request, session, await leasing, nonce)
            stored = await self._store(draft)
        except BaseException:
            await production.stop()
            raise
        if _made_by(draft, stored.turn):
            return NewTurn(stored, production, len(messages), allowance)
        await production.stop()  # the same request landed through another door
        return stored.turn

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
        self._roster.unsure.add(turn_id)
        try:
            looks = 0
            while looks < len(SETTLING):
                await asyncio.sleep(SETTLING[looks])
                with contextlib.suppress(StoreError):  # a look that failed says nothing
                    if (turn := await self._landed(draft)) is not None:
                        record("start_abandoned", turn_id=turn.id)
                        await self._sweeper.end(turn, StoreUnavailable())
                        return
                    looks += 1
        finally:
            self._roster.unsure.discard(turn_id)

    async def _landed(self, draft: TurnDraft) -> Turn | None:
        """The running turn that this start made, if it did."""
        with contextlib.suppress(NotFound):
            session = await self._conversations.load_session(draft.session.id)
            if session.start_nonce == draft.nonce and session.running_turn:
                turn = await self._turns.load_turn(session.running_turn)
                return turn if _made_by(draft, turn) else None
        return None

    async def _session(self, request: TurnRequest, new_id: str) -> Session:
        """The session, for one who may ask in it. SessionNotFound, Forbidden."""
        if not request.session_id:
            now = self._clock.now()
            listed = not request.transcript
            new = Session(new_id, request.user_id, "", now, now, request.provider, listed=listed)
            return await self._like(request, new) if request.origin else new
        session = await self._conversations.get_session(request.user_id, request.session_id)
        if not session.allows(request.user_id, "editor"):
            raise Forbidden
        return session

    async def _like(self, request: TurnRequest, new: Session) -> Session:
        """The new session with the settings and the model of the one that it comes from."""
        origin = await self._conversations.get_session(request.user_id, request.origin)
        taken = {"llm_provider": origin.llm_provider, "llm_model": origin.llm_model}
        return replace(new, **taken, settings=origin.settings)

    async def _messages(self, request: TurnRequest, session: Session) -> tuple[Message | MessageDraft, ...]:
        """The messages that the model is shown: up to the one that is answered."""
        if request.transcript:
            return request.transcript
        if not request.session_id:
            so_far = (request.continued,) if request.continued else ()
            return (*request.history[-self._history :], request.question, *so_far)
        beyond = session.last_seq + 1
        if request.message_id:
            message = await self._conversations.get_message(request.user_id, request.message_id)
            if message.session_id != session.id or message.role != "user":
                raise ValidationError("message_id", "Only a user's message in this session can be answered")
            if request.waited and (messages := _up_to(await self._listed(session, beyond), message)):
                return tuple(messages)
            beyond = message.seq + 1
        if (
            request.continued
        ):  # of two who bring the outputs at once, the second one finds the first one's turn
            newest = await self._newest(session, session.last_seq + 1, LOOKED_BACK)
            check_unanswered(request.continued, newest)
        messages = await self._listed(session, beyond)
        new = (request.continued,) if request.continued else () if request.message_id else (request.question,)
        return (*messages, *new)

    async def _listed(self, session: Session, beyond: int) -> list[Message]:
        return current(in_order(await self._newest(session, beyond, self._history)))

    async def _newest(self, session: Session, beyond: int, most: int) -> list[Message]:
        return await self._conversations.load_messages(session, limit=most, before=beyond)

    def _draft(self, request: TurnRequest, session: Session, instance_id: str, nonce: str) -> TurnDraft:
        """What is stored: the model is shown the calls of the history whole, the session keeps what it has room for."""
        metadata = kept_metadata(request.continued) if request.continued else {}
        history = tuple(replace(each, metadata=kept_metadata(each)) for each in request.history)
        request = replace(request, history=history) if history else request
        return TurnDraft(session, request, instance_id, self._clock.now(), nonce, metadata)


class _Turnstile:
    """Of several starts in a session only one can be: here the others learn so before they ask the model."""

    def __init__(self) -> None:
        self._newest: dict[str, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def one_at_a_time(self, session_id: str) -> AsyncGenerator[None]:
        """Wait for the start before this one, but not for one that hangs."""
        before, this = self._newest.get(session_id), asyncio.get_running_loop().create_future()
        self._newest[session_id] = this
        try:
            if before is not None:
                await asyncio.wait([before], timeout=PATIENCE)
            yield
        finally:
            this.set_result(None)
            if self._newest.get(session_id) is this:  # who waited too long for it may have ended first
                del self._newest[session_id]


def _up_to(messages: list[Message], last: Message) -> list[Message]:
    """Those up to the one that is answered, though answers to earlier ones were written after it; [] when it is too far
    back to be among them."""
    places = [each.id for each in messages]
    return messages[: places.index(last.id) + 1] if last.id in places else []


def _became(session: Session, request: TurnRequest) -> Asked | None:
    """What the same request became earlier. For a message that waited, what became of that."""
    if not request.waited:
        return session.asked_by(request.key)
    place = split_message_id(request.message_id)
    asked = session.asked_about(place[1]) if place else None
    if asked is None and (place is None or all(each.seq != place[1] for each in session.waiting)):
        raise Conflict("This message waits no more.")
    return asked


def _turn_id(draft: TurnDraft) -> str:
    """The id that the turn has if this start lands."""
    before = draft.session.last_seq if draft.new_session is None else len(draft.request.history)
    return message_id(draft.session.id, before + (2 if draft.message else 1))


def _made_by(draft: TurnDraft, turn: Turn) -> bool:
    """Whether this very start made the turn, and not another request with the same nonce: be it one of the same moment,
    whose turn has ended by now."""
    return turn.running and (turn.instance_id, turn.started_at) == (draft.instance_id, draft.started_at)
