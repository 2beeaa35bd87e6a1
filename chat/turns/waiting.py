"""What becomes of a message to a session that is busy (docs/protocol.md, section 8)."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from chat.conversation import Session, WaitingMessage
from chat.errors import ChatError, NotFound, QueueFull, StillWaiting, StoreError, TurnInProgress
from chat.messages import Message, message_id
from chat.requests import OnBusy, TurnRequest
from chat.store.conversation_store import Waits
from chat.store.errand_store import Errand
from chat.telemetry import record
from chat.turns.allowance import FREE, Allowance
from chat.turns.feed import LiveTurn
from chat.turns.limiter import Limiter, NoLimiter
from chat.turns.ports import TurnPorts
from chat.turns.runner import TurnRunner
from chat.turns.tasks import TaskSet

TRIES = 20  # a session may be freed and taken again between two looks
AGAIN = (0.0, 0.5, 2.0, 5.0)  # seconds before each try to answer what waits, while the store is away
LOOK = 0.2  # seconds between two looks for the turn that answers
SETTLED = 60.0  # seconds after which a message that was announced has been stored, or never will be


class WaitingMessages:
    """Asks now, or has the message wait for the next turn of a runner."""

    def __init__(self, ports: TurnPorts, runner: TurnRunner, limiter: Limiter | None = None) -> None:
        self._conversations, self._errands, self._clock = ports.conversations, ports.errands, ports.clock
        self._runner, self._limiter = runner, limiter or NoLimiter()
        self._tasks = TaskSet()
        runner.listen(self._answer_later)

    async def ask(self, request: TurnRequest, on_busy: OnBusy) -> LiveTurn | Waits:
        """The turn that began, or the message that waits for one, within what the user's limits allow. Raises as
        `TurnRunner.start`, and QueueFull."""
        if not self._limiter.on:
            return await self._ask(request, on_busy, FREE)
        # Whoever asked may leave meanwhile; what is held for them is given back, or their turn runs.
        return await asyncio.shield(self._tasks.spawn(self._ask_limited(request, on_busy)))

    async def _ask_limited(self, request: TurnRequest, on_busy: OnBusy) -> LiveTurn | Waits:
        allowance = self._limiter.ask(request.user_id)
        try:
            asked = await self._ask(request, on_busy, allowance)
            standing = await allowance.granted()
        except BaseException:
            allowance.release()
            raise
        if isinstance(asked, Waits):
            allowance.release(repeated=not asked.new)
        return replace(asked, standing=standing)

    async def _ask(self, request: TurnRequest, on_busy: OnBusy, allowance: Allowance) -> LiveTurn | Waits:
        queues = on_busy != "reject" and bool(request.session_id and request.content)
        met = ""  # an interrupt is meant for the turn that its caller met, and for none that began since
        for attempt in range(TRIES):
            try:
                return await self._runner.start(request, allowance)
            except TurnInProgress as error:
                met = met or error.turn_id
                interrupts = on_busy == "interrupt" and error.turn_id == met
                # What is stored already has its place before the running turn: it cannot wait for its end.
                if not (queues or interrupts) or attempt == TRIES - 1:
                    raise
                await allowance.granted()
                waits = await self._queued(request, interrupts) if queues else None
                if interrupts:
                    with contextlib.suppress(ChatError):  # gone already, or it is tried again
                        await self._runner.cancel(request.user_id, met)
                if waits is not None:
                    return waits
            await asyncio.sleep(0.02 * attempt)
        raise AssertionError("the last try raises")

    async def answer(self, session_id: str) -> bool:
        """Start the turn that answers what waits in a session, when none runs. Whether nothing waits any more."""
        for pause in AGAIN:
            await asyncio.sleep(pause)
            try:
                return await self._answer(session_id)
            except StoreError:
                continue
            except NotFound:  # the session was deleted
                return True
            except ChatError as error:  # another turn runs, or none may
                record("waiting_not_answered", session_id=session_id, code=error.code)
                return False
        return False

    def answer_left(self, session: Session) -> None:
        """The same beside the caller, where one waits and nobody answers it: its process ended."""
        if session.waiting and not session.running_turn:
            self._answer_later(session.id)

    async def work_off(self) -> None:
        """Answer what was left by processes that ended. StoreError."""
        for errand in await self._errands.list_errands("answer"):
            if await self.answer(errand.session_id) and errand.age > SETTLED:
                await self._errands.end_errand(errand)

    async def answer_to(self, user_id: str, message: Message, *, patience: float) -> LiveTurn:
        """The turn that answers a message that waited, as soon as there is one. StillWaiting after `patience`
        seconds."""
        deadline = self._clock.monotonic() + patience
        while True:
            session = await self._conversations.get_session(user_id, message.session_id)
            asked = session.asked_about(message.seq)
            if asked is not None and asked.turn:
                return await self._runner.open(user_id, message_id(session.id, asked.turn))
            if self._clock.monotonic() > deadline:
                raise StillWaiting(message.id)
            await asyncio.sleep(LOOK)

    async def aclose(self) -> None:
        """What is not answered is left to the timer."""
        await self._tasks.close()

    def _answer_later(self, session_id: str) -> None:
        self._tasks.spawn(self.answer(session_id))

    async def _queued(self, request: TurnRequest, interrupts: bool) -> Waits | None:
        """None when no turn runs any more. An interrupt goes on where no more may wait: its turn ends at once."""
        # Noted first: should every process that knows of the message end, the timer finds it.
        await self._errands.note_errand(Errand("answer", request.session_id))
        try:
            return await self._conversations.append_waiting(request)
        except QueueFull:
            if not interrupts:
                raise
            return None

    async def _answer(self, session_id: str) -> bool:
        session = await self._conversations.load_session(session_id)
        if not session.waiting or session.running_turn:
            return not session.waiting
        together = _answered_together(await self._conversations.load_waiting(session))
        seq, request = together[-1].seq, together[-1].request
        # Who wrote it may have been taken out meanwhile; the others' messages are answered all the same.
        user_id = request.user_id if session.allows(request.user_id, "editor") else session.user_id
        waited = message_id(session_id, seq)
        asked = replace(request, user_id=user_id, session_id=session_id, message_id=waited, waited=True)
        allowance = self._limiter.ask(user_id, requests=0)  # it was let in when it came
        try:
            await self._runner.start(asked, allowance)
        except BaseException:
            allowance.release()
            raise
        return len(together) == len(session.waiting)


def _answered_together(waiting: Sequence[WaitingMessage]) -> list[WaitingMessage]:
    """The oldest messages that ask for the same: one turn cannot have two sets of tools, or two settings."""
    return list(takewhile(lambda each: _asked(each) == _asked(waiting[0]), waiting))


def _asked(waiting: WaitingMessage) -> tuple[object, ...]:
    request = waiting.request
    return request.pipeline, request.input, request.settings, request.options, request.tools
